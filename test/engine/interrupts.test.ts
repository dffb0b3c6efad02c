import { MemorySaver } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ask, askInTurn, askTwice, functional, hello, outer, steps } from "./graphs.js";
import { execute, harness, named, stockCheckpointer, type Executed } from "./harness.js";

const graphs = { ask, askInTurn, askTwice, functional, outer, steps };

interface Interrupt {
  readonly id: string;
  readonly value: unknown;
}

const asked = (run: Executed): readonly Interrupt[] =>
  Object.values(run.interrupts as unknown as Record<string, Interrupt[]>).flat();

describe("dynamic interrupts", () => {
  it("are a success with the interrupt beside the state, and resume with a value", async () => {
    const { engine } = await harness(graphs);
    const threadId = randomUUID();
    const first = await execute(engine, {
      graphId: "ask",
      threadId,
      input: hello,
      streamModes: ["values", "updates", "tasks"],
    });
    expect(first.outcome).toMatchObject({ kind: "success", hasNext: true });
    const [interrupt] = asked(first);
    expect(interrupt).toEqual({ id: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown, value: { q: "ok?" } });
    expect(named(first, "updates")).toEqual([{ __interrupt__: [interrupt] }]);
    const last = named(first, "values").at(-1);
    expect(last).toEqual({ ...(named(first, "values")[0] as object), __interrupt__: [interrupt] });
    expect(first.values).not.toHaveProperty("__interrupt__");
    expect(named(first, "tasks").at(-1)).toMatchObject({ result: {}, interrupts: [interrupt], error: null });

    const second = await execute(engine, {
      graphId: "ask",
      threadId,
      command: { resume: "yes" },
      streamModes: ["updates"],
    });
    expect(second.text).toEqual(['updates: {"ask":{"topic":"yes"}}', 'updates: {"after":{"log":["got yes"]}}']);
    expect(second.outcome).toMatchObject({ kind: "success", hasNext: false, interrupts: "{}" });
  });

  it.each(["async", "sync"] as const)("are stored before they are told (%s)", async (durability) => {
    const told: string[] = [];
    const saver = new (class extends MemorySaver {
      override async putWrites(...args: Parameters<MemorySaver["putWrites"]>): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await super.putWrites(...args);
        told.push("stored");
      }
    })();
    const { engine } = await harness(graphs, { checkpointer: stockCheckpointer(saver) });
    await execute(
      engine,
      { graphId: "ask", input: hello, streamModes: ["updates"], durability },
      { onFrame: ({ data }) => void told.push(JSON.stringify(data).includes("__interrupt__") ? "asked" : "other") },
    );
    expect(told).toContain("asked");
    expect(told.slice(0, told.indexOf("asked"))).toContain("stored");
  });

  it("tolerates what RemoteGraph adds to a command", async () => {
    const { engine } = await harness(graphs);
    const { run } = await execute(engine, { graphId: "ask", input: hello });
    const command = { lg_name: "Command", resume: "yes", unknown: 1 };
    const resumed = await execute(engine, { graphId: "ask", threadId: run.threadId, command });
    expect(resumed.values).toMatchObject({ topic: "yes" });
  });

  it("in parallel: the last values event has all of them, and the finished node's write", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "askTwice", input: hello, streamModes: ["values"] });
    const last = named(run, "values").at(-1) as unknown as { __interrupt__: Interrupt[]; log: string[] };
    expect(last.__interrupt__.map(({ value }) => value)).toEqual(["1?", "2?"]);
    expect(last.log).toEqual(["free"]);
    expect(asked(run).map(({ value }) => value)).toEqual(["1?", "2?"]);
    expect(run.values).toMatchObject({ log: ["free"] });

    const [one, two] = asked(run);
    const resumed = await execute(engine, {
      graphId: "askTwice",
      threadId: run.run.threadId,
      command: { resume: { [one?.id ?? ""]: "a", [two?.id ?? ""]: "b" } },
    });
    expect(resumed.values).toMatchObject({ log: ["free", "one a", "two b"] });
    expect(resumed.outcome).toMatchObject({ kind: "success", hasNext: false });
  });

  it("several in one node are asked in turn", async () => {
    const { engine } = await harness(graphs);
    const first = await execute(engine, { graphId: "askInTurn", input: hello });
    const { threadId } = first.run;
    expect(asked(first).map(({ value }) => value)).toEqual(["first?"]);
    const second = await execute(engine, { graphId: "askInTurn", threadId, command: { resume: "1" } });
    expect(asked(second).map(({ value }) => value)).toEqual(["second?"]);
    expect(second.outcome).toMatchObject({ hasNext: true });
    const third = await execute(engine, { graphId: "askInTurn", threadId, command: { resume: "2" } });
    expect(third.values).toMatchObject({ topic: "1 2" });
  });

  it("in a subgraph bubble up, and resume there", async () => {
    const { engine } = await harness(graphs);
    const first = await execute(engine, { graphId: "outer", input: hello, streamModes: ["values", "updates"] });
    expect(asked(first)).toMatchObject([{ value: { q: "ok?" } }]);
    expect(named(first, "values").at(-1)).toMatchObject({ topic: "t", __interrupt__: [{ value: { q: "ok?" } }] });
    const second = await execute(engine, {
      graphId: "outer",
      threadId: first.run.threadId,
      command: { resume: "fine" },
    });
    expect(second.values).toMatchObject({ topic: "fine", log: ["got fine"] });
  });

  it("in a temporary run work as well, and leave nothing behind", async () => {
    const { engine, saver } = await harness(graphs);
    const run = await execute(engine, { graphId: "outer", input: hello, temporary: true });
    expect(run.outcome).toMatchObject({ kind: "success", hasNext: true });
    expect(named(run, "values").at(-1)).toMatchObject({ __interrupt__: [{ value: { q: "ok?" } }] });
    expect(run.values).toMatchObject({ topic: "t" });
    expect(Object.keys(saver.storage)).toEqual([]);
    expect(Object.keys(saver.writes)).toEqual([]);
  });

  it("of the functional API, whose values have no room for a key, come alone", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "functional", input: 20, streamModes: ["values", "updates"] });
    expect(named(run, "values").at(-1)).toMatchObject({ __interrupt__: [{ value: "big?" }] });
    expect(run.outcome).toMatchObject({ kind: "success", hasNext: true });
    const resumed = await execute(engine, {
      graphId: "functional",
      threadId: run.run.threadId,
      command: { resume: "ok" },
    });
    expect(resumed.values).toEqual({ twice: 40, answer: "ok" });
  });
});

