import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Annotation, START, StateGraph, interrupt } from "@langchain/langgraph";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/json.js";
import * as fixtures from "../../fixtures/graphs/index.js";
import { type Answer, type Call, requester } from "../../support/requests.js";
import { STORAGES, type TestServer, startServer, until } from "../../support/server.js";

const Mood = Annotation.Root({ mode: Annotation<"fail" | "ask" | "ok">, ms: Annotation<number> });

/** Waits until it is aborted or `ms` are over, then fails, asks or ends. */
const moody = new StateGraph(Mood)
  .addNode("act", async ({ mode, ms }, { signal }) => {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
    if (mode === "fail") throw new TypeError("Boo!");
    if (mode === "ask") interrupt("well?");
    return {};
  })
  .addEdge(START, "act")
  .compile();

describe.each(STORAGES)("runs over the wire on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...fixtures, moody } });
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const newThread = async (): Promise<string> => (await call("POST", "/threads", {})).json.thread_id;
  const post = (threadId: string, body: JsonObject, path = "runs") =>
    call("POST", `/threads/${threadId}/${path}`, body);
  const thread = async (threadId: string) => (await call("GET", `/threads/${threadId}`)).json;
  const statuses = async (threadId: string): Promise<string[]> =>
    (await call("GET", `/threads/${threadId}/runs`)).json.map((run: { status: string }) => run.status);
  const settled = (threadId: string) =>
    until(async () => (await thread(threadId)).status !== "busy", "the thread to settle");
  const started = (threadId: string) =>
    until(async () => (await statuses(threadId)).includes("running"), "the run to start");
  const checkpoints = async (threadId: string): Promise<number> =>
    (await call("POST", `/threads/${threadId}/history`, { limit: 100 })).json.length;
  const place = (run: Answer) => `/threads/${run.json.thread_id}/runs/${run.json.run_id}`;
  const slow = (ms: number, rest: JsonObject = {}): JsonObject => ({
    assistant_id: "slow",
    input: { ms, steps: 3, done: 0 },
    ...rest,
  });

  it("§2.6.1 a run is answered as pending, with its place and its merged record", async () => {
    const threadId = await newThread();
    const run = await post(threadId, { assistant_id: "counter", input: { n: 0 }, metadata: { k: 1 }, unknown: true });
    expect(run.headers.get("content-location")).toBe(place(run));
    expect(run.json).toMatchObject({
      thread_id: threadId,
      status: "pending",
      multitask_strategy: "enqueue",
      metadata: { created_by: "system", graph_id: "counter", k: 1 },
      kwargs: { input: { n: 0 }, stream_mode: ["values"], temporary: false, subgraphs: false, resumable: false },
    });
    expect(run.json.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const batch = await call("POST", "/runs/batch", [
      { assistant_id: "counter", input: { n: 0 }, thread_id: threadId },
    ]);
    expect(batch.json[0].status).toBe("pending");
    expect(batch.json[0].thread_id).not.toBe(threadId);
    expect(batch.headers.get("content-location")).toBeNull();
  });

  it("§2.5 null means not sent; a wrong type is 422 and named", async () => {
    const threadId = await newThread();
    const fields = {
      input: undefined,
      command: "x",
      checkpoint: "x",
      checkpoint_id: 5,
      config: 5,
      context: undefined,
      metadata: 5,
      webhook: "http://localhost/x",
      interrupt_before: 5,
      interrupt_after: [5],
      stream_mode: 5,
      stream_subgraphs: "yes",
      stream_resumable: 5,
      feedback_keys: ["a"],
      multitask_strategy: "x",
      if_not_exists: "x",
      on_disconnect: "x",
      on_completion: "x",
      after_seconds: -1,
      durability: "x",
      checkpoint_during: "x",
      langsmith_tracer: 5,
      strict_resume: true,
    } as const;
    const nulls = Object.fromEntries(Object.keys(fields).map((name) => [name, null]));
    const accepted = await post(threadId, { assistant_id: "counter", ...nulls, input: { n: 0 } }, "runs/wait");
    expect(accepted.json).toMatchObject({ n: 3 });
    for (const [field, value] of Object.entries(fields)) {
      if (value === undefined) continue;
      const answer = await post(threadId, { assistant_id: "counter", [field]: value });
      expect([answer.status, answer.json.detail]).toEqual([422, expect.stringContaining(field)]);
    }
    expect(await statuses(threadId)).toEqual(["success"]);
  });

  it("§2.5, §2.9.7 durability counts checkpoints", async () => {
    const options: readonly (readonly [JsonObject, number])[] = [
      [{}, 5],
      [{ durability: "sync" }, 5],
      [{ durability: "async" }, 5],
      [{ checkpoint_during: true }, 5],
      [{ durability: "exit" }, 1],
      [{ checkpoint_during: false }, 1],
    ];
    for (const [option, count] of options) {
      const threadId = await newThread();
      await post(threadId, { assistant_id: "counter", input: { n: 0 }, ...option }, "runs/wait");
      expect([option, await checkpoints(threadId)]).toEqual([option, count]);
    }
  });

  it("§2.9.8 static interrupts: every node by *, unknown names ignored, also without a thread", async () => {
    const threadId = await newThread();
    const run = (rest: JsonObject) => post(threadId, { assistant_id: "counter", input: null, ...rest }, "runs/wait");
    expect((await run({ input: { n: 0 }, interrupt_before: "*" })).json).toMatchObject({ n: 0, __interrupt__: [] });
    expect(await thread(threadId)).toMatchObject({ status: "interrupted", values: { n: 0 } });
    expect((await run({ interrupt_after: "*" })).json).toMatchObject({ n: 1, __interrupt__: [] });
    expect((await run({ interrupt_after: ["nothing"] })).json).toEqual({ n: 3, log: ["one", "two", "three"] });
    const stateless = { assistant_id: "counter", input: { n: 0 }, interrupt_before: ["two"] };
    expect((await call("POST", "/runs/wait", stateless)).json).toMatchObject({ n: 1, __interrupt__: [] });
  });

  it("§2.6.2 wait without values events: the thread's values, or null without a thread", async () => {
    const body = { assistant_id: "counter", input: { n: 0 }, stream_mode: "updates" };
    const ofThread = await post(await newThread(), body, "runs/wait");
    expect(ofThread.json).toMatchObject({ n: 3 });
    expect(ofThread.headers.get("content-type")).toBe("application/json");
    expect((await call("POST", "/runs/wait", body)).text).toBe("null");
    const failed = await call("POST", "/runs/wait", { assistant_id: "failing", input: { n: 0 } });
    expect([failed.status, failed.json]).toEqual([200, { __error__: { error: "TypeError", message: "Boo!" } }]);
  });

  it("§2.6.3 statuses of refusals (A1, A9)", async () => {
    const threadId = await newThread();
    const status = async (method: string, path: string, body?: JsonObject) => (await call(method, path, body)).status;
    const missing = randomUUID();
    for (const strategy of ["reject", "enqueue", "interrupt", "rollback"]) {
      const body = { assistant_id: "counter", multitask_strategy: strategy };
      expect(await status("POST", `/threads/${missing}/runs`, body)).toBe(404);
    }
    expect((await post(threadId, { assistant_id: "nope" })).json.detail).toContain('No assistant found for "nope"');
    for (const rest of ["", "/join", "/stream"])
      expect(await status("GET", `/threads/${threadId}/runs/${missing}${rest}`)).toBe(404);
    expect(await status("POST", `/threads/${threadId}/runs/${missing}/cancel`)).toBe(404);
    expect(await status("DELETE", `/threads/${threadId}/runs/${missing}`)).toBe(404);
    expect(await status("GET", `/threads/${missing}/runs`)).toBe(404);
    expect(await status("GET", `/threads/${threadId}/runs/abc`)).toBe(422);
    expect(await status("POST", "/runs/batch", {})).toBe(422);
  });

  it("§2.7 a temporary thread is gone after its run, a kept one stays; interrupts work (A26)", async () => {
    const run = await call("POST", "/runs", { assistant_id: "counter", input: { n: 0 } });
    expect(run.headers.get("content-location")).toBe(`/runs/${run.json.run_id}`);
    await until(async () => (await call("GET", `/threads/${run.json.thread_id}`)).status === 404, "the thread to go");
    const kept = await call("POST", "/runs", { assistant_id: "counter", input: { n: 0 }, on_completion: "keep" });
    await call("GET", `${place(kept)}/join`);
    expect(await thread(kept.json.thread_id)).toMatchObject({ status: "idle", values: { n: 3 } });
    const asked = await call("POST", "/runs/wait", { assistant_id: "nestedAsk", input: { question: "q" } });
    expect(asked.json).toMatchObject({ question: "q", __interrupt__: [{ value: { inner: "q" } }] });
  });

  it("§2.9.2 a delayed run is in flight, but blocks nobody", async () => {
    const threadId = await newThread();
    const delayed = { assistant_id: "counter", input: { n: 100 }, after_seconds: 60 };
    await post(threadId, delayed);
    expect((await post(threadId, { assistant_id: "counter", multitask_strategy: "reject" })).status).toBe(409);
    expect((await post(threadId, { assistant_id: "counter", input: { n: 0 } }, "runs/wait")).json).toMatchObject({
      n: 3,
    });
    expect(await statuses(threadId)).toEqual(["success", "pending"]);
    expect((await thread(threadId)).status).toBe("busy");
    await post(threadId, slow(5_000));
    await started(threadId);
    await post(threadId, { assistant_id: "counter", input: { n: 0 }, multitask_strategy: "interrupt" });
    await settled(threadId);
    expect(await statuses(threadId)).toEqual(["success", "interrupted", "success", "interrupted"]);
    await post(threadId, delayed);
    await post(threadId, slow(5_000));
    await started(threadId);
    await post(threadId, { assistant_id: "counter", input: { n: 0 }, multitask_strategy: "rollback" });
    await settled(threadId);
    expect(await statuses(threadId)).toEqual(["success", "success", "interrupted", "success", "interrupted"]);
  });

  it("§2.9.3 cancelling a pending run leaves an interrupted thread interrupted", async () => {
    const threadId = await newThread();
    await post(threadId, { assistant_id: "ask", input: { question: "q" } }, "runs/wait");
    const before = await thread(threadId);
    for (const action of ["interrupt", "rollback"]) {
      const run = await post(threadId, { assistant_id: "ask", command: { resume: "x" }, after_seconds: 60 });
      expect((await call("POST", `${place(run)}/cancel?wait=1&action=${action}`)).status).toBe(204);
      const { status, values, interrupts } = await thread(threadId);
      expect({ status, values, interrupts }).toEqual({
        status: "interrupted",
        values: before.values,
        interrupts: before.interrupts,
      });
    }
    expect(await statuses(threadId)).toEqual(["interrupted", "success"]);
    expect((await post(threadId, { assistant_id: "ask", command: { resume: "y" } }, "runs/wait")).json.answer).toBe(
      "y!",
    );
  });

  it("§2.9.3 two cancels at once: a rollback is never weakened; wait is parsed (A2)", async () => {
    const threadId = await newThread();
    const run = await post(threadId, slow(5_000));
    await started(threadId);
    const cancel = (of: Answer, query: string) => call("POST", `${place(of)}/cancel?${query}`);
    const soft = cancel(run, "wait=1");
    const hard = await cancel(run, "wait=true&action=rollback");
    expect((await soft).status).toBe(204);
    // The second may come when the first has ended the run already.
    expect([hard.status, await statuses(threadId)]).toEqual(hard.status === 204 ? [204, []] : [409, ["interrupted"]]);
    const other = await post(threadId, slow(5_000));
    await started(threadId);
    expect((await cancel(other, "wait=0")).status).toBe(202);
    await settled(threadId);
    expect((await cancel(other, "")).status).toBe(409);
    expect((await call("GET", `${place(other)}/join`)).json).toMatchObject({ ms: 5_000 });
  });

  it("§2.9.3 rollback of a running run restores what the thread was (A3)", async () => {
    for (const [mode, status] of [
      ["fail", "error"],
      ["ask", "interrupted"],
      ["ok", "idle"],
    ] as const) {
      const threadId = await newThread();
      await post(threadId, { assistant_id: "moody", input: { mode, ms: 0 } }, "runs/wait");
      const shown = async () => {
        const { status: is, values, interrupts, error, metadata } = await thread(threadId);
        return { status: is, values, interrupts, error, metadata };
      };
      const before = await shown();
      expect([mode, before.status]).toEqual([mode, status]);
      const state = (await call("GET", `/threads/${threadId}/state`)).json;
      const run = await post(threadId, { assistant_id: "moody", input: { mode: "ok", ms: 5_000 } });
      await until(async () => (await checkpoints(threadId)) > 2, "a checkpoint of the second run");
      expect((await call("POST", `${place(run)}/cancel?wait=1&action=rollback`)).status).toBe(204);
      expect((await call("GET", place(run))).status).toBe(404);
      expect([mode, await shown()]).toEqual([mode, before]);
      expect((await call("GET", `/threads/${threadId}/state`)).json).toEqual(state);
    }
  });

  it("§2.9.4 a client that leaves cancels its run when it asked for that, also from wait and join", async () => {
    for (const [kind, option, status] of [
      ["wait", "cancel", "interrupted"],
      ["wait", "continue", "success"],
      ["stream", "cancel", "interrupted"],
    ] as const) {
      const threadId = await newThread();
      const leaving = new AbortController();
      // What is to be cancelled must not end by itself before, however slow the machine is.
      const body = JSON.stringify(slow(option === "cancel" ? 5_000 : 60, { on_disconnect: option }));
      const url = `${server.url}/threads/${threadId}/runs/${kind}`;
      const answer = fetch(url, { method: "POST", body, signal: leaving.signal }).then((r) => r.text());
      await started(threadId);
      await sleep(20);
      leaving.abort();
      await expect(answer).rejects.toThrow("aborted");
      await settled(threadId);
      expect([kind, option, await statuses(threadId)]).toEqual([kind, option, [status]]);
    }
    for (const [kind, flag, status] of [
      ["join", "1", "interrupted"],
      ["join", "0", "success"],
      ["stream", "1", "interrupted"],
      ["stream", "0", "success"],
    ] as const) {
      const threadId = await newThread();
      const run = await post(threadId, slow(flag === "1" ? 5_000 : 60));
      await started(threadId);
      const leaving = new AbortController();
      const url = `${server.url}${place(run)}/${kind}?cancel_on_disconnect=${flag}`;
      const answer = fetch(url, { signal: leaving.signal }).then((r) => r.text());
      await sleep(20);
      leaving.abort();
      await expect(answer).rejects.toThrow("aborted");
      await settled(threadId);
      expect([kind, flag, await statuses(threadId)]).toEqual([kind, flag, [status]]);
    }
  });

  it("§2.6.10 bulk cancel: exactly one selection; 404 when nothing matched", async () => {
    const threadId = await newThread();
    const status = async (body: JsonObject) => (await call("POST", "/runs/cancel", body)).status;
    const ids = [randomUUID()];
    expect(await status({})).toBe(422);
    expect(await status({ status: "all", thread_id: threadId, run_ids: ids })).toBe(422);
    expect(await status({ thread_id: threadId })).toBe(422);
    expect(await status({ thread_id: threadId, run_ids: ids })).toBe(404);
    await post(threadId, slow(5_000));
    await post(threadId, slow(5_000));
    await started(threadId);
    expect(await status({ status: "pending" })).toBe(204);
    expect(await statuses(threadId)).toEqual(["interrupted", "running"]);
    expect(await status({ status: "running" })).toBe(204);
    await settled(threadId);
    expect(await statuses(threadId)).toEqual(["interrupted", "interrupted"]);
  });
});
