import { type AIMessage, type BaseMessage, ToolMessage } from "@langchain/core/messages";
import { Annotation, END, MessagesAnnotation, START, StateGraph, interrupt } from "@langchain/langgraph";
import { typedUi, uiMessageReducer } from "@langchain/langgraph-sdk/react-ui/server";
import { type Reply, ScriptedChatModel } from "../../../graphs/models/scripted-chat-model.js";

const State = Annotation.Root({
  messages: MessagesAnnotation.spec.messages,
  ui: Annotation({ reducer: uiMessageReducer, default: () => [] }),
});

function replyTo(messages: readonly BaseMessage[]): Reply {
  const last = messages.at(-1);
  const text = last?.text ?? "";
  if (last?.type === "tool") return `The tool says: ${text}`;
  if (text === "delete it") return [{ name: "delete_file", args: { name: "a.txt" } }];
  if (text === "slow") return "tick ".repeat(400).trim();
  return `You said ${text}`;
}

const callsOf = (messages: readonly BaseMessage[]) => (messages.at(-1) as AIMessage).tool_calls ?? [];

/**
 * A chat as front ends know it: token by token; "weather in X" brings a component of ui/, "delete it" a tool call that a
 * human has to allow, "slow" some six seconds of tokens, "crash" an error.
 */
export const graph = new StateGraph(State)
  .addNode("model", async ({ messages }, config) => {
    const text = messages.at(-1)?.text ?? "";
    if (text === "crash") throw new Error("The model is out of order");
    const model = new ScriptedChatModel({ script: replyTo, tokenDelayMs: text === "slow" ? 15 : 1 });
    const message = await model.invoke(messages, config);
    config.writer?.({ progress: `answered ${text}` });
    const [, city] = /^weather in (.+)$/.exec(text) ?? [];
    if (city !== undefined) typedUi(config).push({ name: "weather", props: { city, degrees: 21 } }, { message });
    return { messages: [message] };
  })
  .addNode("tools", ({ messages }) => {
    const [call] = callsOf(messages);
    const decision = interrupt<unknown, { readonly type: string; readonly args?: unknown }>({
      action_requests: [{ name: call?.name, args: call?.args }],
      review_configs: [{ action_name: call?.name, allowed_decisions: ["approve", "edit", "reject"] }],
    });
    const content = decision.args === undefined ? decision.type : `${decision.type} ${JSON.stringify(decision.args)}`;
    return { messages: [new ToolMessage({ content, tool_call_id: call?.id ?? "", name: call?.name ?? "" })] };
  })
  .addEdge(START, "model")
  .addConditionalEdges("model", ({ messages }) => (callsOf(messages).length > 0 ? "tools" : END), ["tools", END])
  .addEdge("tools", "model")
  .compile();
