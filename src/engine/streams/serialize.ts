import type { JsonText } from "../../core/json.js";
import { flattenStockMessage } from "./stock-message.js";

/**
 * Deeper values are cut off with a marker: JSON.stringify itself overflows the stack some thousand levels down, and a
 * reader gains nothing from them.
 */
const MAX_DEPTH = 400;
const TOO_DEEP = "[Truncated: nested too deeply]";
const CIRCULAR = "[Circular]";

interface WithToDict {
  toDict(): { readonly type: unknown; readonly data: object };
}

/** Thrown inside the fast walk; the careful walk then says where. */
class TooDeep extends Error {}

/**
 * Serialise anything that a graph can produce to one line of JSON. Never throws.
 *
 * LangChain messages are flattened to `{...data, type}` (docs/wire/langgraph-api.md §2.1.4), wherever they are. Beyond
 * what JSON.stringify does: `Map` becomes an object (or a list of pairs), `Set` a list, a bigint a number (or a string
 * when it is not a safe integer), an error `{name, message}`, bytes base64, a cycle `"[Circular]"`; NUL and lone
 * surrogates become U+FFFD, because databases refuse them.
 */
export function serialize(value: unknown): JsonText {
  let text: string | undefined;
  try {
    text = JSON.stringify(plain(value, 0));
  } catch {
    text = carefully(value);
  }
  return sanitize(text ?? "null") as JsonText;
}

function carefully(value: unknown): string | undefined {
  try {
    return JSON.stringify(plainAcyclic(value, []));
  } catch (error) {
    return JSON.stringify(`[Unserializable: ${error instanceof Error ? error.message : "unknown"}]`);
  }
}

/** `\u` appears in JSON.stringify's output for control characters and lone surrogates only. */
function sanitize(text: string): string {
  if (!text.includes("\\u")) return text;
  return text.replaceAll(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|[^])/g, (escape) =>
    escape.length === 6 && escape !== "\\u" ? "\uFFFD" : escape,
  );
}

/**
 * The value as JSON.stringify should see it. Copies on write: what is plain JSON already comes back as it is, so that
 * the native serializer does nearly all the work.
 */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return fromBigint(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > MAX_DEPTH) throw new TooDeep();
  if (Array.isArray(value)) return plainArray(value, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    const message = flattenStockMessage(value, (field) => plain(field, depth + 1));
    if (message !== null) return message;
    const special = fromInstance(value);
    if (special !== value) return plain(special, depth + 1);
  } else if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return plain((value as { toJSON(): unknown }).toJSON(), depth + 1);
  }
  return plainRecord(value as Record<string, unknown>, depth);
}

function plainArray(value: readonly unknown[], depth: number): unknown {
  let copy: unknown[] | undefined;
  for (let index = 0; index < value.length; index += 1) {
    const item = value[index];
    if ((typeof item !== "object" || item === null) && typeof item !== "bigint") continue;
    const converted = plain(item, depth + 1);
    if (converted !== item) (copy ??= [...value])[index] = converted;
  }
  return copy ?? value;
}

function plainRecord(value: Readonly<Record<string, unknown>>, depth: number): unknown {
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(value)) {
    const item = value[key];
    if ((typeof item !== "object" || item === null) && typeof item !== "bigint") continue;
    const converted = plain(item, depth + 1);
    // The spread makes even `__proto__` an own property, so that assigning it sets no prototype.
    if (converted !== item) (copy ??= { ...value })[key] = converted;
  }
  return copy ?? value;
}

/** One step towards plain JSON for an object that is not a plain one; the object itself when its fields speak for it. */
function fromInstance(value: object): unknown {
  if (typeof (value as Partial<WithToDict>).toDict === "function") {
    const { type, data } = (value as WithToDict).toDict();
    return { ...data, type };
  }
  if (value instanceof Map) return fromMap(value);
  if (value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString("base64");
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return (value as { toJSON(): unknown }).toJSON();
  if (value instanceof Error) return Object.assign({}, value, { name: value.name, message: value.message });
  if (value instanceof RegExp) return String(value);
  // A boxed primitive has to lose its box here, because its keys would be taken for fields.
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return value.valueOf();
  return value;
}

function fromMap(map: ReadonlyMap<unknown, unknown>): unknown {
  const entries = [...map];
  return entries.every(([key]) => typeof key === "string") ? Object.fromEntries(entries) : entries;
}

function fromBigint(value: bigint): number | string {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
}

/** The slow walk, for what the fast one could not do: cycles, depth, getters and `toJSON` that throw. */
function plainAcyclic(value: unknown, ancestors: readonly object[]): unknown {
  if (typeof value === "bigint") return fromBigint(value);
  if (typeof value !== "object" || value === null) return value;
  if (ancestors.includes(value)) return CIRCULAR;
  if (ancestors.length > MAX_DEPTH) return TOO_DEEP;
  const path = [...ancestors, value];
  if (Array.isArray(value)) return value.map((item) => plainAcyclic(item, path));
  let special: unknown;
  try {
    const prototype: unknown = Object.getPrototypeOf(value);
    const hasToJson = typeof (value as { toJSON?: unknown }).toJSON === "function";
    const isPlain = (prototype === Object.prototype || prototype === null) && !hasToJson;
    special = isPlain ? value : (flattenStockMessage(value, (field) => field) ?? fromInstance(value));
  } catch (error) {
    return `[Unserializable: ${error instanceof Error ? error.message : "unknown"}]`;
  }
  if (special !== value) return plainAcyclic(special, path);
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    let item: unknown;
    try {
      item = (value as Record<string, unknown>)[key];
    } catch (error) {
      item = `[Unserializable: ${error instanceof Error ? error.message : "unknown"}]`;
    }
    Object.defineProperty(copy, key, {
      value: plainAcyclic(item, path),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}
