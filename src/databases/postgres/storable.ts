import type { JsonValue } from "../../core/json.js";

/*
 * Postgres holds neither U+0000 nor half a surrogate pair, in text and in JSONB. Each such character, and U+0001 itself, is
 * stored as U+0001 and its four hex digits; so equal strings stay equal, different ones different, and NUL still sorts first.
 */

const ESCAPE = "\u0001";
// oxlint-disable-next-line no-control-regex -- these are what is meant
const UNSTORABLE = /[\u0000\u0001]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
// oxlint-disable-next-line no-control-regex -- this is what is meant
const STORED = /\u0001([0-9a-f]{4})/g;
/** Tokens that start with a backslash, so that an escaped backslash before `u0000` is told from an escape. */
const UNSTORABLE_ESCAPE = /\\(?:u(000[01]|d[89a-f][0-9a-f]{2})|.)/g;
const STORED_ESCAPE = /\\(?:u0001([0-9a-f]{4})|.)/g;

/** A string as a `text` column takes it. */
export function toText(value: string): string {
  return value.replaceAll(UNSTORABLE, (unit) => ESCAPE + (unit.codePointAt(0) ?? 0).toString(16).padStart(4, "0"));
}

/** What {@link toText} was given. */
export function fromText(stored: string): string {
  if (!stored.includes(ESCAPE)) return stored;
  return stored.replaceAll(STORED, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
}

/** A JSON value as a `jsonb` column or parameter takes it, as text. `undefined` members are left out. */
export function toJsonb(value: JsonValue | undefined): string {
  return toJsonbText(JSON.stringify(value) ?? "null");
}

/** {@link toJsonb} of a value that is JSON text already. */
export function toJsonbText(text: string): string {
  // JSON.stringify writes control characters and lone surrogates as escapes, and nothing else.
  if (!text.includes("\\u")) return text;
  return text.replaceAll(UNSTORABLE_ESCAPE, (token, hex?: string) => (hex === undefined ? token : `\\u0001${hex}`));
}

/** What {@link toJsonb} was given, from `column::text`. */
export function fromJsonb(text: string): JsonValue {
  const restored = text.includes("\\u0001")
    ? text.replaceAll(STORED_ESCAPE, (token, hex?: string) => (hex === undefined ? token : `\\u${hex}`))
    : text;
  return JSON.parse(restored) as JsonValue;
}
