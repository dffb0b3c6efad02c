import { HumanMessage } from "@langchain/core/messages";
import type { RunnableConfig } from "@langchain/core/runnables";
import { Command, END, interrupt, MessagesDeltaValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createMemoryCheckpointer } from "../../../src/checkpointers/memory.js";
import { openMongoCheckpointer } from "../../../src/checkpointers/mongodb.js";
import { openPostgresCheckpointer } from "../../../src/checkpointers/postgres.js";
import { openSqliteCheckpointer } from "../../../src/checkpointers/sqlite.js";
import type { Checkpointer, CheckpointsKept } from "../../../src/core/checkpointer.js";
import { createMongoDatabase } from "../../support/mongodb.js";
import { createDatabase } from "../../support/postgres.js";

/*
 * What a prune keeps reads and goes on as before: random turns, interrupts inside a subgraph, resumes, forks and updates of a graph
 * with DeltaChannels, in itself and in its subgraph. A copy is pruned and compared with the thread that it was made of.
 */

type Step =
  | { readonly kind: "turn"; readonly n: number }
  | { readonly kind: "resume" }
  | { readonly kind: "fork"; readonly back: number }
  | { readonly kind: "update" };

const steps = fc.array(
  fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant("turn" as const), n: fc.nat({ max: 3 }) }), weight: 5 },
    { arbitrary: fc.constant<Step>({ kind: "resume" }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant("fork" as const), back: fc.nat({ max: 6 }) }), weight: 1 },
    { arbitrary: fc.constant<Step>({ kind: "update" }), weight: 1 },
  ),
  { minLength: 1, maxLength: 6 },
);
const keeps: fc.Arbitrary<CheckpointsKept> = fc.oneof(
  fc.constant<CheckpointsKept>({ kind: "latest" }),
  fc.record({ kind: fc.constant("last" as const), count: fc.integer({ min: 1, max: 4 }) }),
);

const State = new StateSchema({ messages: MessagesDeltaValue, n: z.number() });
const said = (id: string) => ({ messages: [new HumanMessage({ id, content: `said ${id}` })] });

function graphOn(saver: BaseCheckpointSaver) {
  const child = new StateGraph(State)
    .addNode("before", (state) => said(`child-${state.messages.length}`))
    // Odd ones ask a human.
    .addNode("ask", (state) => (state.n % 2 === 1 ? said(`answer-${state.n}-${String(interrupt(state.n))}`) : {}))
    .addNode("after", (state) => said(`after-${state.messages.length}`))
    .addEdge(START, "before")
    .addEdge("before", "ask")
    .addEdge("ask", "after")
    .addEdge("after", END)
    .compile();
  return new StateGraph(State)
    .addNode("left", (state) => said(`left-${state.messages.length}`))
    .addNode("right", (state) => said(`right-${state.messages.length}`))
    .addNode("child", child)
    .addEdge(START, "left")
    .addEdge(START, "right")
    .addEdge(["left", "right"], "child")
    .addEdge("child", END)
    .compile({ checkpointer: saver });
}
type Graph = ReturnType<typeof graphOn>;

const configOf = (threadId: string): RunnableConfig => ({ configurable: { thread_id: threadId } });

async function play(graph: Graph, threadId: string, step: Step, at: number): Promise<void> {
  const config = configOf(threadId);
  switch (step.kind) {
    case "turn":
      await graph.invoke({ ...said(`turn-${at}`), n: step.n }, config);
      return;
    case "resume":
      if ((await graph.getState(config)).next.length > 0) await graph.invoke(new Command({ resume: "yes" }), config);
      return;
    case "fork": {
      const history = [];
      for await (const state of graph.getStateHistory(config)) history.push(state);
      const from = history[Math.min(step.back, history.length - 1)];
      if (from !== undefined) await graph.updateState(from.config, said(`fork-${at}`), "left");
      return;
    }
    case "update":
      await graph.updateState(config, said(`update-${at}`), "right");
  }
}

/** All states of a thread, newest first, by checkpoint id; the thread's own id left out. */
async function statesOf(graph: Graph, threadId: string): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>();
  for await (const { config } of graph.getStateHistory(configOf(threadId))) {
    const state = await graph.getState(config, { subgraphs: true });
    const id = String(state.config.configurable?.["checkpoint_id"]);
    states.set(id, JSON.stringify(state).replaceAll(threadId, "thread"));
  }
  return states;
}

