import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ENVIRONMENT_VARIABLES } from "../../src/config/env.js";
import { LANGGRAPH_JSON_KEYS } from "../../src/config/langgraph-json-keys.js";
import { ROUTES as API_ROUTES } from "../../src/http/routes/index.js";
import { eventStreamRoutes } from "../../src/protocols/event-stream/index.js";
import { ROOT, readCompat, testProblem } from "./compat-table.js";

const ROUTES = [...API_ROUTES, ...eventStreamRoutes];
const rows = readCompat(readFileSync(new URL("docs/compat.md", ROOT), "utf8"));
const namesIn = (table: string) => rows.filter((row) => row.table === table).map(({ name }) => name);
const verdictOf = (table: string, name: string) =>
  rows.find((row) => row.table === table && row.name === name)?.verdict;

interface Schema {
  readonly def?: { readonly type: string; readonly element?: Schema; readonly innerType?: Schema };
  readonly shape?: Readonly<Record<string, unknown>>;
  meta?(): { readonly id?: unknown } | undefined;
}

/** The object schema of a body: of a batch, its element's. */
function objectOf(schema: Schema): { readonly id: string; readonly fields: readonly string[] } {
  const inner = schema.def?.element ?? schema.def?.innerType;
  if (schema.shape === undefined && inner !== undefined) return objectOf(inner);
  return { id: String(schema.meta?.()?.id), fields: Object.keys(schema.shape ?? {}) };
}

describe("docs/compat.md", () => {
  it("has a row for every endpoint of the wire reference", () => {
    const reference = readFileSync(new URL("docs/wire/langgraph-api.md", ROOT), "utf8");
    const part = reference.slice(reference.indexOf("# Part 1."), reference.indexOf("## 1.9 "));
    const named = [...part.matchAll(/^\| \d+ \| (.+?) \|/gm)].flatMap(([, cell = ""]) =>
      [...cell.matchAll(/(?:`|; )([A-Z]+) (\/[^`\s?]*)/g)].map(([, method, path]) => `${method} ${path}`),
    );
    expect(named.length).toBeGreaterThan(70);
    // Parameters are called differently there: {id} here {thread_id}.
    const plain = (name: string) => name.replaceAll(/\{[^}]*\}/g, "{}");
    const listed = new Set(namesIn("Endpoints").map(plain));
    expect(named.filter((name) => !listed.has(plain(name)))).toEqual([]);
  });

  it("says yes or different of every route that is served, and of no other", () => {
    const served = ROUTES.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect(served.filter((name) => !["yes", "different"].includes(verdictOf("Endpoints", name) ?? ""))).toEqual([]);
    // Served beside the table of routes, by the app itself.
    const others = ["GET /docs", "GET /openapi.json", "any path of `http.app`"];
    const claimed = rows.filter(({ table, verdict }) => table === "Endpoints" && verdict !== "no");
    expect(claimed.map(({ name }) => name).filter((name) => ![...served, ...others].includes(name))).toEqual([]);
  });

  it("has a row for every field of every body, and none too many", () => {
    const fields = new Set<string>();
    for (const { body } of ROUTES) {
      if (body === undefined) continue;
      const { id, fields: names } = objectOf(body);
      expect(names).not.toEqual([]);
      for (const name of names) fields.add(`Fields/${id} ${name}`);
    }
    expect(fields.size).toBeGreaterThan(80);
    const listed = rows
      .filter(({ table }) => table.startsWith("Fields/") && table !== "Fields/Queries")
      .map(({ table, name }) => `${table} ${name}`);
    expect(listed.toSorted()).toEqual([...fields].toSorted());
  });

  it("has a row for every query parameter, and none too many", () => {
    const parameters = ROUTES.flatMap(({ method, path, query }) =>
      Object.keys(query?.shape ?? {}).map((name) => `${method.toUpperCase()} ${path}\` \`${name}`),
    );
    expect(parameters.length).toBeGreaterThan(20);
    expect(namesIn("Fields/Queries").toSorted()).toEqual(parameters.map((name) => name.replace("` `", " ")).toSorted());
  });

  it("has a row for every key of langgraph.json, with the verdict of the table that decides", () => {
    const expected = LANGGRAPH_JSON_KEYS.map(({ key, status }) => `${key}: ${status === "honoured" ? "yes" : "no"}`);
    const listed = rows
      .filter(({ table }) => table === "langgraph.json")
      .map(({ name, verdict }) => `${name}: ${verdict}`);
    expect(listed).toEqual(expected);
  });

  it("has a row for every environment variable", () => {
    expect(namesIn("Environment variables")).toEqual(ENVIRONMENT_VARIABLES.map(({ name }) => name));
  });

  it("has a row for every option of createApp, and none too many", () => {
    const source = ["options", "limits-options", "store-options", "resolve-crons"]
      .map((file) => readFileSync(new URL(`src/config/${file}.ts`, ROOT), "utf8"))
      .join("");
    const optionsOf = (type: string): readonly string[] => {
      const body = new RegExp(`export interface ${type} \\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1] ?? "";
      return [...body.matchAll(/^  readonly (\w+)\??: (\w+)/gm)].flatMap(([, name = "", of = ""]) => {
        // Options of CORS are langgraph.json's, which has its rows.
        const inner = of.endsWith("Options") && of !== "CorsOptions" ? optionsOf(of) : [];
        return inner.length === 0 ? [name] : inner.map((innerName) => `${name}.${innerName}`);
      });
    };
    const options = [...optionsOf("AppOptions"), "drivers"];
    expect(options.length).toBeGreaterThan(25);
    expect(namesIn("Options").toSorted()).toEqual(options.toSorted());
  });

  it("names, for every yes and different, a test that exists and is not skipped", () => {
    expect(rows.length).toBeGreaterThan(250);
    const verdicts = rows.map(({ table, name, verdict }) => [table, name, verdict].join(" "));
    expect(verdicts.filter((row) => !/ (?:yes|no|different)$/.test(row))).toEqual([]);
    const problems = rows.flatMap(({ table, name, verdict, test }) => {
      if (verdict === "no" && test === "") return [];
      const problem = testProblem(test);
      return problem === null ? [] : [`${table}, ${name}: ${problem}`];
    });
    expect(problems).toEqual([]);
  });
});

describe("the reader of docs/compat.md", () => {
  it("notices tests that are missing or skipped", () => {
    const here = "test/docs/compat.test.ts";
    expect(testProblem(`${here}: notices tests that are missing or skipped`)).toBeNull();
    expect(testProblem(`${here}: no test has this name`)).toMatch(/has no test/);
    expect(testProblem("test/docs/gone.test.ts: x")).toMatch(/there is no/);
    expect(testProblem("works for me")).toMatch(/not of the form/);
    expect(testProblem(`${here}: a skipped one`)).toMatch(/is skipped/);
    expect(testProblem("test/python/test_system.py: test_nothing")).toMatch(/has no test/);
  });

  it("reads endpoints, fields and queries", () => {
    const page =
      "## Fields\n\n### `A`\n\n| `x` | yes | a \\| b | `t` |\n\n### Queries\n\n| `GET /a` | `q` | no | | |\n";
    expect(readCompat(page)).toEqual([
      { table: "Fields/A", name: "x", verdict: "yes", note: "a | b", test: "t" },
      { table: "Fields/Queries", name: "GET /a q", verdict: "no", note: "", test: "" },
    ]);
  });
});

// What the test above must recognise; the text is what counts.
export const SKIPPED = `it.skip("a skipped one", () => {})`;
