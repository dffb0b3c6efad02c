import fc from "fast-check";
import { MemorySaver, type BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { describe, expect, it } from "vitest";
import { createMemoryCheckpointer } from "../../src/checkpointers/memory.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { parseJsonText } from "../../src/core/json.js";
import { STREAM_MODES } from "../../src/core/run.js";
import type { PregelLike } from "../../src/engine/graph-source.js";
import { serialize } from "../../src/engine/streams/serialize.js";
import {
  ask,
  askInTurn,
  askTwice,
  chat,
  failing,
  fanOut,
  fleeting,
  functional,
  hello,
  loop,
  outer,
  silent,
  steps,
  whole,
} from "./graphs.js";
import { execute, harness, stockCheckpointer } from "./harness.js";

const graphs = {
  ask,
  askInTurn,
  askTwice,
  chat,
  fanOut,
  fleeting,
  functional,
  loop,
  outer,
  silent,
  steps,
  whole,
  bad: failing(new TypeError("Boo!")),
};
type GraphId = keyof typeof graphs;

const inputs: Readonly<Partial<Record<GraphId, unknown>>> = { functional: 20, fleeting: { kept: "x" } };

/** What LangGraph itself says of the thread, without the engine. */
async function truth(graphId: GraphId, { saver }: Checkpointer, threadId: string) {
  const graph = Object.create(graphs[graphId], { checkpointer: { value: saver as BaseCheckpointSaver } }) as PregelLike;
  const snapshot = await graph.getState({ configurable: { thread_id: threadId } });
  return {
    values: JSON.parse(serialize(snapshot.values)) as unknown,
    interrupts: Object.fromEntries(snapshot.tasks.map((task) => [task.id, task.interrupts])),
    // A node asked again after its first answer is not in `next`, though it waits.
    hasNext: snapshot.next.length > 0 || snapshot.tasks.some((task) => task.interrupts.length > 0),
  };
}

describe("the final state of a run", () => {
  it.each([
    ["LangGraph's memory saver", () => stockCheckpointer(new MemorySaver())],
    ["our memory saver", createMemoryCheckpointer],
  ])(
    "is what getState says, whatever was streamed and however the run ended: %s",
    { timeout: 60_000 },
    async (_name, open) => {
      const action = fc.record({
        kind: fc.constantFrom("input" as const, "resume" as const, "null" as const, "goto" as const),
        modes: fc.uniqueArray(fc.constantFrom(...STREAM_MODES.filter((mode) => mode !== "events")), { minLength: 1 }),
        subgraphs: fc.boolean(),
        interruptBefore: fc.option(fc.constantFrom("*" as const, ["two"], ["after"]), { nil: undefined }),
        durability: fc.constantFrom("sync" as const, "async" as const, "exit" as const),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...(Object.keys(graphs) as GraphId[])),
          fc.array(action, { minLength: 1, maxLength: 4 }),
          async (graphId, actions) => {
            const checkpointer = open();
            const { engine } = await harness(graphs, { checkpointer });
            let threadId: string | undefined;
            for (const { kind, modes, subgraphs, interruptBefore, durability } of actions) {
              const run = await execute(engine, {
                graphId,
                ...(threadId === undefined ? {} : { threadId }),
                ...(kind === "input" ? { input: (inputs[graphId] ?? hello) as never } : {}),
                ...(kind === "resume" ? { command: { resume: "answer" } } : {}),
                ...(kind === "goto" ? { command: { goto: "one", update: { topic: "moved" } } } : {}),
                ...(interruptBefore === undefined ? {} : { interruptBefore }),
                streamModes: modes,
                streamSubgraphs: subgraphs,
                durability,
              });
              ({ threadId } = run.run);
              const expected = await truth(graphId, checkpointer, threadId);
              const { values, interrupts, hasNext } = run.outcome;
              // A thread without any checkpoint has nothing to say.
              expect({
                values: values === undefined ? {} : parseJsonText(values),
                interrupts: interrupts === undefined ? {} : parseJsonText(interrupts),
                hasNext,
              }).toEqual(expected);
            }
          },
        ),
        { numRuns: 150 },
      );
    },
  );

  it("is not read again after a run that ended by itself over lasting channels", async () => {
    const { engine, saver } = await harness(graphs);
    const { getTuple } = saver;
    let reads = 0;
    saver.getTuple = (config) => {
      reads += 1;
      return getTuple.call(saver, config);
    };
    const run = await execute(engine, { graphId: "steps", input: { topic: "x" }, streamModes: ["updates"] });
    expect(run.values).toEqual({ messages: [], topic: "done", log: ["one", "two", "three"] });
    expect(reads).toBe(1);
  });

  it("of a run that failed is its last checkpoint's", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "bad", input: hello });
    expect(run.outcome).toMatchObject({
      kind: "error",
      error: '{"error":"TypeError","message":"Boo!"}',
      hasNext: true,
    });
    expect(run.values).toMatchObject({ log: ["good"] });
  });
});

describe("errors", () => {
  class CustomError extends Error {}
  class NamedError extends Error {
    override name = "Named";
  }
  it.each([
    [new CustomError("c"), { error: "CustomError", message: "c" }],
    [new NamedError("n"), { error: "Named", message: "n" }],
    [new RangeError("r\u0000"), { error: "RangeError", message: "r\uFFFD" }],
    [{ code: 7 }, { error: "Error", message: '{"code":7}' }],
    ["just text", { error: "Error", message: '"just text"' }],
    [42, { error: "Error", message: "42" }],
  ])("%j is named by its class", async (thrown, expected) => {
    const { engine } = await harness({ bad: failing(thrown) });
    const run = await execute(engine, { graphId: "bad", input: hello });
    expect(run.outcome.kind === "error" ? JSON.parse(run.outcome.error) : null).toEqual(expected);
  });

  it("of LangGraph keep their names", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "loop", input: hello, config: { recursion_limit: 3 } });
    const error = JSON.parse(run.outcome.kind === "error" ? run.outcome.error : "null") as {
      error: string;
      message: string;
    };
    expect(error.error).toBe("GraphRecursionError");
    expect(error.message).toContain("Recursion limit of 3 reached");
    expect(run.values).toMatchObject({ log: ["again", "again", "again"] });
  });

  it("of a factory, and unknown graphs, are outcomes too", async () => {
    const { engine } = await harness({
      broken: () => {
        throw new Error("no key");
      },
    });
    const run = await execute(engine, { graphId: "broken", input: hello });
    expect(run.outcome).toEqual({ kind: "error", error: '{"error":"Error","message":"no key"}', hasNext: false });
    const missing = await execute(engine, { graphId: "nowhere", input: hello });
    expect(missing.outcome).toMatchObject({
      kind: "error",
      error: expect.stringContaining('Graph \\"nowhere\\" not found') as unknown,
    });
  });
});
