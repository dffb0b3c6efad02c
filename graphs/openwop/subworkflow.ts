import { END, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/* Fixture workflows of OpenWOP: a workflow that calls another one. To LangGraph the child is a subgraph. */

const State = new StateSchema({ childResult: z.string().nullable().default(null) });

/** `conformance-subworkflow-child`: two steps and a result. */
export const child = new StateGraph(State)
  .addNode("child-n1", () => ({}), { metadata: { "openwop.typeId": "core.noop" } })
  .addNode("child-n2", () => ({ childResult: "done" }), { metadata: { "openwop.typeId": "core.setVariable" } })
  .addEdge(START, "child-n1")
  .addEdge("child-n1", "child-n2")
  .addEdge("child-n2", END)
  .compile();

/** `conformance-subworkflow-parent`: has the child's result when it ends. */
export const parent = new StateGraph(State)
  .addNode("parent-start", () => ({}), { metadata: { "openwop.typeId": "core.noop" } })
  .addNode("subwf-call", child, {
    metadata: { "openwop.typeId": "core.subWorkflow", "openwop.workflowId": "conformance-subworkflow-child" },
  })
  .addNode("parent-end", () => ({}), { metadata: { "openwop.typeId": "core.noop" } })
  .addEdge(START, "parent-start")
  .addEdge("parent-start", "subwf-call")
  .addEdge("subwf-call", "parent-end")
  .addEdge("parent-end", END)
  .compile();
