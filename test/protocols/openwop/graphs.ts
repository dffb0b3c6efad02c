import { setTimeout as sleep } from "node:timers/promises";
import { END, Send, START, interrupt, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

const Steps = new StateSchema({
  steps: z.number().default(3),
  stepMs: z.number().default(50),
  done: z.number().default(0),
});

/** As many steps of so many milliseconds as are asked for. */
export const counting = new StateGraph(Steps)
  .addNode("step", async ({ stepMs, done }: typeof Steps.State, config) => {
    if (stepMs > 0) await sleep(stepMs, undefined, { signal: config.signal });
    return { done: done + 1 };
  })
  .addEdge(START, "step")
  .addConditionalEdges("step", ({ done, steps }) => (done < steps ? "step" : END), ["step", END])
  .compile();

type Json = z.core.util.JSONType;

const Two = new StateSchema({ left: z.json().default(null), right: z.json().default(null) });

/** Two nodes that ask at once. */
export const twoGates = new StateGraph(Two)
  .addNode("askLeft", () => ({ left: interrupt<string, Json>("left?") }))
  .addNode("askRight", () => ({ right: interrupt<string, Json>("right?") }))
  .addEdge(START, "askLeft")
  .addEdge(START, "askRight")
  .compile();

/** One node that asks twice. */
export const twice = new StateGraph(Two)
  .addNode("ask", () => {
    const left = interrupt<string, Json>("first?");
    const right = interrupt<string, Json>("second?");
    return { left, right };
  })
  .addEdge(START, "ask")
  .compile();

/** Asks, and waits for 300 ms. */
export const hurried = new StateGraph(Two)
  .addNode("ask", () => {
    const data = { artifactId: "ask", artifactType: "gate", title: "Now?", actions: ["accept"] };
    return { left: interrupt<Json, Json>({ kind: "approval", key: "ask", data, timeoutMs: 300 }) };
  })
  .addEdge(START, "ask")
  .compile();

/** A graph that asks two things at once, as one node. */
export const nestedGates = new StateGraph(Two).addNode("inner", twoGates).addEdge(START, "inner").compile();

/** One node, twice at once, that wants two approvals each. */
export const ballots = new StateGraph(Two)
  .addNode("vote", ({ item }: { readonly item: "left" | "right" }) => {
    const actions = ["accept", "reject"];
    const data = { artifactId: item, artifactType: "bill", title: item, actions, requiredApprovals: 2 };
    return { [item]: interrupt<Json, Json>({ kind: "approval", key: item, data }) };
  })
  .addConditionalEdges(START, () => [new Send("vote", { item: "left" }), new Send("vote", { item: "right" })], ["vote"])
  .compile();

/** A step that does not hear when it is told to stop. */
export const deaf = new StateGraph(Steps)
  .addNode("step", async ({ stepMs, done }: typeof Steps.State) => {
    await sleep(stepMs);
    return { done: done + 1 };
  })
  .addEdge(START, "step")
  .compile();

/** One node that asks, and then works for a while. */
export const askThenWork = new StateGraph(Two)
  .addNode("ask", async (_, config) => {
    const left = interrupt<string, Json>("Go on?");
    await sleep(1_500, undefined, { signal: config.signal });
    return { left };
  })
  .addEdge(START, "ask")
  .compile();
