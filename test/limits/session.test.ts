import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openSession, type Session } from "../../src/cli/session.js";
import { resolveConfig } from "../../src/config/resolve.js";

let dir = "";
let session: Session | null = null;
afterEach(async () => {
  await session?.close();
  rmSync(dir, { recursive: true, force: true });
});

test("limits, audit log and custom app of a langgraph.json hold for heddle serve", async () => {
  // Inside the tests' folder, so that packages are found as in a project.
  dir = mkdtempSync(join(import.meta.dirname, "session-"));
  writeFileSync(
    join(dir, "agent.ts"),
    `import { Annotation, START, StateGraph } from "@langchain/langgraph";
    export const graph = new StateGraph(Annotation.Root({ n: Annotation<number> }))
      .addNode("one", () => ({ n: 1 })).addEdge(START, "one").compile();`,
  );
  writeFileSync(
    join(dir, "routes.ts"),
    `import { Hono } from "hono"; export default new Hono().get("/mine", (c) => c.text("mine" as string));`,
  );
  const manifest = {
    graphs: { agent: "./agent.ts:graph" },
    http: { app: "./routes.ts", mount_prefix: "/api" },
    audit: { file: "audit.jsonl" },
    limits: { max_header_bytes: 4_096, requests_per_caller: { per_second: 0.1, burst: 2 } },
  };
  writeFileSync(join(dir, "langgraph.json"), JSON.stringify(manifest));
  const options = { env: { HOST: "127.0.0.1", PORT: "0" }, storage: "memory:" };
  const config = await resolveConfig({ flags: { config: dir }, options });
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  session = await openSession({ config, logger, watch: false, studio: false });
  const { url } = session;
  expect(await (await fetch(`${url}/mine`)).text()).toBe("mine");
  const search = () => fetch(`${url}/threads/search`, { method: "POST", body: "{}" });
  const statuses = [await search(), await search(), await search()].map(({ status }) => status);
  expect(statuses).toEqual([200, 200, 429]);
  expect((await fetch(`${url}/ok`, { headers: { "x-large": "a".repeat(5_000) } })).status).toBe(431);
  await session.close();
  session = null;
  const lines = readFileSync(join(dir, "audit.jsonl"), "utf8").trim().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { result: string }).result)).toEqual([
    "allowed",
    "allowed",
    "failed",
  ]);
}, 30_000);
