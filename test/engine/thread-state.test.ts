import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isHeddleError } from "../../src/core/errors.js";
import type { JsonValue } from "../../src/core/json.js";
import { parseJsonText } from "../../src/core/json.js";
import type { ThreadState } from "../../src/core/state.js";
import { ask, chat, failing, fanOut, functional, hello, outer, steps } from "./graphs.js";
import { execute, harness } from "./harness.js";

const graphs = { ask, chat, fanOut, functional, outer, steps, bad: failing(new TypeError("Boo!")) };

const values = (state: ThreadState): JsonValue => parseJsonText(state.values);
const read = { config: {}, subgraphs: false };

async function threadOf(graphId: keyof typeof graphs, input: JsonValue = hello) {
  const { engine } = await harness(graphs);
  const { run } = await execute(engine, { graphId, input, metadata: { team: "red" } });
  return { engine, graphId, threadId: run.threadId, runId: run.runId };
}

describe("getState", () => {
  it("is empty for a thread that never ran, and echoes an unknown checkpoint", async () => {
    const { engine } = await harness(graphs);
    const threadId = randomUUID();
    expect(await engine.getState({ graphId: "chat", threadId, ...read })).toEqual({
      values: "{}",
      next: [],
      tasks: [],
      metadata: null,
      createdAt: null,
      checkpoint: null,
      parentCheckpoint: null,
    });
    const checkpointId = randomUUID();
    const state = await engine.getState({ graphId: "chat", threadId, ...read, checkpoint: { checkpointId } });
    expect(state).toMatchObject({
      values: "{}",
      checkpoint: { threadId, checkpointNs: "", checkpointId, checkpointMap: null },
    });
  });

  it("has the run's metadata, without inner keys and without the caller", async () => {
    const { engine } = await harness(graphs);
    const { run } = await execute(engine, {
      graphId: "chat",
      input: hello,
      metadata: { team: "red" },
      config: {
        metadata: { own: 1 },
        configurable: { flavour: "x", langgraph_auth_user: { token: "secret" }, __pregel_checkpointer: "evil" },
      },
    });
    const state = await engine.getState({ graphId: "chat", threadId: run.threadId, ...read });
    expect(parseJsonText(state.metadata as never)).toEqual({
      flavour: "x",
      own: 1,
      team: "red",
      run_id: run.runId,
      thread_id: run.threadId,
      graph_id: "chat",
      assistant_id: run.assistantId,
      run_attempt: 1,
      langgraph_version: "1.7.3",
      langgraph_plan: "developer",
      langgraph_host: "self-hosted",
      ls_integration: "langgraph",
      source: "loop",
      step: 1,
      parents: {},
    });
    expect(state.createdAt).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  it("addresses a subgraph's task by reference, or nests its state", async () => {
    const { engine, graphId, threadId } = await threadOf("outer");
    const flat = await engine.getState({ graphId, threadId, ...read });
    const [task] = flat.tasks;
    const reference = parseJsonText(task?.checkpoint as never) as Record<string, string>;
    expect(task).toMatchObject({ name: "approve", path: '["__pregel_pull","approve"]', state: null, result: null });
    expect(reference).toEqual({ thread_id: threadId, checkpoint_ns: `approve:${task?.id ?? ""}` });

    const nested = await engine.getState({ graphId, threadId, config: {}, subgraphs: true });
    expect(nested.tasks[0]).toMatchObject({ checkpoint: null, state: { next: ["ask"] } });

    const inner = await engine.getState({
      graphId,
      threadId,
      ...read,
      checkpoint: { checkpointNs: reference["checkpoint_ns"] ?? "" },
    });
    expect(inner).toEqual(nested.tasks[0]?.state);
    expect(parseJsonText(inner.tasks[0]?.interrupts ?? ("[]" as never))).toMatchObject([{ value: { q: "ok?" } }]);
  });

  it("has a failed task's error as text, and a finished parallel task's result", async () => {
    const { engine, threadId } = await threadOf("bad");
    const state = await engine.getState({ graphId: "bad", threadId, ...read });
    expect(state).toMatchObject({
      next: ["bad"],
      tasks: [{ name: "bad", error: '"TypeError: Boo!"', interrupts: "[]" }],
    });
  });

  it("of the functional API is what the entrypoint returned", async () => {
    const { engine, threadId } = await threadOf("functional", 2);
    const state = await engine.getState({ graphId: "functional", threadId, ...read });
    expect(values(state)).toEqual({ twice: 4, answer: "small" });
  });
});

describe("listStates", () => {
  it("is newest first, with limit, before, metadata and namespace", async () => {
    const { engine, graphId, threadId, runId } = await threadOf("steps", { topic: "x" });
    const list = (query: object) => engine.listStates({ graphId, threadId, config: {}, limit: 10, ...query });
    const all = await list({});
    expect(all.map(({ next }) => next)).toEqual([[], ["three"], ["two"], ["one"], ["__start__"]]);
    for (const [index, state] of all.entries()) {
      expect(state.parentCheckpoint?.checkpointId ?? null).toBe(all[index + 1]?.checkpoint?.checkpointId ?? null);
    }
    expect(await list({ limit: 2 })).toEqual(all.slice(0, 2));
    expect(await list({ limit: 0 })).toEqual([]);
    expect(await list({ before: { checkpointId: all[1]?.checkpoint?.checkpointId } })).toEqual(all.slice(2));
    expect(await list({ metadata: { run_id: runId, team: "red" } })).toEqual(all);
    expect(await list({ metadata: { team: "blue" } })).toEqual([]);
    expect(await list({ metadata: { step: 0 } })).toEqual([all[3]]);
    expect(all[1]?.tasks[0]).toMatchObject({ name: "three", result: '{"log":["three"],"topic":"done"}' });
  });

  it("lists a subgraph's checkpoints by its namespace", async () => {
    const { engine, graphId, threadId } = await threadOf("outer");
    const { tasks } = await engine.getState({ graphId, threadId, ...read });
    const { checkpoint_ns: checkpointNs } = parseJsonText(tasks[0]?.checkpoint as never) as Record<string, string>;
    const inner = await engine.listStates({
      graphId,
      threadId,
      config: {},
      limit: 10,
      checkpoint: { checkpointNs: checkpointNs ?? "" },
    });
    expect(inner.map(({ next }) => next)).toEqual([["ask"], ["__start__"]]);
    expect(inner[0]?.checkpoint?.checkpointNs).toBe(checkpointNs);
  });
});

describe("updateState", () => {
  const update = { config: {}, metadata: { by: "test" } };

  it("writes through reducers, as a node, and says where and what it led to", async () => {
    const { engine, graphId, threadId } = await threadOf("steps", { topic: "x" });
    const { checkpoint, final } = await engine.updateState({
      graphId,
      threadId,
      ...update,
      update: { values: { log: ["mine"] }, asNode: "one" },
    });
    expect(Object.keys(checkpoint)).toEqual(["thread_id", "checkpoint_ns", "checkpoint_id"]);
    expect(final).toMatchObject({ hasNext: true });
    expect(parseJsonText(final.values as never)).toMatchObject({ log: ["one", "two", "three", "mine"] });
    const state = await engine.getState({ graphId, threadId, ...read });
    expect(state.checkpoint?.checkpointId).toBe(checkpoint["checkpoint_id"]);
    expect(state.next).toEqual(["two"]);
    expect(parseJsonText(state.metadata as never)).toMatchObject({ source: "update", by: "test", thread_id: threadId });
    const rest = await execute(engine, { graphId, threadId, input: null });
    expect(rest.values).toMatchObject({ log: ["one", "two", "three", "mine", "two", "three"] });
  });

  it("takes messages as plain JSON, a list of updates, a command and null", async () => {
    const { engine, threadId } = await threadOf("chat");
    const write = (values_: object) => engine.updateState({ graphId: "chat", threadId, ...update, update: values_ });
    const one = await write({ values: { messages: [{ role: "human", content: "more", id: "m2" }] } });
    expect(one.final.values).toContain('{"content":"more","id":"m2"');
    const commanded = await write({ command: { update: { topic: "c" } }, asNode: "a" });
    expect(parseJsonText(commanded.final.values as never)).toMatchObject({ topic: "c" });
    const cleared = await write({ values: null, asNode: "__end__" });
    expect(cleared.final.hasNext).toBe(false);
    const empty = await write({ values: null });
    expect(parseJsonText(empty.final.values as never)).toMatchObject({ topic: "c" });
  });

  it("clears a pending interrupt, as LangGraph does", async () => {
    const { engine, graphId, threadId } = await threadOf("ask");
    const { final } = await engine.updateState({
      graphId,
      threadId,
      ...update,
      update: { values: { topic: "mine" }, asNode: "ask" },
    });
    expect(final).toMatchObject({ hasNext: true });
    expect(Object.values(parseJsonText(final.interrupts as never) as object)).toEqual([[]]);
    const rest = await execute(engine, { graphId, threadId, input: null });
    expect(rest.values).toMatchObject({ log: ["got mine"] });
  });

  it("forks from an earlier checkpoint", async () => {
    const { engine, graphId, threadId } = await threadOf("steps", { topic: "x" });
    const history = await engine.listStates({ graphId, threadId, config: {}, limit: 10 });
    const atTwo = history.find(({ next }) => next[0] === "two");
    const { final } = await engine.updateState({
      graphId,
      threadId,
      ...update,
      update: { values: { log: ["fork"] }, asNode: "one" },
      checkpoint: { checkpointId: atTwo?.checkpoint?.checkpointId ?? "" },
    });
    expect(parseJsonText(final.values as never)).toMatchObject({ log: ["one", "fork"] });
    const state = await engine.getState({ graphId, threadId, ...read });
    expect(state.parentCheckpoint?.checkpointId).toBe(atTwo?.checkpoint?.checkpointId);
  });

  it("writes into a subgraph, and the final state is the root's", async () => {
    const { engine, graphId, threadId } = await threadOf("outer");
    const { tasks } = await engine.getState({ graphId, threadId, ...read });
    const { checkpoint_ns: checkpointNs } = parseJsonText(tasks[0]?.checkpoint as never) as Record<string, string>;
    const { checkpoint, final } = await engine.updateState({
      graphId,
      threadId,
      ...update,
      update: { values: { topic: "inner" }, asNode: "ask" },
      checkpoint: { checkpointNs: checkpointNs ?? "" },
    });
    expect(checkpoint["checkpoint_ns"]).toBe(checkpointNs);
    expect(parseJsonText(final.values as never)).toMatchObject({ topic: "t" });
    const rest = await execute(engine, { graphId, threadId, input: null });
    expect(rest.values).toMatchObject({ topic: "inner", log: ["got inner"] });
  });

  it("refuses what the graph refuses, by name", async () => {
    const { engine, graphId, threadId } = await threadOf("steps", { topic: "x" });
    const refused = engine.updateState({ graphId, threadId, ...update, update: { values: {}, asNode: "nobody" } });
    await expect(refused).rejects.toSatisfy(
      (error) => isHeddleError(error) && error.code === "STATE_UPDATE_REJECTED" && error.message.includes('"nobody"'),
    );
  });
});

describe("bulkUpdateState", () => {
  it("makes one checkpoint for each superstep", async () => {
    const { engine } = await harness(graphs);
    const threadId = randomUUID();
    const { final } = await engine.bulkUpdateState({
      graphId: "steps",
      threadId,
      config: {},
      metadata: { graph_id: "steps" },
      supersteps: [
        { updates: [{ values: { topic: "in" }, asNode: "__input__" }] },
        { updates: [{ values: { topic: "in" }, asNode: "__start__" }] },
        { updates: [{ values: { log: ["one"] }, asNode: "one" }] },
        { updates: [{ command: { update: { log: ["two"] } }, asNode: "two" }] },
      ],
    });
    expect(parseJsonText(final.values as never)).toEqual({ messages: [], topic: "in", log: ["one", "two"] });
    expect(final.hasNext).toBe(true);
    const history = await engine.listStates({ graphId: "steps", threadId, config: {}, limit: 10 });
    expect(history.map(({ next }) => next)).toEqual([["three"], ["two"], ["one"], ["__start__"]]);
    const copied = await engine.bulkUpdateState({
      graphId: "steps",
      threadId,
      config: {},
      metadata: {},
      supersteps: [{ updates: [{ values: null, asNode: "__copy__" }] }],
    });
    expect(copied.final).toMatchObject({ values: final.values, hasNext: true });
  });
});

describe("finalState", () => {
  it("is what a run left, and knows nothing of a thread without checkpoints", async () => {
    const { engine, graphId, threadId } = await threadOf("ask");
    const final = await engine.finalState({ graphId, threadId, config: {} });
    expect(final.hasNext).toBe(true);
    expect(Object.values(parseJsonText(final.interrupts as never) as object)).toMatchObject([
      [{ value: { q: "ok?" } }],
    ]);
    expect(await engine.finalState({ graphId, threadId: randomUUID(), config: {} })).toEqual({ hasNext: false });
  });
});

describe("drawGraph", () => {
  it("is LangGraph's drawing as JSON", async () => {
    const { engine } = await harness(graphs);
    const drawing = await engine.drawGraph({ graphId: "chat", config: {}, xray: false });
    const schema = { $schema: "https://json-schema.org/draft/2020-12/schema" };
    expect(drawing).toEqual({
      nodes: [
        { id: "__start__", type: "schema", data: schema },
        { id: "a", type: "runnable", data: { id: ["langgraph", "RunnableCallable"], name: "a" }, metadata: {} },
        { id: "__end__", type: "schema", data: schema },
      ],
      edges: [
        { source: "__start__", target: "a", conditional: false },
        { source: "a", target: "__end__", conditional: false },
      ],
    });
  });

  it("expands subgraphs of more than one node with xray, to a depth", async () => {
    const { engine } = await harness(graphs);
    const ids = async (xray: boolean | number) =>
      ((await engine.drawGraph({ graphId: "outer", config: {}, xray })) as { nodes: { id: string }[] }).nodes.map(
        ({ id }) => id,
      );
    expect(await ids(false)).toEqual(["__start__", "talk", "approve", "__end__"]);
    expect(await ids(true)).toEqual(["__start__", "talk", "approve:ask", "approve:after", "__end__"]);
    expect(await ids(1)).toEqual(await ids(true));
    expect(await ids(0)).toEqual(await ids(false));
  });
});
