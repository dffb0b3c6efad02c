import type { ChatMessage, ToolCall } from "./chat.js";

/** What a plain message of a run's stream and a message object of LangChain have in common. */
interface MessageLike {
  readonly id?: string | undefined;
  readonly type: string;
  readonly content: unknown;
  readonly tool_calls?: readonly {
    readonly id?: string;
    readonly name: string;
    readonly args: Record<string, unknown>;
  }[];
  readonly tool_call_id?: string;
  readonly status?: string;
}

export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((block: { text?: unknown }) => (typeof block.text === "string" ? block.text : "")).join("");
}

/** Questions and answers, with the tools' results beside the calls that asked for them. */
export function toChatMessages(
  messages: readonly unknown[],
  pastOf: (id: string) => Pick<ChatMessage, "hasPast" | "branches"> = () => ({ hasPast: false, branches: null }),
): ChatMessage[] {
  const all = messages as readonly MessageLike[];
  const results = new Map(all.flatMap((message) => (message.type === "tool" ? [[message.tool_call_id, message]] : [])));
  return all.flatMap((message, index) => {
    const role = message.type === "human" ? "human" : "ai";
    if (message.type === "tool") return [];
    const id = message.id ?? `message-${index}`;
    const toolCalls = (message.tool_calls ?? []).map((call): ToolCall => {
      const result = results.get(call.id);
      return {
        id: call.id ?? `${id}-${call.name}`,
        name: call.name,
        args: call.args,
        status: result === undefined ? "running" : result.status === "error" ? "error" : "done",
        result: result === undefined ? null : textOf(result.content),
      };
    });
    return [{ id, role, text: textOf(message.content), toolCalls, ...pastOf(id) }];
  });
}

export function errorText(error: unknown): string | null {
  if (error === undefined || error === null) return null;
  return error instanceof Error ? error.message : String(error);
}
