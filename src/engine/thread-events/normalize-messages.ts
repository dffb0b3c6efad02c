import { flattenStockMessage } from "../streams/stock-message.js";
import { parseArgs, standardBlock, type Block } from "./content-blocks.js";
import { type Fields, isFields, listOf, textOf } from "../streams/shapes.js";

const MESSAGE_TYPES: Readonly<Record<string, string>> = {
  human: "human",
  user: "human",
  ai: "ai",
  assistant: "ai",
  system: "system",
  tool: "tool",
  function: "function",
  remove: "remove",
};

const INTERRUPT = "__interrupt__";
/** Deeper than any state that is meant to be read; the serializer cuts off beyond. */
const MAX_DEPTH = 100;

interface Dictable {
  toDict(): { readonly type: unknown; readonly data: object };
}

/**
 * A state, or an update, as channels `values` and `updates` show it: messages in the protocol's short form, and no
 * `__interrupt__`, at any depth (docs/wire/langgraph-api.md §4.5). Copies on write; what is no message comes back as it is.
 */
export function normalizeMessages(value: unknown): unknown {
  return normalized(value, 0);
}

function normalized(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return normalizedList(value, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    const fields = messageFields(value);
    return fields === null ? value : shortMessage(fields);
  }
  const fields = value as Fields;
  if (isMessage(fields)) return shortMessage(fields);
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(fields)) {
    const item = fields[key];
    if (key === INTERRUPT) {
      copy ??= { ...fields };
      delete copy[key];
      continue;
    }
    const converted = normalized(item, depth + 1);
    // The spread makes even `__proto__` an own property, so that assigning it sets no prototype.
    if (converted !== item) (copy ??= { ...fields })[key] = converted;
  }
  return copy ?? value;
}

function normalizedList(value: readonly unknown[], depth: number): unknown {
  let copy: unknown[] | undefined;
  for (let index = 0; index < value.length; index += 1) {
    const item = value[index];
    const converted = normalized(item, depth + 1);
    if (converted !== item) (copy ??= [...value])[index] = converted;
  }
  return copy ?? value;
}

/** Fields of a LangChain message, of whichever copy of @langchain/core. */
function messageFields(value: object): Fields | null {
  const stock = flattenStockMessage(value, (field) => field);
  if (stock !== null) return stock;
  if (typeof (value as Partial<Dictable>).toDict !== "function") return null;
  const { type, data } = (value as Dictable).toDict();
  const fields: Fields = { ...data, type };
  return isMessage(fields) ? fields : null;
}

/** A plain object that is written like a message. One without content is somebody's own data. */
function isMessage(fields: Fields): boolean {
  const { type } = fields;
  if (typeof type !== "string" || !Object.hasOwn(MESSAGE_TYPES, type)) return false;
  return "content" in fields || (type === "remove" && typeof fields["id"] === "string");
}

function shortMessage(fields: Fields): Fields {
  const type = MESSAGE_TYPES[String(fields["type"])] ?? fields["type"];
  const { content, id, name, response_metadata: metadata, example } = fields;
  return {
    type,
    ...(content === undefined ? {} : { content: shortContent(content, fields["additional_kwargs"]) }),
    ...defined({ id, name }),
    ...(isFields(metadata) && Object.keys(metadata).length > 0 ? { response_metadata: metadata } : {}),
    ...((type === "ai" || type === "human") && typeof example === "boolean" ? { example } : {}),
    ...(type === "tool"
      ? defined({ tool_call_id: fields["tool_call_id"], status: fields["status"], artifact: fields["artifact"] })
      : {}),
    ...(type === "ai" ? toolCalls(fields) : {}),
  };
}

function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

function shortContent(content: unknown, extra: unknown): unknown {
  const media = isFields(extra) ? mediaBlocks(extra) : [];
  if (!Array.isArray(content)) {
    if (media.length === 0) return content;
    return [...(typeof content === "string" && content !== "" ? [{ type: "text", text: content }] : []), ...media];
  }
  const blocks = content.map((part: unknown) => {
    if (typeof part === "string") return { type: "text", text: part };
    return isFields(part) && typeof part["type"] === "string" ? standardBlock(part as Block) : part;
  });
  return [...blocks, ...media];
}

/** What older providers put beside the content: OpenAI's audio answers and generated images. */
function mediaBlocks(extra: Fields): readonly Block[] {
  const blocks: Block[] = [];
  const { audio, tool_outputs: outputs } = extra;
  if (isFields(audio) && typeof audio["data"] === "string") {
    const { id, data, transcript } = audio;
    blocks.push({ type: "audio", ...defined({ id, data, transcript }), mime_type: "audio/wav" });
  }
  for (const output of Array.isArray(outputs) ? outputs : []) {
    if (!isFields(output) || output["type"] !== "image_generation_call" || typeof output["result"] !== "string")
      continue;
    blocks.push({ type: "image", ...defined({ id: output["id"] }), data: output["result"], mime_type: "image/png" });
  }
  return blocks;
}

function toolCalls(fields: Fields): Fields {
  const calls: Fields[] = [];
  const invalid: Fields[] = listOf(fields["invalid_tool_calls"]);
  const given = listOf(fields["tool_calls"]);
  const extra = fields["additional_kwargs"];
  for (const call of given.length > 0 ? given : listOf(isFields(extra) ? extra["tool_calls"] : undefined)) {
    const { id } = call;
    const inner = isFields(call["function"]) ? call["function"] : {};
    const name = textOf(call, "name") ?? textOf(inner, "name");
    const written = call["args"] ?? inner["arguments"] ?? {};
    const args = typeof written === "string" ? parseArgs(written) : written;
    const known = { ...defined({ id }), ...(name === undefined ? {} : { name }) };
    if (name !== undefined && args !== null) calls.push({ ...known, args, type: "tool_call" });
    else {
      const error = args === null ? "Malformed args." : "Incomplete tool call.";
      invalid.push({
        ...known,
        args: typeof written === "string" ? written : JSON.stringify(written),
        error,
        type: "invalid_tool_call",
      });
    }
  }
  return {
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
    ...(invalid.length > 0 ? { invalid_tool_calls: invalid } : {}),
  };
}
