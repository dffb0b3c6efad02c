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
