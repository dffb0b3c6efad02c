import { isDeltaSnapshot } from "@langchain/langgraph-checkpoint";
import type { MessageClass, MessageClasses, MessageLike } from "./message-classes.js";

/** Thrown for what the stock serializer must write: cycles, nesting beyond {@link MAX_DEPTH}, BigInt. */
export class NotWritable extends Error {}

/** Deeper values, and cycles, go to the stock serializer. */
const MAX_DEPTH = 200;

const UNDEFINED_RECORD = { lc: 2, type: "undefined" };
const UNDEFINED = JSON.stringify(UNDEFINED_RECORD);

/**
 * What a message looked like when its text was written. Text is served again only after every constructor field has been
 * compared, so that a node which changes a message in place is seen.
 */
interface Memo {
  readonly text: string;
  readonly keys: readonly string[];
  /** Per key the scalar, or for an object its JSON. */
  readonly values: readonly unknown[];
  readonly isObject: readonly boolean[];
}

/**
 * Writes the JSON of @langchain/langgraph-checkpoint's `JsonPlusSerializer`, byte for byte (except nested Buffers, which
 * keep being bytes here), without its two walks and without `Serializable.toJSON` for the message classes of
 * @langchain/core.
 */
export class JsonWriter {
  readonly #classes: ReadonlyMap<object, MessageClass>;
  readonly #memos = new WeakMap<object, Memo>();

  constructor(classes: MessageClasses) {
    this.#classes = classes.byPrototype;
  }

  /**
   * The JSON of a value.
   * @throws NotWritable
   */
  write(value: unknown): string {
    return this.#write(value, "", 0) ?? UNDEFINED;
  }

  /**
   * The JSON of each element when `value` is a list that begins with a message; `null` otherwise. Texts of unchanged
   * messages are the same string objects as before.
   */
  writeMessageList(value: unknown): readonly string[] | null {
    if (!Array.isArray(value) || this.#messageClass(value[0]) === undefined) return null;
    const list: readonly unknown[] = value;
    const texts = new Array<string>(list.length);
    for (let i = 0; i < list.length; i++) {
      texts[i] = this.#write(list[i], String(i), 1) ?? "null";
    }
    return texts;
  }

  /** Declare that `message` was just read from `text`, so that writing it unchanged gives the same string. */
  remember(message: object, text: string): void {
    const kwargs = (message as MessageLike).lc_kwargs;
    if (typeof kwargs["content"] === "string") this.#memorize(message as MessageLike, text);
  }

  #write(value: unknown, key: string, depth: number): string | undefined {
    switch (typeof value) {
      case "string":
      case "number":
      case "boolean":
        return JSON.stringify(value);
      case "undefined":
        return UNDEFINED;
      case "function":
      case "symbol":
        return undefined;
      case "bigint":
        throw new NotWritable();
      default:
    }
    if (value === null) return "null";
    if (depth > MAX_DEPTH) throw new NotWritable();
    const message = this.#messageClass(value);
    if (message !== undefined) return this.#writeMessage(value as MessageLike, message, key, depth);
    if (isPlain(value, false, depth)) return JSON.stringify(value);
    // Before toJSON: a Buffer's would make an object of it that is never revived.
    if (value instanceof Uint8Array) return this.#record("Uint8Array", "from", [Array.from(value)], depth);
    if (hasToJson(value)) {
      const resolved = value.toJSON(key);
      return typeof resolved === "object" && resolved !== null
        ? this.#writeObject(resolved, depth)
        : this.#write(resolved, key, depth + 1);
    }
    return this.#writeObject(value as object, depth);
  }

