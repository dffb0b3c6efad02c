import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { MemorySaver } from "@langchain/langgraph-checkpoint";
import { describe, expect, it } from "vitest";
import type { RunLease } from "../../src/core/run.js";
import { execute, harness, stockCheckpointer } from "./harness.js";

const State = Annotation.Root({
  log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
});

/** Three steps; `onStep` runs inside each. */
const stepper = (onStep: (at: number) => void) => {
  const step = (at: number) => () => {
    onStep(at);
    return { log: [`step ${at}`] };
  };
  return new StateGraph(State)
    .addNode("one", step(1))
    .addNode("two", step(2))
    .addNode("three", step(3))
    .addEdge(START, "one")
    .addEdge("one", "two")
    .addEdge("two", "three");
};

const RUN = { graphId: "steps", threadId: "t", input: {}, durability: "sync" as const };

async function stored(saver: MemorySaver): Promise<unknown[]> {
  const tuples = [];
  for await (const tuple of saver.list({ configurable: { thread_id: "t" } })) tuples.push(tuple);
  return tuples.map((tuple) => tuple.checkpoint.channel_values["log"]);
}

describe("leases with a saver that does not know the run row", () => {
  it("asks before every write, and ends the run as aborted when another worker has it", async () => {
    let held = true;
    const asked: RunLease[] = [];
    const holdsLease = async (lease: RunLease) => (asked.push(lease), held);
    const graphs = { steps: stepper((at) => (held = at < 2)).compile() };
    const { engine, saver } = await harness(graphs, { holdsLease });
    const { outcome, run } = await execute(engine, RUN);
    expect(outcome.kind).toBe("aborted");
    expect(await stored(saver)).toEqual([["step 1"], [], []]);
    expect(asked.length).toBeGreaterThan(2);
    expect(new Set(asked)).toEqual(new Set([{ runId: run.runId, leaseToken: 7 }]));
  });

  it("does not ask where the saver checks for itself, nor for runs that are not kept", async () => {
    const holdsLease = () => Promise.reject(new Error("nobody asks"));
    const graphs = { steps: stepper(() => undefined).compile() };
    const checkpointer = { ...stockCheckpointer(new MemorySaver()), fenced: true };
    const fenced = await harness(graphs, { holdsLease, checkpointer });
    expect((await execute(fenced.engine, RUN)).outcome.kind).toBe("success");
    const plain = await harness(graphs, { holdsLease });
    expect((await execute(plain.engine, { ...RUN, temporary: true })).outcome.kind).toBe("success");
  });

  it("leaves a window: a lease lost between the answer and the write lets that one write through", async () => {
    let held = true;
    /** Loses the lease while its second put is on its way. */
    class SlowSaver extends MemorySaver {
      puts = 0;
      override put(...args: Parameters<MemorySaver["put"]>): ReturnType<MemorySaver["put"]> {
        this.puts += 1;
        if (this.puts === 2) held = false;
        return super.put(...args);
      }
    }
    const saver = new SlowSaver();
    const graphs = { steps: stepper(() => undefined).compile() };
    const { engine } = await harness(graphs, { holdsLease: async () => held, checkpointer: stockCheckpointer(saver) });
    expect((await execute(engine, RUN)).outcome.kind).toBe("aborted");
    expect(saver.puts).toBe(2);
  });
});
