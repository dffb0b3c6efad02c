import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { Client } from "@langchain/langgraph-sdk";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROUTES } from "../../src/http/routes/index.js";
import * as graphs from "../fixtures/graphs/index.js";
import { until } from "../support/server.js";
import { type HttpApp, framesOf, openHttpApp } from "./app.js";

let dir: string;
let count = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-roles-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const greeting = { messages: [{ role: "user", content: "hi" }] };

/** Asks the server that executes it. */
const insider = new StateGraph(Annotation.Root({ found: Annotation<number> }))
  .addNode("ask", async () => ({ found: await new Client().threads.count() }))
  .addEdge(START, "ask")
  .compile();

/** A process that serves and one that executes, on one storage. */
async function openRoles(): Promise<{ readonly api: HttpApp; readonly worker: HttpApp }> {
  const storage = `sqlite:${join(dir, `${(count += 1)}.db`)}`;
  const options = { storage, worker: { pollMs: 20 }, graphs: { ...graphs, insider } };
  return {
    api: await openHttpApp({ ...options, role: "api" }),
    worker: await openHttpApp({ ...options, role: "worker" }),
  };
}

test("role worker executes what role api takes in, and streams reach the client of the other process", async () => {
  const { api, worker } = await openRoles();
  const threadId = await api.newThread();
  const body = { assistant_id: "echo", input: greeting, stream_mode: ["values"] };
  const waiting = api.json("POST", `/threads/${threadId}/runs/wait`, body);
  // Nobody has started the worker yet, and the api executes nothing.
  await until(async () => {
    const [run] = (await api.json("GET", `/threads/${threadId}/runs`)).body as { status: string }[];
    return run?.status === "pending";
  }, "the run");
  await worker.start();
  expect(JSON.stringify((await waiting).body)).toContain("echo: hi");
  const streamed = await api.request("POST", `/threads/${threadId}/runs/stream`, body);
  const frames = framesOf(await streamed.text());
  expect(frames.map(({ event }) => event)).toEqual(["metadata", "values", "values", "end"]);
});

test("role api cancels and joins what role worker executes", async () => {
  const { api, worker } = await openRoles();
  await worker.start();
  const threadId = await api.newThread();
  const long = { assistant_id: "slow", input: { ms: 10, steps: 900 }, config: { recursion_limit: 1000 } };
  const { run_id: runId } = (await api.json("POST", `/threads/${threadId}/runs`, long)).body as { run_id: string };
  const path = `/threads/${threadId}/runs/${runId}`;
  const status = async () => ((await api.json("GET", path)).body as { status: string }).status;
  await until(async () => (await status()) === "running", "the start");
  const joined = api.json("GET", `${path}/join`);
  expect((await api.request("POST", `${path}/cancel?wait=1`)).status).toBe(204);
  expect(await status()).toBe("interrupted");
  expect((await joined).status).toBe(200);
});

test("role worker answers /ok and /info, and everything else with a sentence", async () => {
  const { worker } = await openRoles();
  expect((await worker.json("GET", "/ok?check_db=1")).body).toEqual({ ok: true });
  expect((await worker.json("GET", "/info")).status).toBe(200);
  for (const { method, path, group } of ROUTES) {
    if (group === "meta") continue;
    const url = path.replaceAll(/\{\w+\}/g, "0198a0c0-0000-7000-8000-000000000000");
    const { status, body } = await worker.json(method.toUpperCase(), url, method === "get" ? undefined : {});
    expect({ url, status, body }).toEqual({
      url,
      status: 503,
      body: { detail: expect.stringMatching(/role worker.*role api or all/) as string },
    });
  }
  expect((await worker.request("GET", "/docs")).status).toBe(404);
});

test("graphs of role worker reach the whole API", async () => {
  const { api, worker } = await openRoles();
  await worker.start();
  await api.newThread();
  const answer = await api.json("POST", "/runs/wait", { assistant_id: "insider", input: {} });
  // The thread above, and the one of this run.
  expect(answer.body).toEqual({ found: 2 });
});