  #writeObject(value: object, depth: number): string | undefined {
    if (Array.isArray(value)) return this.#writeList(value, depth);
    if (isDeltaSnapshot(value)) {
      return `{"lc":2,"type":"delta_snapshot","value":${this.#write(value.value, "value", depth + 1) ?? UNDEFINED}}`;
    }
    if (value instanceof Set || value instanceof Map) {
      return this.#record(value.constructor.name, null, [Array.from<unknown>(value)], depth);
    }
    if (value instanceof RegExp) return this.#record("RegExp", null, [value.source, value.flags], depth);
    if (value instanceof Error) return this.#record("Error", null, [value.message], depth);
    if (value instanceof Number || value instanceof String || value instanceof Boolean) return JSON.stringify(value);
    if ((value as { readonly lg_name?: unknown }).lg_name === "Send") {
      const send = value as { readonly node: unknown; readonly args: unknown; readonly timeout?: unknown };
      const { node, args, timeout } = send;
      return this.#writeFields(timeout === undefined ? { node, args } : { node, args, timeout }, depth);
    }
    return this.#writeFields(value, depth);
  }

  #writeFields(value: object, depth: number): string {
    const record = value as Readonly<Record<string, unknown>>;
    const parts: string[] = [];
    for (const key of Object.keys(record)) {
      const json = this.#write(record[key], key, depth + 1);
      if (json !== undefined) parts.push(parts.length === 0 ? "{" : ",", JSON.stringify(key), ":", json);
    }
    return parts.length === 0 ? "{}" : joined(parts, "}");
  }

  #writeList(list: readonly unknown[], depth: number): string {
    if (list.length === 0) return "[]";
    const parts: string[] = [];
    for (let i = 0; i < list.length; i++) {
      parts.push(i === 0 ? "[" : ",", this.#write(list[i], String(i), depth + 1) ?? "null");
    }
    return joined(parts, "]");
  }

  #record(name: string, method: string | null, args: readonly unknown[], depth: number): string {
    const head = `{"lc":2,"type":"constructor","id":[${JSON.stringify(name)}],"method":${JSON.stringify(method)}`;
    return `${head},"args":${this.#writeList(args, depth + 1)},"kwargs":{}}`;
  }

  #messageClass(value: unknown): MessageClass | undefined {
    if (typeof value !== "object" || value === null) return undefined;
    const found = this.#classes.get(Object.getPrototypeOf(value) as object);
    if (found === undefined) return undefined;
    const message = value as MessageLike;
    return message.toJSON === found.toJSON && message.lc_serializable && isRecord(message.lc_kwargs)
      ? found
      : undefined;
  }

  #writeMessage(message: MessageLike, known: MessageClass, key: string, depth: number): string {
    const memo = this.#memos.get(message);
    if (memo !== undefined && matches(message, memo)) return memo.text;
    const kwargs = message.lc_kwargs;
    const fields: Record<string, unknown> = {};
    for (const field of Object.keys(kwargs)) {
      const value = field in message ? message[field] : kwargs[field];
      const name = known.jsonKey(field);
      if (value === undefined) fields[name] = UNDEFINED_RECORD;
      else if (typeof value === "function" || typeof value === "symbol") continue;
      else if (isPlain(value, true, depth) && name !== "__proto__") fields[name] = value;
      else return this.#writeObject(message.toJSON(key) as object, depth) ?? UNDEFINED;
    }
    const text = JSON.stringify({ lc: 1, type: "constructor", id: known.id, kwargs: fields });
    this.#memorize(message, text);
    return text;
  }

  #memorize(message: MessageLike, text: string): void {
    const kwargs = message.lc_kwargs;
    const keys = Object.keys(kwargs);
    const isObject: boolean[] = [];
    const values = keys.map((key, at) => {
      const value = key in message ? message[key] : kwargs[key];
      isObject[at] = typeof value === "object" && value !== null;
      return isObject[at] ? objectJson(value as object) : value;
    });
    this.#memos.set(message, { text, keys, values, isObject });
  }
}

/** Joined, not added up: V8 keeps a sum of strings as a tree of its parts, several times larger than the text. */
function joined(parts: string[], end: string): string {
  parts.push(end);
  return parts.join("");
}

function matches(message: MessageLike, memo: Memo): boolean {
  const kwargs = message.lc_kwargs;
  const { keys, values, isObject } = memo;
  let at = 0;
  for (const key in kwargs) {
    if (key !== keys[at]) return false;
    const own = message[key];
    const value = own === undefined && !(key in message) ? kwargs[key] : own;
    if (isObject[at]) {
      if (typeof value !== "object" || value === null || objectJson(value) !== values[at]) return false;
    } else if (value !== values[at]) return false;
    at++;
  }
  return at === keys.length;
}

/** JSON of a nested object, or a text that nothing equals when it holds what JSON can't. */
function objectJson(value: object): unknown {
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
  } else if (isEmpty(value)) return "{}";
  return isPlain(value, true, 0) ? JSON.stringify(value) : NaN;
}

function isEmpty(value: object): boolean {
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const _ in value) return false;
  return true;
}

/**
 * Whether `JSON.stringify` alone writes `value` as the stock serializer does.
 * @param inMessage inside a message: Dates and keys that `toJSON()` escapes are not plain there
 */
function isPlain(value: unknown, inMessage: boolean, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return true;
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > MAX_DEPTH) throw new NotWritable();
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], inMessage, depth + 1)) return false;
    return true;
  }
  const prototype = Object.getPrototypeOf(value) as unknown;
  if (prototype !== Object.prototype && prototype !== null) return !inMessage && prototype === Date.prototype;
  const record = value as Readonly<Record<string, unknown>>;
  for (const key in record) {
    if (key === "lg_name" || (inMessage && (key === "lc" || key === "__lc_escaped__"))) return false;
    if (!isPlain(record[key], inMessage, depth + 1)) return false;
  }
  return true;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return typeof (value as { readonly toJSON?: unknown }).toJSON === "function";
}
