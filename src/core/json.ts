/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** A JSON object. What users own (metadata, config, context) is passed by reference and never re-keyed. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

declare const jsonText: unique symbol;

/**
 * A value that has already been serialised to JSON, on one line.
 * Payloads are serialised once (by the engine) and travel as text through event log, store and wire.
 */
export type JsonText = string & { readonly [jsonText]: true };

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/** Serialise a plain JSON value. LangChain objects go through the engine's serializer instead. */
export function toJsonText(value: JsonValue | undefined): JsonText {
  return (JSON.stringify(value) ?? "null") as JsonText;
}

/** Declare that `text` is JSON on one line: for drivers that read back what they were given. */
export function asJsonText(text: string): JsonText {
  return text as JsonText;
}

/** Parse what {@link toJsonText} or the engine's serializer wrote. */
export function parseJsonText(text: JsonText): JsonValue {
  return JSON.parse(text) as JsonValue;
}

/** True for `{…}`; false for arrays, `null` and scalars. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A deep copy of a JSON value, as `JSON.parse(JSON.stringify(value))` gives it: `undefined` members are dropped, what
 * has a `toJSON` is replaced by it. Several times faster than both that and `structuredClone` for small values.
 * @throws TypeError for what JSON can't hold (a bigint, a cycle)
 */
export function copyJson<T extends JsonValue>(value: T): T {
  return copyValue(value) as T;
}

function copyValue(value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (Array.isArray(value)) return value.map((element: JsonValue) => copyValue(element) ?? null);
  if (isJsonObject(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if ((prototype === Object.prototype || prototype === null) && typeof value["toJSON"] !== "function") {
      return copyObject(value);
    }
  }
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? undefined : (JSON.parse(text) as JsonValue);
}

function copyObject(value: JsonObject): JsonObject {
  // A spread keeps an own `__proto__` as a plain key, where building key by key would set the prototype.
  const copy: Record<string, JsonValue | undefined> = { ...value };
  for (const key of Object.keys(copy)) {
    const member = copy[key];
    if (typeof member === "string" || typeof member === "boolean" || member === null) continue;
    const copied = copyValue(member);
    if (copied === undefined) delete copy[key];
    else copy[key] = copied;
  }
  return copy;
}
