import { Auth } from "@langchain/langgraph-sdk/auth";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ownersAuth } from "../../support/owners-auth.js";
import { errorOf, fresh, type Json, PROTOCOL_STORAGES, type Served, serve, until, type User } from "./served.js";

describe.each(PROTOCOL_STORAGES)("SnapState's workflows as threads on %s", (storage) => {
  let served: Served;
  let ann: User;
  beforeAll(async () => {
    served = await serve(storage);
    ann = await served.user("ann");
  });
  afterAll(() => served.close());

  const threadOf = async (user: User, workflow: string) => {
    const [thread] = await user.client.threads.search({ metadata: { snapstate: { workflow_id: workflow } } });
    return thread;
  };

  test("41: the thread has the checkpoints in its history, the last one as its state", async () => {
    const workflow = fresh();
    const states = [
      { b: 1, a: { list: [1, {}] }, gone: true },
      { b: 2, a: { list: [] }, big: Number.MAX_SAFE_INTEGER },
      { only: "ü" },
    ];
    const saved: Json[] = [];
    for (const [at, state] of states.entries()) {
      const { body } = await ann.save({
        workflow_id: workflow,
        step: 9 - at,
        state,
        label: `l${at}`,
        metadata: { at },
      });
      saved.push(body);
    }
    const thread = await threadOf(ann, workflow);
    expect(thread).toMatchObject({
      status: "idle",
      values: { only: "ü" },
      metadata: { graph_id: "snapstate", snapstate: { workflow_id: workflow } },
    });
    const threadId = thread?.thread_id ?? "";
    const state = await ann.client.threads.getState(threadId);
    expect(state.values).toEqual({ only: "ü" });
    expect(state.next).toEqual([]);
    const history = await ann.client.threads.getHistory(threadId, { limit: 10 });
    expect(history.map(({ values }) => JSON.stringify(values))).toEqual(
      states.toReversed().map((one) => JSON.stringify(one)),
    );
    expect(history[0]?.metadata).toMatchObject({
      source: "update",
      step: 3,
      snapstate: {
        workflow_id: workflow,
        step: 7,
        seq: 3,
        label: "l2",
        metadata: { at: 2 },
        etag: saved[2]?.["etag"],
        size_bytes: saved[2]?.["size_bytes"],
        diff_from_previous: saved[2]?.["diff_from_previous"],
      },
    });
    expect(history[0]?.parent_checkpoint?.checkpoint_id).toBe(history[1]?.checkpoint.checkpoint_id ?? "");
    expect(history[2]?.parent_checkpoint).toBeNull();
    expect(history.map(({ created_at: createdAt }) => createdAt)).toEqual(
      saved.toReversed().map((one) => one["created_at"]),
    );
    const before = await ann.client.threads.getState(threadId, history[1]?.checkpoint.checkpoint_id ?? "");
    expect(before.values).toEqual(states[1]);
  });

  test("a thread that is deleted takes its workflow with it, and the name is free", async () => {
    const workflow = fresh();
    const { body } = await ann.save({ workflow_id: workflow, state: { a: 1 } });
    const thread = await threadOf(ann, workflow);
    await ann.client.threads.delete(thread?.thread_id ?? "");
    expect(errorOf(await ann.send("GET", `/checkpoints/${String(body["checkpoint_id"])}`))).toEqual([404, "NOT_FOUND"]);
    expect(errorOf(await ann.send("GET", `/workflows/${workflow}/resume`))).toEqual([404, "NOT_FOUND"]);
    expect((await ann.send("GET", `/workflows/${workflow}/replay`)).body["checkpoints"]).toEqual([]);
    const again = await ann.save({ workflow_id: workflow, state: { b: 1 } });
    expect([again.status, again.body["diff_from_previous"]]).toMatchObject([201, { added: ["b"], removed: [] }]);
    expect((await ann.send("GET", `/workflows/${workflow}/resume`)).body["total_checkpoints"]).toBe(1);
    const history = await ann.client.threads.getHistory((await threadOf(ann, workflow))?.thread_id ?? "");
    expect(history.map(({ values }) => values)).toEqual([{ b: 1 }]);
  });

  test("a workflow that expires takes its thread with it", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow }, { "x-checkpoint-ttl": "1" });
    const threadId = (await threadOf(ann, workflow))?.thread_id ?? "";
    await until(async () => (await threadOf(ann, workflow)) === undefined, "the thread to go");
    await expect(ann.client.threads.getState(threadId)).rejects.toThrow(/404/);
  });

  test("what LangGraph clients write to the thread is theirs: SnapState goes on with its own", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow, step: 1, state: { a: 1 } });
    const threadId = (await threadOf(ann, workflow))?.thread_id ?? "";
    await ann.client.threads.updateState(threadId, { values: { theirs: true }, asNode: "state" });
    await ann.client.runs.wait(threadId, "echo", { input: { messages: [{ role: "user", content: "hi" }] } });
    const saved = await ann.save({ workflow_id: workflow, step: 2, state: { a: 2 } });
    expect(saved.body["diff_from_previous"]).toEqual({ added: [], removed: [], changed: ["a"] });
    const { body } = await ann.send("GET", `/workflows/${workflow}/replay`);
    expect((body["checkpoints"] as Json[]).map(({ state }) => state)).toEqual([{ a: 1 }, { a: 2 }]);
  });

  test("the graph of these threads is offered to nobody", async () => {
    const assistants = await ann.client.assistants.search({ limit: 100 });
    expect(assistants.map(({ graph_id: graphId }) => graphId)).not.toContain("snapstate");
    const thread = await ann.client.threads.create();
    await expect(ann.client.runs.wait(thread.thread_id, "snapstate", { input: {} })).rejects.toThrow(/404/);
  });

  test("a thread of the same id that somebody else has made is left alone", async () => {
    const workflow = fresh();
    await ann.save({ workflow_id: workflow });
    const threadId = (await threadOf(ann, workflow))?.thread_id ?? "";
    await ann.client.threads.delete(threadId);
    const bob = await served.user("bob");
    await bob.client.threads.create({ threadId, metadata: { mine: true } });
    expect(errorOf(await ann.save({ workflow_id: workflow }))).toEqual([409, "CONFLICT"]);
    await bob.client.threads.delete(threadId);
    expect((await ann.save({ workflow_id: workflow })).status).toBe(201);
  });

  test("handlers are asked: what they hide is not there, what they refuse is 403", async () => {
    const auth = ownersAuth();
    auth.on("threads:create", ({ user, value }) => {
      const marked = value as { metadata?: Json };
      marked.metadata = { ...marked.metadata, owner: user.identity };
      return user.identity !== "reader";
    });
    const other = await serve(storage, { auth });
    try {
      const [cat, reader] = [other.as("cat"), other.as("reader")];
      const workflow = fresh();
      expect((await cat.save({ workflow_id: workflow })).status).toBe(201);
      expect(errorOf(await reader.save({ workflow_id: workflow }))).toEqual([403, "FORBIDDEN"]);
      const thread = await threadOf(cat, workflow);
      expect(thread?.metadata).toMatchObject({ owner: "cat" });
      const agent = await cat.send("POST", "/agents", { agent_id: "a" });
      expect(agent.status).toBe(201);
      expect((await cat.send("GET", "/agents")).body["agents"]).toHaveLength(1);
      expect((await reader.send("GET", "/agents")).body["agents"]).toEqual([]);
    } finally {
      await other.close();
    }
  });
});