describe("static interrupts", () => {
  it.each([
    [{ interruptBefore: ["two"] }, ["one"], ["two"]],
    [{ interruptAfter: ["two"] }, ["one", "two"], ["three"]],
    [{ interruptBefore: "*" as const }, [], ["one"]],
    [{ interruptAfter: ["no such node", "one"] }, ["one"], ["two"]],
  ])("%j stop with an empty list, and null input continues", async (breakpoints, log, next) => {
    const { engine } = await harness(graphs);
    const threadId = randomUUID();
    const run = await execute(engine, {
      graphId: "steps",
      threadId,
      input: { topic: "x" },
      streamModes: ["values", "updates"],
      ...breakpoints,
    });
    expect(run.outcome).toMatchObject({ kind: "success", hasNext: true });
    expect(named(run, "values").at(-1)).toEqual({ messages: [], topic: "x", log, __interrupt__: [] });
    expect(named(run, "updates").at(-1)).toEqual({ __interrupt__: [] });
    const state = await engine.getState({ graphId: "steps", threadId, config: {}, subgraphs: false });
    expect(state.next).toEqual(next);
    expect(run.interrupts).toEqual({ [state.tasks[0]?.id ?? ""]: [] });

    const rest = await execute(engine, { graphId: "steps", threadId, input: null });
    expect(rest.values).toMatchObject({ log: ["one", "two", "three"], topic: "done" });
  });
});

describe("commands and checkpoints", () => {
  it("update as an object or as pairs, goto a node or a Send", async () => {
    const { engine } = await harness(graphs);
    const { run } = await execute(engine, { graphId: "steps", input: { topic: "x" } });
    const { threadId } = run;
    const updated = await execute(engine, { graphId: "steps", threadId, command: { update: { topic: "o" } } });
    expect(updated.values).toMatchObject({ topic: "o", log: ["one", "two", "three"] });
    const paired = await execute(engine, {
      graphId: "steps",
      threadId,
      command: {
        update: [
          ["topic", "p"],
          ["log", ["pair"]],
        ],
        goto: "three",
      },
    });
    expect(paired.values).toMatchObject({ topic: "done", log: ["one", "two", "three", "pair", "three"] });
    const sent = await execute(engine, {
      graphId: "steps",
      threadId,
      command: { goto: [{ node: "two", input: { topic: "sent" } }] },
      streamModes: ["updates"],
    });
    expect(sent.text[0]).toBe('updates: {"two":{"log":["two"]}}');
  });

  it("forks from an earlier checkpoint", async () => {
    const { engine } = await harness(graphs);
    const { run } = await execute(engine, { graphId: "steps", input: { topic: "x" } });
    const { threadId } = run;
    const history = await engine.listStates({ graphId: "steps", threadId, config: {}, limit: 10 });
    const atTwo = history.find((state) => state.next[0] === "two");
    const fork = await execute(engine, {
      graphId: "steps",
      threadId,
      input: null,
      checkpoint: { checkpointId: atTwo?.checkpoint?.checkpointId ?? "", checkpointNs: "" },
      streamModes: ["updates"],
    });
    expect(named(fork, "updates").map((update) => Object.keys(update as object)[0])).toEqual(["two", "three"]);
    const after = await engine.listStates({ graphId: "steps", threadId, config: {}, limit: 20 });
    expect(after.length).toBeGreaterThan(history.length);
    expect(after[0]?.values).toContain('"log":["one","two","three"]');
  });

  it("an empty command is the graph's error, not a crash", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "steps", command: { lg_name: "Command" } });
    expect(run.outcome).toMatchObject({ kind: "error", hasNext: false });
    expect(JSON.parse(run.outcome.kind === "error" ? run.outcome.error : "")).toMatchObject({
      error: "EmptyInputError",
    });
  });
});
