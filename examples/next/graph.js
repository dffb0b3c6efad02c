import { setTimeout as sleep } from "node:timers/promises";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";

const State = Annotation.Root({ from: Annotation });

/** Counts down, ten a second, and stops at once when its run is cancelled. Input: { "from": 5 }. */
export const countdown = new StateGraph(State)
  .addNode("tick", async ({ from }, config) => {
    await sleep(100, undefined, { signal: config.signal });
    return { from: from - 1 };
  })
  .addEdge(START, "tick")
  .addConditionalEdges("tick", ({ from }) => (from > 0 ? "tick" : END), ["tick", END])
  .compile();
