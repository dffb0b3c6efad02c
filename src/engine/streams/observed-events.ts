import type { JsonValue } from "../../core/json.js";
import { parseJsonText } from "../../core/json.js";
import type { ObservedEvent, RunObserver } from "../../core/run-observer.js";
import { taskErrorText } from "../execution/describe-error.js";
import { serialize } from "./serialize.js";
import { type Fields, isFields, isOfNode, isTaskResult, label, listOf, textOf } from "./shapes.js";

/** The stream modes that an observer's events are made of. */
export const OBSERVED_MODES = ["values", "tasks", "messages", "custom"] as const;

/**
 * Turns chunks of LangGraph's stream into what an observer is told.
 * @param chunks `[namespace, mode, payload]`: nested graphs are looked into
 */
export function createObservedEvents(observer: Pick<RunObserver, "observe">): (chunk: unknown) => void {
  return (chunk) => {
    const [path, mode, payload] = chunk as readonly [readonly string[] | null, string, unknown];
    const event = eventOf(path ?? [], mode, payload);
    if (event !== null) observer.observe(event);
  };
}

function eventOf(namespace: readonly string[], mode: string, payload: unknown): ObservedEvent | null {
  if (mode === "custom") return { kind: "custom", payload: plain(payload) };
  if (mode === "messages") return textEvent(namespace, payload);
  if (mode !== "tasks" || namespace.length > 0 || !isFields(payload)) return null;
  const taskId = label(payload["id"], "");
  const node = label(payload["name"], "");
  if (!isTaskResult(payload)) return { kind: "task-started", taskId, node };
  return {
    kind: "task-ended",
    taskId,
    node,
    outputs: plain(payload["result"] ?? {}),
    interrupts: listOf(payload["interrupts"]).map((one) => ({
      id: label(one["id"] ?? one["interrupt_id"], ""),
      value: plain(one["value"] ?? null),
    })),
    error: taskErrorText(payload["error"]),
  };
}

/** Answers of models. What people and tools say is state, and no output. */
function textEvent(namespace: readonly string[], payload: unknown): ObservedEvent | null {
  const [message, metadata] = payload as readonly [unknown, unknown];
  if (!isFields(message) || !isFields(metadata)) return null;
  const type = typeOf(message);
  if (type !== "ai" && type !== "AIMessageChunk") return null;
  const text = contentText(message["content"]);
  if (text === "") return null;
  const [outer] = namespace;
  const node = outer === undefined ? label(metadata["langgraph_node"], "") : (outer.split(":", 1)[0] ?? outer);
  // A message of one piece is what a node returned, or a model that streams nothing gave.
  const isWhole = isOfNode(metadata) || type === "ai";
  return { kind: "text", node, messageId: textOf(message, "id") ?? null, text, isWhole };
}

function typeOf(message: Fields): unknown {
  const { _getType: getType, type } = message as { readonly _getType?: unknown; readonly type?: unknown };
  const constructor = (message as object).constructor?.name;
  if (constructor === "AIMessageChunk") return constructor;
  return typeof getType === "function" ? (getType.call(message) as unknown) : type;
}

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return listOf(content)
    .map((block) => (block["type"] === "text" ? label(block["text"], "") : ""))
    .join("");
}

/** LangChain's objects as the wire has them. */
function plain(value: unknown): JsonValue {
  return parseJsonText(serialize(value));
}
