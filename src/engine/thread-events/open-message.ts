import { type Block, parseArgs } from "./content-blocks.js";
import { type Fields, isFields, textOf } from "../streams/shapes.js";

/** Where a message's events go. */
export interface MessageSink {
  /** `params.data` of one event. */
  event(data: Fields): void;
  /** The one that comes hundreds of times for each message: `text-delta`, or `reasoning-delta`. */
  text(index: number, kind: "text" | "reasoning", text: string): void;
}

/** The member of a block that grows, by type of block. */
const GROWING: Readonly<Record<string, string>> = {
  text: "text",
  reasoning: "reasoning",
  tool_call_chunk: "args",
  server_tool_call_chunk: "args",
  image: "base64",
  audio: "base64",
  video: "base64",
  file: "base64",
};

interface OpenBlock {
  readonly index: number;
  readonly key: string;
  readonly type: string;
  /** All but what grows. */
  fields: Fields;
  grown: string;
}

/**
 * Content of one message on its way out (docs/wire/langgraph-api.md §4.4 `messages`): a block is finished before the next
 * one starts. A model that goes back to an earlier block has it started again with what it held, under its index.
 */
export class OpenMessage {
  readonly #sink: MessageSink;
  readonly #blocks: OpenBlock[] = [];
  #active: OpenBlock | null = null;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /** @param start `id`, `role`, and what else belongs into `message-start` */
  start(start: Fields): void {
    this.#sink.event({ event: "message-start", ...start });
  }

  /** A token: text without anything around it. */
  addText(text: string): void {
    const active = this.#active?.key === "text:" ? this.#active : this.#open({ type: "text", text: "" }, "text:");
    active.grown += text;
    this.#sink.text(active.index, "text", text);
  }

  add(block: Block): void {
    const key = this.#keyOf(block);
    const growing = GROWING[block.type];
    const slice = growing === undefined ? "" : (textOf(block, growing) ?? "");
    const active = this.#active?.key === key ? this.#active : this.#resume(key);
    if (active === null) {
      // Only the start of a text or a call is empty: other blocks come as they are, and grow if more follows.
      const grows = growing !== undefined && isIncremental(block.type);
      this.#grow(this.#open(grows ? { ...block, [growing]: "" } : block, key), grows ? slice : "");
      return;
    }
    this.#merge(active, block, growing);
    this.#grow(active, slice);
  }

  /** @param finish `usage`, `reason`, `responseMetadata` */
  finish(finish: Fields): void {
    this.#close();
    this.#sink.event({ event: "message-finish", ...finish });
  }

  fail(message: string): void {
    this.#close();
    this.#sink.event({ event: "error", message });
  }

  #keyOf(block: Block): string {
    const { index } = block;
    const isChunk = block.type === "tool_call_chunk" || block.type === "server_tool_call_chunk";
    if (typeof index === "number" || typeof index === "string") return `${block.type}:${index}`;
    if (block.type === "text" || block.type === "reasoning") return `${block.type}:`;
    if (!isChunk) return `${block.type}:new:${this.#blocks.length}`;
    const id = textOf(block, "id");
    // A chunk that names no call belongs to the one before.
    if (id === undefined && this.#active?.type === block.type) return this.#active.key;
    return `${block.type}:id:${id ?? this.#blocks.length}`;
  }

  #open(block: Block, key: string): OpenBlock {
    this.#close();
    const growing = GROWING[block.type];
    const { index: _, ...fields } = block as Block & { readonly index?: unknown };
    const opened: OpenBlock = {
      index: this.#blocks.length,
      key,
      type: block.type,
      fields,
      grown: growing === undefined ? "" : (textOf(block, growing) ?? ""),
    };
    this.#blocks.push(opened);
    this.#active = opened;
    this.#sink.event({ event: "content-block-start", index: opened.index, content: startOf(fields) });
    return opened;
  }

  /** A block that had been finished already. */
  #resume(key: string): OpenBlock | null {
    // Text without an index that comes after something else is a block of its own.
    const known = key.endsWith(":") ? undefined : this.#blocks.find((block) => block.key === key);
    if (known === undefined) return null;
    this.#close();
    this.#active = known;
    this.#sink.event({ event: "content-block-start", index: known.index, content: startOf(grownBlock(known)) });
    return known;
  }

  #merge(active: OpenBlock, block: Block, growing: string | undefined): void {
    const changed: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(block)) {
      if (name === "type" || name === "index" || name === growing) continue;
      if (value === undefined || value === null || value === "" || active.fields[name] === value) continue;
      changed[name] = value;
    }
    if (Object.keys(changed).length === 0) return;
    active.fields = { ...active.fields, ...changed };
    const delta = { type: "block-delta", fields: { type: active.type, ...changed } };
    this.#sink.event({ event: "content-block-delta", index: active.index, delta });
  }

  #grow(active: OpenBlock, slice: string): void {
    if (slice === "") return;
    active.grown += slice;
    const { index, type } = active;
    if (type === "text" || type === "reasoning") {
      this.#sink.text(index, type, slice);
      return;
    }
    const delta = type.endsWith("_chunk")
      ? { type: "tool-call-delta", args: slice }
      : { type: "data-delta", data: slice, encoding: "base64" };
    this.#sink.event({ event: "content-block-delta", index, delta });
  }

  #close(): void {
    const active = this.#active;
    if (active === null) return;
    this.#active = null;
    this.#sink.event({ event: "content-block-finish", index: active.index, content: finalBlock(grownBlock(active)) });
  }
}

const isIncremental = (type: string): boolean => type === "text" || type === "reasoning" || type.endsWith("_chunk");

function grownBlock({ fields, grown, type }: OpenBlock): Block {
  const growing = GROWING[type];
  const block = fields as Block;
  return growing === undefined || (grown === "" && block[growing] === undefined)
    ? block
    : { ...block, [growing]: grown };
}

/** A call begins as a chunk, whichever way its model gave it. */
function startOf(block: Block): Block {
  if (block.type === "tool_call_chunk") return { ...block, id: block["id"] ?? null, name: block["name"] ?? null };
  return block;
}

/** Chunks become what they were chunks of. */
function finalBlock(block: Block): Block {
  const text = block["args"];
  if (block.type === "tool_call_chunk" && typeof text === "string") {
    const { id = null, name = null, args: _, ...rest } = block;
    const args = parseArgs(text);
    if (args !== null && typeof name === "string") return { ...rest, type: "tool_call", id, name, args };
    const error = args === null ? "Malformed args." : "Incomplete tool call.";
    return { ...rest, type: "invalid_tool_call", id, name, args: text, error };
  }
  if (block.type === "server_tool_call_chunk" && typeof text === "string") {
    return { ...block, type: "server_tool_call", args: parseArgs(text) ?? {} };
  }
  return block;
}

/** What the end of a message tells (`message-finish`), from the whole message. */
export function finishOf(message: unknown): Fields {
  if (!isFields(message)) return {};
  const { usage_metadata: usage, response_metadata: metadata } = message;
  if (!isFields(metadata) || Object.keys(metadata).length === 0) return isFields(usage) ? { usage } : {};
  const reason = textOf(metadata, "finish_reason") ?? textOf(metadata, "stop_reason");
  return {
    ...(isFields(usage) ? { usage } : {}),
    ...(reason === undefined ? {} : { reason }),
    responseMetadata: metadata,
  };
}
