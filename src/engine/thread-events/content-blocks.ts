import { type Fields, isFields, listOf, textOf } from "../streams/shapes.js";

/** A piece of a message's content as the protocol knows it (docs/wire/langgraph-api.md §4.4 `messages`). */
export type Block = Fields & { readonly type: string };

/** Kinds of content that carry their bytes as base64. */
const DATA_BLOCKS: ReadonlySet<string> = new Set(["image", "audio", "video", "file"]);

/** Everything else in a content list is wrapped as `non_standard`. */
const KNOWN_BLOCKS: ReadonlySet<string> = new Set([
  ...DATA_BLOCKS,
  "text",
  "reasoning",
  "tool_call",
  "tool_call_chunk",
  "invalid_tool_call",
  "server_tool_call",
  "server_tool_call_chunk",
  "server_tool_result",
  "non_standard",
]);

/** What providers put into the content for a tool call, which `tool_calls` and `tool_call_chunks` say as well. */
const PROVIDER_TOOL_BLOCKS: ReadonlySet<string> = new Set(["tool_use", "input_json_delta", "function_call"]);

/**
 * Content of a message, or of one chunk of it.
 * @param message a LangChain message, of whichever copy of @langchain/core
 */
export function blocksOf(message: Fields): readonly Block[] {
  const blocks: Block[] = [];
  const extra = message["additional_kwargs"];
  const reasoning = isFields(extra) ? textOf(extra, "reasoning_content") : undefined;
  const { content } = message;
  if (typeof content === "string") {
    if (reasoning !== undefined) blocks.push({ type: "reasoning", reasoning });
    if (content !== "") blocks.push({ type: "text", text: content });
  } else if (Array.isArray(content)) {
    for (const part of standardContent(message, content)) {
      const block = toBlock(part);
      if (block !== null) blocks.push(block);
    }
  }
  return addToolCalls(message, blocks);
}

/** LangChain's own translation of a provider's content, where the message has one. */
function standardContent(message: Fields, content: readonly unknown[]): readonly unknown[] {
  try {
    const translated = message["contentBlocks"];
    return Array.isArray(translated) ? translated : content;
  } catch {
    // @langchain/core 1.4.0: translators throw for half a block, which chunks may be.
    return content;
  }
}

function toBlock(part: unknown): Block | null {
  if (typeof part === "string") return part === "" ? null : { type: "text", text: part };
  if (!isFields(part) || typeof part["type"] !== "string") return null;
  const { type } = part;
  // The calls themselves come from `tool_calls`, so that each is there once.
  if (PROVIDER_TOOL_BLOCKS.has(type) || type === "tool_call" || type === "tool_call_chunk") return null;
  if (type === "invalid_tool_call") return null;
  if (type === "non_standard" && isFields(part["value"]) && isProviderTool(part["value"])) return null;
  return standardBlock(part as Block);
}

const isProviderTool = (value: Fields): boolean =>
  typeof value["type"] === "string" && PROVIDER_TOOL_BLOCKS.has(value["type"]);

/** The wire's spelling of a content block: snake_case, bytes as `base64`, unknown types wrapped. */
export function standardBlock(part: Block): Block {
  if (part.type === "image_url") {
    const source = part["image_url"];
    const url = isFields(source) ? source["url"] : source;
    return { type: "image", ...(typeof url === "string" ? { url } : {}) };
  }
  if (part.type === "input_audio") {
    const { input_audio: audio } = part as Fields;
    const base64 = isFields(audio) ? audio["data"] : undefined;
    const format = isFields(audio) ? audio["format"] : undefined;
    return {
      type: "audio",
      ...(base64 === undefined ? {} : { base64 }),
      ...(typeof format === "string" ? { mime_type: `audio/${format}` } : {}),
    };
  }
  if (part.type === "thinking" && typeof part["thinking"] === "string") {
    const { thinking, ...rest } = part;
    return { ...rest, type: "reasoning", reasoning: thinking };
  }
  if (!KNOWN_BLOCKS.has(part.type)) return { type: "non_standard", value: part };
  if (!DATA_BLOCKS.has(part.type)) return part;
  const { data, mimeType, fileId, ...rest } = part;
  return {
    ...rest,
    ...(typeof data === "string" && rest["base64"] === undefined ? { base64: data } : {}),
    ...(mimeType === undefined || rest["mime_type"] !== undefined ? {} : { mime_type: mimeType }),
    ...(fileId === undefined || rest["file_id"] !== undefined ? {} : { file_id: fileId }),
  };
}

/** As chunks where the message is one of several, whole otherwise. */
function addToolCalls(message: Fields, blocks: Block[]): readonly Block[] {
  const chunks = message["tool_call_chunks"];
  if (Array.isArray(chunks) && chunks.length > 0) {
    for (const chunk of chunks) if (isFields(chunk)) blocks.push({ ...chunk, type: "tool_call_chunk" });
    return blocks;
  }
  for (const call of listOf(message["tool_calls"])) {
    const { id = null, name, args = {} } = call;
    blocks.push({ type: "tool_call", id, name, args });
  }
  for (const call of listOf(message["invalid_tool_calls"])) {
    const { id = null, name = null, args = null, error = null } = call;
    blocks.push({ type: "invalid_tool_call", id, name, args, error });
  }
  return blocks;
}

/** Arguments as a model wrote them: nothing is `{}`; `null` when they are no JSON object. */
export function parseArgs(text: string): Fields | null {
  if (text.trim() === "") return {};
  try {
    const parsed: unknown = JSON.parse(text);
    return isFields(parsed) ? parsed : null;
  } catch {
    return null;
  }
}
