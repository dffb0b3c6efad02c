import { setTimeout as sleep } from "node:timers/promises";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";

/*
 * Takes its time: `steps` supersteps of `step_ms` milliseconds. Tells its progress on stream mode `custom`, and stops at
 * once when the run is cancelled, because it hands `config.signal` to what it waits for.
 */

const State = Annotation.Root({
  steps: Annotation<number>({ reducer: (_, steps) => steps, default: () => 3 }),
  step_ms: Annotation<number>({ reducer: (_, ms) => ms, default: () => 100 }),
  done: Annotation<number>({ reducer: (_, done) => done, default: () => 0 }),
});

export const graph = new StateGraph(State)
  .addNode("begin", () => ({ done: 0 }))
  .addNode("work", async ({ done, steps, step_ms }, config) => {
    await sleep(step_ms, undefined, { signal: config.signal });
    config.writer?.({ done: done + 1, of: steps });
    return { done: done + 1 };
  })
  .addEdge(START, "begin")
  .addEdge("begin", "work")
  .addConditionalEdges("work", ({ done, steps }) => (done < steps ? "work" : END), ["work", END])
  .compile();
