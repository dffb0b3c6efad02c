import type { HumanMessage, Message } from "@langchain/langgraph-sdk";

/** `human: hi`, `ai: You said hi`; calls of tools by name. */
export function texts(messages: readonly Message[]): readonly string[] {
  return messages.map((message) => {
    const text = typeof message.content === "string" ? message.content : JSON.stringify(message.content);
    const calls = message.type === "ai" ? (message.tool_calls ?? []).map(({ name }) => `${name}()`) : [];
    return `${message.type}: ${[text, ...calls].filter(Boolean).join(" ")}`;
  });
}

export const human = (content: string): HumanMessage & { readonly id: string } => ({
  type: "human",
  content,
  id: crypto.randomUUID(),
});
