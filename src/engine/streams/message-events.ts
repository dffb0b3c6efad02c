import type { JsonText } from "../../core/json.js";
import type { NewRunEvent } from "../../core/run-event.js";
import { serialize } from "./serialize.js";
import { isOfNode } from "./shapes.js";

/** A message with an id; chunks can be added up. */
interface Message {
  readonly id: string;
  concat?(next: Message): Message;
}

const hasId = (value: unknown): value is Message =>
  typeof value === "object" && value !== null && typeof (value as { id?: unknown }).id === "string";

/** Duck-typed: a graph may carry another copy of LangChain. Only chunks have `concat`. */
const isChunk = (value: unknown): value is Message & Required<Pick<Message, "concat">> =>
  hasId(value) && typeof value.concat === "function";

/**
 * Mode `messages`, the accumulating form (docs/wire/langgraph-api.md §3.4): `messages/metadata` once for each streamed
 * message, `messages/partial` with all of it so far for each token, `messages/complete` when it appears in the state.
 */
export interface MessageEvents {
  /** One item of LangGraph's `messages` stream. */
  token(message: unknown, metadata: unknown, out: NewRunEvent[]): void;
  /** The values of the root graph. */
  values(values: unknown, out: NewRunEvent[]): void;
}

export function createMessageEvents(): MessageEvents {
  /** By id, until the message is complete. */
  const partial = new Map<string, Message>();
  const complete = new Set<string>();
  return {
    token(message, metadata, out) {
      if (!isChunk(message) || isOfNode(metadata)) return;
      const before = partial.get(message.id);
      if (before === undefined) {
        out.push({ event: "messages/metadata", data: metadataOf(message.id, metadata), kind: "token" });
      }
      const sum = before?.concat === undefined ? message : before.concat(message);
      partial.set(message.id, sum);
      out.push({ event: "messages/partial", data: serialize([sum]), kind: "token" });
    },
    values(values, out) {
      if (typeof values !== "object" || values === null) return;
      const { messages } = values as { readonly messages?: unknown };
      const listed: readonly unknown[] = Array.isArray(messages) ? messages : [messages];
      const fresh: Message[] = [];
      for (const message of listed) {
        if (!hasId(message) || complete.has(message.id)) continue;
        complete.add(message.id);
        partial.delete(message.id);
        fresh.push(message);
      }
      if (fresh.length > 0) out.push({ event: "messages/complete", data: serialize(fresh), kind: "token" });
    },
  };
}

/** The tuple's metadata without what LangGraph adds for the tuple form only. */
function metadataOf(id: string, metadata: unknown): JsonText {
  const { tags: _tags, name: _name, ...rest } = metadata as Readonly<Record<string, unknown>>;
  return serialize({ [id]: { metadata: rest } });
}
