import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { Annotation, END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ScriptedChatModel } from "../../../graphs/models/scripted-chat-model.js";

interface Todo {
  readonly id: string;
  readonly content: string;
  readonly status: "pending" | "in_progress" | "completed";
}

const State = Annotation.Root({
  messages: MessagesAnnotation.spec.messages,
  todos: Annotation<Todo[]>({ reducer: (_, next) => next, default: () => [] }),
  files: Annotation<Record<string, string>>({ reducer: (a, b) => ({ ...a, ...b }), default: () => ({}) }),
});

/** Answers in a namespace of its own. */
const researcher = new StateGraph(MessagesAnnotation)
  .addNode("research", async (state, config) => {
    const model = new ScriptedChatModel({ script: () => "Looms weave cloth", tokenDelayMs: 1 });
    return { messages: [await model.invoke(state.messages, config)] };
  })
  .addEdge(START, "research")
  .compile();

/** A deep agent in outline: plans todos, asks a subagent, writes a file. */
export const graph = new StateGraph(State)
  .addNode("plan", () => ({
    todos: [{ id: "1", content: "research", status: "in_progress" as const }],
    messages: [
      new AIMessage({
        content: "",
        tool_calls: [{ id: "task-1", name: "task", args: { description: "Find out", subagent_type: "researcher" } }],
      }),
    ],
  }))
  .addNode("tools", async (_, config) => {
    // The task's description is the subagent's first message: by it a page knows whose events these are.
    const { messages } = await researcher.invoke({ messages: [new HumanMessage("Find out")] }, config);
    const report = messages.at(-1)?.text ?? "";
    return { messages: [new ToolMessage({ content: report, tool_call_id: "task-1", name: "task" })] };
  })
  .addNode("write", (state) => ({
    files: { "report.md": state.messages.at(-1)?.text ?? "" },
    todos: [{ id: "1", content: "research", status: "completed" as const }],
    messages: [new AIMessage("Done, see report.md")],
  }))
  .addEdge(START, "plan")
  .addEdge("plan", "tools")
  .addEdge("tools", "write")
  .addEdge("write", END)
  .compile();
