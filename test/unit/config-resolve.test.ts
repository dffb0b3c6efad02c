import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AppOptions, CliFlags } from "../../src/config/options.js";
import { problemsOf } from "../../src/config/problem.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { HeddleError } from "../../src/core/errors.js";

let dir: string;
let count = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-config-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const GRAPHS = { agent: "./agent.ts:graph" };

/** A folder of its own with this `langgraph.json`. */
function project(manifest: object | string, files: Record<string, string> = {}): string {
  const folder = join(dir, `project-${(count += 1)}`);
  mkdirSync(folder);
  const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest, null, 2);
  writeFileSync(join(folder, "langgraph.json"), text);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** As the CLI in `folder`. */
function cli(folder: string, env: Record<string, string> = {}, flags: CliFlags = {}) {
  return resolveConfig({ flags, options: { cwd: folder, env } });
}

function library(options: Omit<AppOptions, "graphs">) {
  return resolveConfig({ options: { graphs: { agent: () => null }, env: {}, ...options } });
}

async function refusal(attempt: Promise<unknown>): Promise<HeddleError> {
  const error = await attempt.then(
    () => new Error("it was accepted"),
    (caught: unknown) => caught,
  );
  if (error instanceof HeddleError) return error;
  throw error;
}

describe("precedence", () => {
  const port = fc.option(fc.integer({ min: 0, max: 65_535 }), { nil: undefined });
  const text = (prefix: string) =>
    fc.option(
      fc.nat().map((n) => `${prefix}:./${n}.db`),
      { nil: undefined },
    );
  const level = fc.option(fc.constantFrom("debug", "info", "warn", "error", "silent" as const), { nil: undefined });

  it("is option > flag > environment > langgraph.json > default, for every setting", async () => {
    const folder = project({ graphs: GRAPHS });
    const layer = fc.record({
      storage: text("sqlite"),
      level,
      port,
      body: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
    });
    const property = fc.asyncProperty(
      layer,
      layer,
      layer,
      fc.option(fc.constantFrom("/option", "/o"), { nil: undefined }),
      fc.option(fc.constantFrom("/manifest", "/m"), { nil: undefined }),
      async (option, flag, env, optionPath, manifestPath) => {
        const manifest = JSON.stringify({ graphs: GRAPHS, http: { mount_prefix: manifestPath } });
        writeFileSync(join(folder, "langgraph.json"), manifest);
        const defined = (values: object) =>
          Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
        const config = await resolveConfig({
          options: {
            cwd: folder,
            env: Object.fromEntries(
              Object.entries({
                DATABASE_URI: env.storage,
                LOG_LEVEL: env.level,
                PORT: env.port,
                HTTP_MAX_REQUEST_BODY_BYTES: env.body,
              }).map(([name, value]) => [name, value === undefined ? undefined : String(value)]),
            ),
            http: defined({ basePath: optionPath, maxBodyBytes: option.body }),
            ...defined({ storage: option.storage, logLevel: option.level }),
          },
          flags: defined({ storage: flag.storage, logLevel: flag.level, port: flag.port }),
        });
        expect(config.storage.uri).toBe(option.storage ?? flag.storage ?? env.storage ?? "sqlite:.heddle/heddle.db");
        expect(config.logging.level).toBe(option.level ?? flag.level ?? env.level ?? "info");
        expect(config.listen.port).toBe(flag.port ?? env.port ?? 2024);
        expect(config.http.maxBodyBytes).toBe(option.body ?? env.body ?? 314_572_800);
        expect(config.http.basePath).toBe(optionPath ?? manifestPath ?? "");
        const origin = option.storage ? "option" : flag.storage ? "flag" : env.storage ? "environment" : "default";
        expect(config.origins["storage"]).toBe(origin);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it("takes DATABASE_URI, then POSTGRES_URI, then MONGODB_URI, and an empty one for none", async () => {
    const uri = async (env: Record<string, string>) => (await library({ env })).storage.uri;
    const all = { DATABASE_URI: "sqlite:a", POSTGRES_URI: "postgres://b", MONGODB_URI: "mongodb://c" };
    expect(await uri(all)).toBe("sqlite:a");
    expect(await uri({ ...all, DATABASE_URI: "" })).toBe("postgres://b");
    expect(await uri({ MONGODB_URI: "mongodb://c" })).toBe("mongodb://c");
  });

  it("takes the checkpointer from option, flag and environment, relative to where it was written", async () => {
    const folder = project(
      { graphs: GRAPHS, env: ".env" },
      { ".env": "LANGGRAPH_CHECKPOINTER=sqlite:./from-file.db\n" },
    );
    const of = async (env: Record<string, string>, flags: CliFlags, options: AppOptions = {}) => {
      const all = { config: join(folder, "langgraph.json"), ...flags };
      const { checkpointer, origins } = await resolveConfig({ options: { cwd: dir, env, ...options }, flags: all });
      return { ...checkpointer, origin: origins["checkpointer"] };
    };
    const at = (uri: string, cwd: string, origin: string) => ({ kind: "uri", uri, scheme: "sqlite", cwd, origin });
    const env = { LANGGRAPH_CHECKPOINTER: "sqlite:env.db" };
    const flags = { checkpointer: "sqlite:flag.db" };
    expect(await of({}, {})).toEqual(at("sqlite:./from-file.db", folder, "environment"));
    expect(await of(env, {})).toEqual(at("sqlite:env.db", dir, "environment"));
    expect(await of(env, flags)).toEqual(at("sqlite:flag.db", dir, "flag"));
    expect(await of(env, flags, { checkpointer: "sqlite:o.db" })).toEqual(at("sqlite:o.db", dir, "option"));
    const refused = await refusal(of({}, { checkpointer: "b.db" }));
    expect(refused.message).toMatch(/^--checkpointer: must be a URI/);
    expect(await of({}, { checkpointer: "redis://h" })).toMatchObject({ kind: "uri", scheme: "redis" });
  });

  it("keeps a default storage beside langgraph.json, and a relative one where it was written", async () => {
    const folder = project({ graphs: GRAPHS, env: ".env" }, { ".env": "DATABASE_URI=sqlite:./from-file.db\n" });
    const from = (env: Record<string, string>, flags: CliFlags) =>
      resolveConfig({ options: { cwd: dir, env }, flags: { config: join(folder, "langgraph.json"), ...flags } });
    expect((await from({}, {})).storage).toEqual({ uri: "sqlite:./from-file.db", scheme: "sqlite", cwd: folder });
    expect((await from({ DATABASE_URI: "sqlite:x" }, {})).storage).toEqual({
      uri: "sqlite:x",
      scheme: "sqlite",
      cwd: dir,
    });
    expect((await from({}, { storage: "sqlite:y" })).storage.cwd).toBe(dir);
    const bare = project({ graphs: GRAPHS });
    const config = await resolveConfig({ options: { cwd: dir, env: {}, config: bare } });
    expect(config.storage).toEqual({ uri: "sqlite:.heddle/heddle.db", scheme: "sqlite", cwd: bare });
    expect(config.graphsDir).toBe(bare);
  });

  it("freezes what it decided", async () => {
    const config = await library({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.http.cors?.allowOrigins)).toBe(true);
    expect(() => Object.assign(config.worker, { concurrency: 1 })).toThrow(TypeError);
  });
});

describe("graphs", () => {
  it("are objects, functions or files, as options", async () => {
    const graph = { invoke() {} };
    const { graphs } = await resolveConfig({ options: { graphs: { a: graph, b: "./b.ts:graph" }, env: {} } });
    expect(graphs["a"]).toEqual({ kind: "value", value: graph, description: null });
    expect((graphs["a"] as { value: unknown }).value).toBe(graph);
    expect(Object.isFrozen(graph)).toBe(false);
    expect(graphs["b"]).toEqual({ kind: "file", path: "./b.ts:graph", description: null });
  });

  it("come from langgraph.json in both forms, with description", async () => {
    const folder = project({ graphs: { a: "./a.ts:graph", b: { path: "./b.ts", description: "B." } } });
    expect((await cli(folder)).graphs).toEqual({
      a: { kind: "file", path: "./a.ts:graph", description: null },
      b: { kind: "file", path: "./b.ts", description: "B." },
    });
  });

  it("come from LANGSERVE_GRAPHS, also without a langgraph.json", async () => {
    const empty = join(dir, "empty");
    mkdirSync(empty);
    const env = { LANGSERVE_GRAPHS: JSON.stringify({ b: "./b.ts:graph" }) };
    expect(Object.keys((await cli(empty, env)).graphs)).toEqual(["b"]);
    expect(Object.keys((await cli(project({ graphs: GRAPHS }), env)).graphs)).toEqual(["b"]);
  });

  it("must be there, and be no Python", async () => {
    expect((await refusal(resolveConfig({ options: { env: {} } }))).message).toMatch(/^graphs: no graph is named/);
    expect((await refusal(cli(project({})))).message).toMatch(/graphs: no graph is named/);
    const python = await refusal(cli(project({ graphs: { agent: "./agent.py:graph" } })));
    expect(python.message).toMatch(/langgraph\.json:3: graphs\.agent: is a Python graph/);
  });
});

describe("langgraph.json", () => {
  it("names a file that is missing, and one that is not JSON with its line", async () => {
    expect((await refusal(cli(dir))).message).toMatch(/langgraph\.json: does not exist/);
    const broken = await refusal(cli(project('{\n  "graphs": {},\n  "env": { "KEY": secret-value }\n}')));
    expect(broken.message).toMatch(/langgraph\.json:3: is not valid JSON/);
    expect(broken.message).not.toMatch("secret");
    expect((await refusal(cli(project("[]")))).message).toMatch(/must hold a JSON object/);
  });

  it("gives every mistake at once, each with file and line", async () => {
    const folder = project({
      graphs: GRAPHS,
      http: { cors: { max_age: "long", allow_origin_regex: "(" }, disable_runs: "yes" },
      node_version: "latest",
    });
    const error = await refusal(cli(folder));
    expect(error.code).toBe("CONFIG_INVALID");
    const found = problemsOf(error).map(({ field, line }) => `${field}:${line}`);
    expect(found.sort()).toEqual([
      "http.cors.allow_origin_regex:8",
      "http.cors.max_age:7",
      "http.disable_runs:10",
      "node_version:12",
    ]);
  });

  it("puts `env` beneath the process's environment: a map", async () => {
    const folder = project({ graphs: GRAPHS, env: { LOG_LEVEL: "error", A: "file", B: "file", N: 1 } });
    const config = await cli(folder, { A: "process" });
    expect(config.graphEnv).toEqual({ B: "file", LOG_LEVEL: "error", N: "1" });
    expect(config.logging.level).toBe("error");
    expect((await cli(folder, { LOG_LEVEL: "debug" })).logging.level).toBe("debug");
  });

  it("reads `env` by dotenv from beside it, and warns when the file is missing", async () => {
    const folder = project({ graphs: GRAPHS, env: "my.env" }, { "my.env": 'A="two words" # note\nexport B=2\n' });
    expect(await cli(folder)).toMatchObject({
      graphEnv: { A: "two words", B: "2" },
      envFilePath: join(folder, "my.env"),
    });
    const missing = project({ graphs: GRAPHS, env: ".env" });
    const config = await cli(missing);
    expect(config.warnings.join()).toMatch(/env: .*\.env can't be read/);
    expect(config.envFilePath).toBe(join(missing, ".env"));
  });

  it("refuses a list as `env`", async () => {
    const error = await refusal(cli(project({ graphs: GRAPHS, env: ["A"] })));
    expect(error.message).toMatch(
      /env: must be the path of a dotenv file, or a map of variables; a list is not supported/,
    );
  });

  it("warns about another Node and about unknown keys, by name", async () => {
    const { warnings } = await cli(
      project({ $schema: "x", graphs: GRAPHS, node_version: "20", grpahs: 1, http: { cros: {} } }),
    );
    expect(warnings).toHaveLength(3);
    expect(warnings.join("\n")).toMatch(/asks for Node 20, this is Node \d+/);
    expect(warnings.join("\n")).toMatch(/langgraph\.json:\d+: unknown key "grpahs" is ignored/);
    expect(warnings.join("\n")).toMatch(/unknown key "http.cros" is ignored/);
    expect(
      (await cli(project({ graphs: GRAPHS, node_version: process.versions.node.split(".")[0] }))).warnings,
    ).toEqual([]);
  });

  it("lets a variable replace a section, and names the variable when it is wrong", async () => {
    const folder = project({ graphs: GRAPHS, http: { mount_prefix: "/file", disable_store: true } });
    const config = await cli(folder, { LANGGRAPH_HTTP: '{"mount_prefix": "/variable"}' });
    expect(config.http).toMatchObject({ basePath: "/variable", disabled: { store: false } });
    expect((await refusal(cli(folder, { LANGGRAPH_HTTP: '{"mount_prefix": 1}' }))).message).toMatch(
      /^LANGGRAPH_HTTP\.mount_prefix: /,
    );
    const keys = await refusal(cli(folder, { LANGGRAPH_AUTH: '{"allow_langsmith_api_keys": true}' }));
    expect(keys.code).toBe("UNSUPPORTED_OPTION");
    expect(keys.message).toMatch(/^LANGGRAPH_AUTH\.allow_langsmith_api_keys: /);
    const { auth } = await cli(folder, { LANGGRAPH_AUTH: '{"path": "./auth.ts:auth"}' });
    expect(auth?.source).toEqual({ kind: "file", path: "./auth.ts:auth", cwd: folder });
  });
});

describe("environment", () => {
  it.each([
    ["PORT", "seventy"],
    ["PORT", "70000"],
    ["LOG_LEVEL", "constructor"],
    ["LOG_JSON", "perhaps"],
    ["HTTP_MAX_REQUEST_BODY_BYTES", "1e3"],
    ["LANGGRAPH_SCHEMA_RESOLVE_TIMEOUT_MS", "-1"],
    ["LANGGRAPH_CONFIG", "[1]"],
    ["LANGGRAPH_CONFIG", '{"agent": 1}'],
    ["LANGSERVE_GRAPHS", "{"],
  ])("names %s when it is %s", async (name, value) => {
    const error = await refusal(library({ env: { [name]: value } }));
    expect(error.code).toBe("CONFIG_INVALID");
    expect(problemsOf(error).map(({ field }) => field)).toEqual([name]);
  });

  it("seeds system assistants from LANGGRAPH_CONFIG, context apart", async () => {
    const seed = { agent: { tags: ["x"], configurable: { model: "m" }, context: { user_id: 1 } } };
    const { systemAssistants } = await library({ env: { LANGGRAPH_CONFIG: JSON.stringify(seed) } });
    expect(systemAssistants).toEqual({
      agent: { config: { tags: ["x"], configurable: { model: "m" } }, context: { user_id: 1 } },
    });
  });

  it.each([
    [{}, false, false],
    [{ LANGSMITH_API_KEY: "k" }, true, true],
    [{ LANGCHAIN_API_KEY: "k", LANGCHAIN_TRACING_V2: "true" }, true, true],
    [{ LANGSMITH_API_KEY: "k", LANGCHAIN_TRACING: "False" }, true, false],
    [{ LANGSMITH_API_KEY: "k", LANGSMITH_TRACING_V2: "false" }, true, false],
    [{ LANGSMITH_TRACING: "true" }, false, false],
  ])("LangSmith with %j: key %j, tracing %j", async (env, hasApiKey, tracing) => {
    expect((await library({ env })).langsmith).toEqual({ hasApiKey, tracing });
  });

  it("warns when LANGGRAPH_CONFIG names a graph that is not there", async () => {
    const { warnings } = await library({ env: { LANGGRAPH_CONFIG: '{"agnet": {}, "agent": {}}' } });
    expect(warnings).toEqual(['LANGGRAPH_CONFIG: there is no graph "agnet"']);
  });

  it.each([
    ["REDIS_URI", "http://h"],
    ["POSTGRES_DIRECT_URI", "mongodb://h"],
    ["LANGGRAPH_POSTGRES_POOL_MAX_SIZE", "many"],
    ["HEDDLE_ROLE", "boss"],
    ["BG_JOB_TIMEOUT_SECS", "0"],
  ])("names %s when it is %s", async (name, value) => {
    const error = await refusal(library({ env: { DATABASE_URI: "postgres://h/d", [name]: value } }));
    expect(problemsOf(error).map(({ field }) => field)).toEqual([name]);
  });
});

describe("split brain", () => {
  const saver = { getTuple() {}, list() {}, put() {}, putWrites() {}, deleteThread() {} } as never;
  it.each([
    ["memory:", "sqlite:./a.db"],
    ["sqlite::memory:", "sqlite:./a.db"],
    ["sqlite:./a.db", "memory:"],
    ["postgres://h/d", "memory:"],
    ["memory:", "postgres://h/d"],
    ["memory:", "redis://h"],
    ["mongodb://h/d", "sqlite::memory:"],
  ])("refuses storage %s beside checkpointer %s, unless allowEphemeral", async (storage, checkpointer) => {
    const error = await refusal(library({ storage, checkpointer }));
    expect(error.message).toMatch(/^checkpointer: .*allowEphemeral/);
    await expect(library({ storage, checkpointer, allowEphemeral: true })).resolves.toBeDefined();
  });
  it.each([
    ["memory:", "memory:"],
    ["memory:", "sqlite:"],
    ["sqlite:a.db", "sqlite:b.db"],
    ["postgres://h/d", "mongodb://h/d"],
    ["mongodb+srv://h/d", "redis://h"],
    ["sqlite:a.db", "postgresql://h/d"],
  ])("lets storage %s beside checkpointer %s", async (storage, checkpointer) => {
    await expect(library({ storage, checkpointer })).resolves.toBeDefined();
  });
  it("leaves a saver to the check after opening", async () => {
    expect((await library({ storage: "memory:", checkpointer: saver })).checkpointer).toEqual({
      kind: "instance",
      saver,
    });
  });
});