async function lastState(graph: Graph, threadId: string): Promise<string> {
  const { values, next } = await graph.getState(configOf(threadId), { subgraphs: true });
  return JSON.stringify({ values, next });
}

async function compare(checkpointer: Checkpointer, given: readonly Step[], keep: CheckpointsKept): Promise<void> {
  const graph = graphOn(checkpointer.saver as BaseCheckpointSaver);
  const [whole, pruned, cut] = [randomUUID(), randomUUID(), randomUUID()] as const;
  await graph.invoke({ ...said("first"), n: 0 }, configOf(whole));
  for (const [at, step] of given.entries()) await play(graph, whole, step, at);
  await checkpointer.copyThread({ fromThreadId: whole, toThreadId: pruned });
  await checkpointer.copyThread({ fromThreadId: whole, toThreadId: cut, keep });
  const before = await statesOf(graph, whole);
  const params = { threadId: pruned, keep };
  const counted = await checkpointer.prune({ ...params, dryRun: true });
  expect(await statesOf(graph, pruned)).toEqual(before);
  expect(await checkpointer.prune({ ...params, dryRun: false })).toEqual(counted);
  const newest = [...before.keys()].slice(0, keep.kind === "latest" ? 1 : keep.count);
  for (const threadId of [pruned, cut]) {
    const after = await statesOf(graph, threadId);
    // Ancestors that the kept ones are rebuilt from may stay as well, and their own ancestors may be gone.
    for (const id of newest) expect(after.get(id), `checkpoint ${id}`).toBe(before.get(id));
    for (const id of after.keys()) expect(before.has(id)).toBe(true);
  }
  // Whether it waits for an answer or not: it goes on as the whole one does.
  for (const [at, step] of [{ kind: "resume" }, { kind: "turn", n: 1 }, { kind: "resume" }].entries() as ArrayIterator<
    [number, Step]
  >) {
    for (const threadId of [whole, pruned, cut]) await play(graph, threadId, step, 100 + at);
    const expected = await lastState(graph, whole);
    for (const threadId of [pruned, cut]) expect(await lastState(graph, threadId)).toBe(expected);
  }
  for (const threadId of [whole, pruned, cut]) {
    await checkpointer.deleteThread(threadId);
    expect((await checkpointer.storage(threadId)).totalBytes).toBe(0);
  }
}

interface Subject {
  readonly checkpointer: Checkpointer;
  drop(): Promise<void>;
}
const noDrop = async (): Promise<void> => {};
const SUBJECTS: readonly (readonly [name: string, numRuns: number, open: () => Promise<Subject>])[] = [
  ["memory", 40, async () => ({ checkpointer: createMemoryCheckpointer(), drop: noDrop })],
  [
    "sqlite",
    25,
    async () => ({ checkpointer: await openSqliteCheckpointer("sqlite::memory:", { cwd: "." }), drop: noDrop }),
  ],
  [
    "postgres",
    10,
    async () => {
      const { uri, drop } = await createDatabase();
      return { checkpointer: await openPostgresCheckpointer(uri, { cwd: "." }), drop };
    },
  ],
  ...(process.env["MONGODB_TEST_URI"] === undefined
    ? []
    : [
        [
          "mongodb",
          // FerretDB finds without indexes.
          1,
          async () => {
            const { uri, drop } = await createMongoDatabase();
            return { checkpointer: await openMongoCheckpointer(uri, { cwd: "." }), drop };
          },
        ] as const,
      ]),
];

describe("a graph with subgraphs, DeltaChannels, interrupts and forks, pruned", () => {
  it.each(SUBJECTS)(
    "on %s: what is kept reads as before, and goes on as before",
    { timeout: 180_000 },
    async (_, numRuns, open) => {
      const { checkpointer, drop } = await open();
      try {
        const property = fc.asyncProperty(steps, keeps, (given, keep) => compare(checkpointer, given, keep));
        const plugins = [fc.interruptAfterTimeLimit(120_000)];
        await expect(fc.assert(property, { numRuns, plugins, endOnFailure: true })).resolves.toBeUndefined();
      } finally {
        await checkpointer.close();
        await drop();
      }
    },
  );
});
