import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { createApp, type HeddleServer } from "../../src/app.js";
import { PROTOCOLS } from "../../src/protocols/registry.js";
import { echo as graph } from "../fixtures/graphs/index.js";
import { ROOT } from "./compat-table.js";

const pageOf = (name: string): string => readFileSync(new URL(`docs/protocols/${name}.md`, ROOT), "utf8");

/** Routes in tables of a page whose first column is called `route`: `POST /states`. */
function documented(markdown: string): readonly string[] {
  const names: string[] = [];
  let isOfRoutes = false;
  for (const line of markdown.split("\n")) {
    if (!line.startsWith("|")) isOfRoutes = false;
    else if (/^\| *route *\|/i.test(line)) isOfRoutes = true;
    else if (isOfRoutes) names.push(...(/^\| *`([A-Z]+ \/[^`]*)`/.exec(line)?.slice(1) ?? []));
  }
  return names;
}

const servers: HeddleServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function servedBy(name: string): Promise<readonly string[]> {
  const factory = PROTOCOLS[name as keyof typeof PROTOCOLS];
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const options = { graphs: { graph }, storage: "memory:", env: {}, logger, protocols: [factory({ path: "/p" })] };
  const server = await createApp(options);
  servers.push(server);
  const response = await server.app.request("/openapi.json");
  const { paths } = (await response.json()) as { readonly paths: Record<string, Record<string, { tags: string[] }>> };
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { tags }]) =>
      tags[0] === name ? [`${method.toUpperCase()} ${path.slice("/p".length)}`] : [],
    ),
  );
}

describe.each(Object.keys(PROTOCOLS))("docs/protocols/%s.md", (name) => {
  it("has a row for every route that is served, and for no other", async () => {
    const served = await servedBy(name);
    expect(served.length).toBeGreaterThan(3);
    expect(documented(pageOf(name)).toSorted()).toEqual(served.toSorted());
  });

  it("begins with a request, and is linked from the list of protocols", () => {
    expect(pageOf(name)).toContain("curl ");
    expect(pageOf("README")).toContain(`(${name}.md)`);
  });
});
