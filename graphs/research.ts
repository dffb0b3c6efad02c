import { AIMessage } from "@langchain/core/messages";
import { Annotation, END, MessagesValue, ReducedValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";
import { ScriptedChatModel } from "./models/scripted-chat-model.js";

/*
 * Subgraphs. `investigate` is a graph of its own with its own state; stream with `stream_subgraphs: true` and its events
 * arrive with the namespace `investigate:<task id>`.
 */

const model = new ScriptedChatModel({
  script: (messages) => `In short: ${messages.at(-1)?.text.toLowerCase() ?? ""} is worth a closer look.`,
});

// The subgraph: its state is an Annotation, as in older graphs.
const Investigation = Annotation.Root({
  topic: Annotation<string>,
  sources: Annotation<string[]>,
  findings: Annotation<string[]>,
});

const investigate = new StateGraph(Investigation)
  .addNode("search", ({ topic }) => ({ sources: [`encyclopedia on ${topic}`, `news about ${topic}`] }))
  .addNode("summarize", async ({ topic, sources }, config) => {
    const summary = await model.invoke(topic, config);
    return { findings: [`${summary.text} (${sources.length} sources)`] };
  })
  .addEdge(START, "search")
  .addEdge("search", "summarize")
  .addEdge("summarize", END)
  .compile();

// The parent: its state is a StateSchema. `topic` and `findings` are shared with the subgraph.
const State = new StateSchema({
  messages: MessagesValue,
  topic: z.string().default(""),
  findings: new ReducedValue(
    z.array(z.string()).default(() => []),
    { inputSchema: z.array(z.string()), reducer: (all, found) => [...all, ...found] },
  ),
});

export const graph = new StateGraph(State)
  .addNode("plan", ({ messages }) => ({ topic: messages.at(-1)?.text ?? "nothing" }))
  .addNode("investigate", investigate)
  .addNode("report", ({ findings }) => ({ messages: [new AIMessage(findings.at(-1) ?? "Nothing found.")] }))
  .addEdge(START, "plan")
  .addEdge("plan", "investigate")
  .addEdge("investigate", "report")
  .addEdge("report", END)
  .compile();
