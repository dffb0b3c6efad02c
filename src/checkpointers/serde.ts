import { JsonPlusSerializer } from "@langchain/langgraph-checkpoint";
import { JsonReader, NotReadable } from "./json-reader.js";
import { JsonWriter, NotWritable } from "./json-writer.js";
import { messageClasses } from "./message-classes.js";

/**
 * A serialised value: JSON; bytes as they are; or, for a list of messages, the JSON of each element, so that two versions
 * of a growing list share the texts of their common messages.
 */
export type Encoded = string | Uint8Array | readonly string[];

/**
 * `JsonPlusSerializer`'s format (@langchain/langgraph-checkpoint 1.2.2), several times faster: same bytes for what that
 * serializer can represent, and each reads what the other wrote. Cycles, deep nesting and BigInt are written, and
 * LangChain objects other than messages are read, by the stock code. Two differences, both on purpose: a nested Buffer
 * comes back as bytes instead of `{type, data}`, and a key `__proto__` stays a key.
 *
 * {@link encode} and {@link decode} are the synchronous forms that Heddle's savers use.
 */
export class CheckpointSerde extends JsonPlusSerializer {
  readonly #writer: JsonWriter;
  readonly #reader: JsonReader;

  constructor() {
    super();
    const classes = messageClasses();
    this.#writer = new JsonWriter(classes);
    this.#reader = new JsonReader(classes);
  }

  /** Serialise now: later changes of `value` don't reach the result. */
  encode(value: unknown): Encoded {
    if (value instanceof Uint8Array) return new Uint8Array(value);
    try {
      return this.#writer.writeMessageList(value) ?? this.#writer.write(value);
    } catch (error) {
      return this.#stockText(value, error);
    }
  }

  /** One JSON text, whatever the value. */
  encodeText(value: unknown): string {
    try {
      return this.#writer.write(value);
    } catch (error) {
      return this.#stockText(value, error);
    }
  }

  #stockText(value: unknown, error: unknown): string {
    if (error instanceof NotWritable) return new TextDecoder().decode(super._dumps(value));
    throw error;
  }

  /** A fresh value each time. A promise only for what the stock serializer must read. */
  decode(encoded: Encoded): unknown {
    if (typeof encoded === "string") return this.#decodeText(encoded);
    if (encoded instanceof Uint8Array) return new Uint8Array(encoded);
    const values = new Array<unknown>(encoded.length);
    let pending = false;
    for (let i = 0; i < encoded.length; i++) {
      const text = encoded[i] ?? "null";
      const value = this.#decodeText(text);
      if (value instanceof Promise) pending = true;
      else if (text.startsWith('{"lc":1,') && typeof value === "object" && value !== null) {
        this.#writer.remember(value, text);
      }
      values[i] = value;
    }
    return pending ? Promise.all(values) : values;
  }

  #decodeText(text: string): unknown {
    try {
      return this.#reader.read(text);
    } catch (error) {
      if (error instanceof NotReadable) return super._loads(text);
      throw error;
    }
  }

  override async dumpsTyped(value: unknown): Promise<[string, Uint8Array]> {
    if (value instanceof Uint8Array) return ["bytes", value];
    return ["json", new TextEncoder().encode(this.encodeText(value))];
  }

  override async loadsTyped(type: string, data: Uint8Array | string): Promise<unknown> {
    if (type !== "json") return super.loadsTyped(type, data) as Promise<unknown>;
    return this.#decodeText(typeof data === "string" ? data : new TextDecoder().decode(data));
  }
}

// JSON.stringify escapes line breaks, so a raw one between elements marks where to split.
const LIST_HEAD = "[\n";
export const LIST_SEPARATOR = ",\n";
export const LIST_TAIL = "]";

/** A list's element texts as one JSON text, for stores that keep values in one cell. */
export function joinTexts(texts: readonly string[]): string {
  return `${LIST_HEAD}${texts.join(LIST_SEPARATOR)}${LIST_TAIL}`;
}

/** Bytes of {@link joinTexts} without {@link LIST_TAIL}: what a list that begins with the same elements begins with. At least one element. */
export function textsBytes(texts: readonly string[]): number {
  let bytes = LIST_HEAD.length + LIST_SEPARATOR.length * (texts.length - 1);
  for (const text of texts) bytes += Buffer.byteLength(text);
  return bytes;
}

/** JSON that says everything about a value, for comparing. */
export function textOf(data: Encoded): string {
  if (data instanceof Uint8Array)
    return JSON.stringify({ lc: 2, type: "bytes", base64: Buffer.from(data).toString("base64") });
  return typeof data === "string" ? data : joinTexts(data);
}

/** The inverse of {@link joinTexts}; `null` for any other text. */
export function splitTexts(text: string): readonly string[] | null {
  if (!text.startsWith(LIST_HEAD)) return null;
  return text.slice(LIST_HEAD.length, -1).split(LIST_SEPARATOR);
}
