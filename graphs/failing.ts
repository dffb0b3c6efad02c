import { END, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/*
 * Fails on demand: `how` is "throw" (a TypeError in a node, after one good step), "loop" (never ends, so LangGraph's
 * recursion limit stops it) or "never" (all goes well).
 */

const State = new StateSchema({
  how: z.enum(["throw", "loop", "never"]).default("throw"),
  steps: z.number().default(0),
});

export const graph = new StateGraph(State)
  .addNode("step", ({ steps }) => ({ steps: steps + 1 }))
  .addNode("check", ({ how }) => {
    if (how === "throw") throw new TypeError("The sample graph failed, as it was asked to.");
    return {};
  })
  .addEdge(START, "step")
  .addEdge("step", "check")
  .addConditionalEdges("check", ({ how }) => (how === "loop" ? "step" : END), ["step", END])
  .compile();
