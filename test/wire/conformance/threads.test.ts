import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/json.js";
import * as fixtures from "../../fixtures/graphs/index.js";
import { type Call, requester } from "../../support/requests.js";
import { STORAGES, type TestServer, startServer } from "../../support/server.js";

const uses: { accessContext: string; executionRuntime: unknown; greeting: unknown }[] = [];

/** A factory that writes down what it is called with. */
const observed = (
  config: { configurable?: JsonObject },
  runtime: { accessContext: string; executionRuntime: unknown },
) => {
  uses.push({ ...runtime, greeting: config.configurable?.["greeting"] });
  return fixtures.made(config);
};

describe.each(STORAGES)("threads and state over the wire on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...fixtures, observed } });
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const create = async (body: JsonObject = {}) => (await call("POST", "/threads", body)).json;
  const wait = async (threadId: string, body: JsonObject) =>
    (await call("POST", `/threads/${threadId}/runs/wait`, body)).json;
  const at = async (threadId: string, rest = "") => (await call("GET", `/threads/${threadId}${rest}`)).json;
  const update = (threadId: string, body: JsonObject) => call("POST", `/threads/${threadId}/state`, body);
  const history = async (threadId: string, body: JsonObject = {}) =>
    (await call("POST", `/threads/${threadId}/history`, body)).json;

  it("§2.2 a new thread has no values; its state is empty, without metadata", async () => {
    const thread = await create();
    expect(Object.keys(thread).sort()).toEqual([
      "config",
      "created_at",
      "metadata",
      "state_updated_at",
      "status",
      "thread_id",
      "updated_at",
    ]);
    const empty = { values: {}, next: [], tasks: [], created_at: null, checkpoint: null, parent_checkpoint: null };
    expect(await at(thread.thread_id, "/state")).toEqual({ ...empty, interrupts: [] });
    expect((await update(thread.thread_id, { values: {} })).json.detail).toBe(
      `Thread ${thread.thread_id} has no graph ID`,
    );
  });

  it("§2.1.1 bodies: none, text/plain, nulls; §2.1.4 NUL, prototype keys", async () => {
    expect((await call("POST", "/threads")).status).toBe(200);
    const plain = await call("POST", "/threads", '{"metadata":{"x":1}}', { "content-type": "text/plain" });
    expect(plain.json.metadata).toEqual({ x: 1 });
    await create({ metadata: null, thread_id: null, supersteps: null, ttl: null, if_exists: null });
    const odd = await call(
      "POST",
      "/threads",
      '{"metadata":{"a\\u0000":"b\\u0000","c":"\\\\u0000","__proto__":{"x":1},"é":"😀"}}',
    );
    // As entries: a database may keep the keys of an object in an order of its own, and `__proto__` must be one of them.
    expect(new Set(Object.entries(odd.json.metadata as object))).toEqual(
      new Set([
        ["__proto__", { x: 1 }],
        ["a\ufffd", "b\ufffd"],
        ["c", "\\u0000"],
        ["é", "😀"],
      ]),
    );
    for (const limit of ["0", "1001", "1.5", '"5"', "1e999"]) {
      const answer = await call("POST", "/threads/search", `{"limit":${limit}}`);
      expect([answer.status, answer.json.detail]).toEqual([422, expect.stringContaining("limit")]);
    }
  });

  it("§2.4.2 search: ids, select, extract, pagination headers (A5)", async () => {
    const made = await Promise.all([1, 2, 3].map((i) => create({ metadata: { tag: storage, deep: { list: [i] } } })));
    const ids = made.map((thread) => thread.thread_id);
    const first = await call("POST", "/threads/search", { metadata: { tag: storage }, limit: 2 });
    expect([first.headers.get("x-pagination-total"), first.headers.get("x-pagination-next")]).toEqual(["3", "2"]);
    const rest = await call("POST", "/threads/search", { metadata: { tag: storage }, limit: 2, offset: 2 });
    expect([rest.headers.get("x-pagination-total"), rest.headers.get("x-pagination-next")]).toEqual(["3", null]);
    const view = {
      ids: [ids[0]],
      select: ["thread_id"],
      extract: { last: "metadata.deep.list[-1]", none: "values.x" },
    };
    expect((await call("POST", "/threads/search", view)).json).toEqual([
      { thread_id: ids[0], extracted: { last: 1, none: null } },
    ]);
    expect((await call("POST", "/threads/search", { ids: [], metadata: { tag: storage } })).json).toHaveLength(3);
    expect((await call("POST", "/threads/search", { select: ["nope"] })).status).toBe(422);
  });

  it("§2.4.5 patch: metadata is optional (A28) and merged; return=minimal is 204", async () => {
    const { thread_id: id } = await create({ metadata: { a: 1 } });
    expect((await call("PATCH", `/threads/${id}`, {})).json.metadata).toEqual({ a: 1 });
    const minimal = await call("PATCH", `/threads/${id}`, { metadata: { b: 2 } }, { prefer: "return=minimal" });
    expect([minimal.status, minimal.text]).toEqual([204, ""]);
    expect((await at(id)).metadata).toEqual({ a: 1, b: 2 });
  });

  it("§2.4.10 a state update brings status, values and interrupts in step (A13)", async () => {
    const { thread_id: id } = await create();
    await wait(id, { assistant_id: "ask", input: { question: "q" } });
    expect(Object.values((await at(id)).interrupts).flat()).toHaveLength(1);
    const { checkpoint } = (await update(id, { values: { question: "w" } })).json;
    expect(Object.keys(checkpoint).sort()).toEqual(["checkpoint_id", "checkpoint_map", "checkpoint_ns", "thread_id"]);
    const state = await at(id, "/state");
    expect(state).toMatchObject({ next: ["ask"], metadata: { source: "update", step: 1 }, interrupts: [] });
    expect(await at(id)).toMatchObject({
      status: "interrupted",
      values: { question: "w" },
      interrupts: { [state.tasks[0].id]: [] },
    });
    await update(id, { values: null, as_node: "__end__" });
    expect(await at(id)).toMatchObject({ status: "idle", interrupts: {} });
    const wrong = await update(id, { values: {}, as_node: "nobody" });
    expect([wrong.status, wrong.json.detail]).toEqual([422, expect.stringContaining("nobody")]);
  });

  it("§2.4.8 an unknown checkpoint is an empty state that echoes it; select narrows", async () => {
    const { thread_id: id } = await create();
    await wait(id, { assistant_id: "counter", input: { n: 0 } });
    const unknown = randomUUID();
    expect(await at(id, `/state/${unknown}`)).toMatchObject({ values: {}, checkpoint: { checkpoint_id: unknown } });
    expect(await at(id, "/state?select=values.n&select=next")).toEqual({ values: { n: 3 }, next: [] });
    expect(await history(id, { limit: 2, select: ["next"] })).toEqual([{ next: [] }, { next: ["three"] }]);
  });

  it("§2.4.11 history: before in three forms (A7), metadata filter, default limits (B)", async () => {
    const { thread_id: id } = await create();
    await wait(id, { assistant_id: "counter", input: { n: 0 }, metadata: { mark: "x" } });
    await wait(id, { assistant_id: "counter", input: { n: 0 } });
    const all = await history(id, { limit: 100 });
    expect(all).toHaveLength(10);
    expect(await history(id)).toHaveLength(1);
    expect(await at(id, "/history")).toHaveLength(10);
    expect(await history(id, { limit: 100, metadata: { mark: "x" } })).toHaveLength(5);
    const { checkpoint } = all[3];
    const { checkpoint_id } = checkpoint;
    for (const before of [checkpoint_id, checkpoint, { configurable: { checkpoint_id } }]) {
      expect(await history(id, { limit: 100, before })).toEqual(all.slice(4));
    }
    for (const before of [5, {}]) {
      expect((await call("POST", `/threads/${id}/history`, { before })).json.detail).toContain("before");
    }
  });

  it("§2.9.6 forks: from an older checkpoint by run and by update", async () => {
    const { thread_id: id } = await create();
    await wait(id, { assistant_id: "counter", input: { n: 0 } });
    const older = (await history(id, { limit: 100 })).find((s: { next: string[] }) => s.next[0] === "two").checkpoint;
    const replay = { assistant_id: "counter", input: null };
    expect(await wait(id, { ...replay, checkpoint: older })).toMatchObject({ n: 3 });
    await update(id, { values: { n: 50 }, checkpoint_id: older.checkpoint_id, as_node: "one" });
    expect(await at(id)).toMatchObject({ status: "interrupted", values: { n: 50 } });
    expect(await wait(id, replay)).toMatchObject({ n: 52 });
  });

  it("§2.2 subgraph tasks address their state: read, list, write, continue", async () => {
    const { thread_id: id } = await create();
    await wait(id, { assistant_id: "nestedAsk", input: { question: "q" } });
    const [task] = (await at(id, "/state")).tasks;
    expect(task).toMatchObject({ state: null, checkpoint: { thread_id: id, checkpoint_ns: `sub:${task.id}` } });
    const [deep] = (await at(id, "/state?subgraphs=true")).tasks;
    expect(deep).toMatchObject({ checkpoint: null, state: { next: ["innerAsk"], values: { question: "q" } } });
    for (const subgraphs of [true, "true", undefined]) {
      const body = { checkpoint: task.checkpoint, ...(subgraphs === undefined ? {} : { subgraphs }) };
      const state = await call("POST", `/threads/${id}/state/checkpoint`, body);
      expect(state.json).toMatchObject({ next: ["innerAsk"] });
    }
    expect(await history(id, { limit: 10, checkpoint: task.checkpoint })).toHaveLength(2);
    await update(id, { values: { answer: "sub!" }, checkpoint: task.checkpoint, as_node: "innerAsk" });
    expect(await wait(id, { assistant_id: "nestedAsk", input: null })).toEqual({ question: "q", answer: "sub!" });
  });

  it("§2.4.1 supersteps: one checkpoint each, command wins over values; §2.4.7 copies", async () => {
    const supersteps = [
      { updates: [{ values: { n: 5 }, as_node: "__input__" }] },
      { updates: [{ values: { n: 6, log: ["x"] }, as_node: "one" }] },
      { updates: [{ values: { n: 9 }, command: { update: { n: 7 } }, as_node: "two" }] },
    ];
    const made = await create({ metadata: { graph_id: "counter" }, supersteps });
    expect(made).toMatchObject({ status: "interrupted", values: { n: 7, log: ["x"] } });
    const id = made.thread_id;
    expect((await history(id, { limit: 10 })).map((s: { next: string[] }) => s.next)).toEqual([
      ["three"],
      ["two"],
      ["__start__"],
    ]);
    const copy = (await call("POST", `/threads/${id}/copy`)).json;
    expect(copy.metadata).toMatchObject({ graph_id: "counter", thread_id: copy.thread_id });
    const [before, after] = [await history(id, { limit: 10 }), await history(copy.thread_id, { limit: 10 })];
    expect(JSON.stringify(after)).toBe(JSON.stringify(before).replaceAll(id, copy.thread_id));
    expect(await wait(copy.thread_id, { assistant_id: "counter", input: null })).toMatchObject({ n: 8 });
    expect(await at(id)).toMatchObject({ values: { n: 7 } });
    const refused = await call("POST", "/threads", { thread_id: randomUUID(), supersteps });
    expect([refused.status, refused.json.detail]).toEqual([400, expect.stringContaining("has no graph ID")]);
    expect((await call("POST", `/threads/${randomUUID()}/copy`)).status).toBe(409);
  });

  it("§2.9.6 resume values of every kind, commands with update and goto", async () => {
    for (const [resume, answer] of [
      [false, "false!"],
      [0, "0!"],
      ["", "!"],
      [{ a: 1 }, "[object Object]!"],
    ] as const) {
      const { thread_id: id } = await create();
      await wait(id, { assistant_id: "ask", input: { question: "q" } });
      const command = { resume, update: null, goto: null, lg_name: "Command" };
      expect((await wait(id, { assistant_id: "ask", command })).answer).toBe(answer);
      const jump = { update: [["question", "p"]], goto: { node: "done", input: { answer: "sent" } } };
      expect(await wait(id, { assistant_id: "ask", command: jump })).toEqual({ question: "p", answer: "sent!" });
    }
  });

  it("§5.4 factories learn what they are made for", async () => {
    const { thread_id: id } = await create();
    const { assistant_id } = (
      await call("POST", "/assistants", { graph_id: "observed", config: { configurable: { greeting: "hey" } } })
    ).json;
    const during = async (act: () => Promise<unknown>) => {
      uses.length = 0;
      await act();
      return uses.at(-1);
    };
    const run = { assistant_id, input: {}, context: { greeting: "hi" } };
    expect(await during(() => wait(id, run))).toEqual({
      accessContext: "threads.create_run",
      executionRuntime: { context: { greeting: "hi" } },
      greeting: "hi",
    });
    const rest = { executionRuntime: null, greeting: "hey" };
    expect(await during(() => at(id, "/state"))).toEqual({ accessContext: "threads.read", ...rest });
    expect(await during(() => history(id))).toEqual({ accessContext: "threads.read", ...rest });
    expect(await during(() => update(id, { values: { text: "x" } }))).toEqual({
      accessContext: "threads.update",
      ...rest,
    });
    const read = (path: string) => during(() => call("GET", `/assistants/${assistant_id}/${path}`));
    for (const path of ["graph", "subgraphs", "schemas"]) {
      expect([path, await read(path)]).toEqual([path, { accessContext: "assistants.read", ...rest }]);
    }
  });
});