test("who may do nothing is refused by every route, whatever there is", async () => {
  const auth = new Auth().authenticate(() => ({ identity: "denied", permissions: [] })).on("*", () => false);
  const served = await serve("memory", { auth });
  try {
    const denied = served.as("any");
    const body = { workflow_id: "w", step: 1, state: {} };
    for (const [method, path, sent] of [
      ["POST", "/checkpoints", body],
      ["GET", "/checkpoints/cp_w_001"],
      ["GET", "/checkpoints/nonsense"],
      ["GET", "/workflows/w/resume"],
      ["GET", "/workflows/w/replay"],
      ["POST", "/agents", { agent_id: "a" }],
      ["GET", "/agents"],
      ["GET", "/agents/a"],
      ["PATCH", "/agents/a", { name: "x" }],
      ["DELETE", "/agents/a"],
      ["POST", "/webhooks", { url: "http://127.0.0.1:1/", events: ["checkpoint.saved"] }],
      ["DELETE", "/webhooks/wh_000000000000000000000000"],
    ] as const) {
      const answer = await denied.send(method, path, sent);
      expect([method, path, ...errorOf(answer)]).toEqual([method, path, 403, "FORBIDDEN"]);
    }
  } finally {
    await served.close();
  }
});

test("a graph of the user's that is called snapstate is refused at the start", async () => {
  const { echo } = await import("../../fixtures/graphs/index.js");
  await expect(serve("memory", { graphs: { snapstate: echo } })).rejects.toThrow(/graphs: "snapstate"/);
});
