import type { EpochMs, JsonText } from "../core/json.js";
import { asJsonText, toJsonText } from "../core/json.js";

/**
 * Documents are assembled as text around what is serialised already (thread values, states, event payloads), so that
 * nothing is parsed to be printed again. `JSON.rawJSON` takes primitives only, so it cannot do this.
 */
export type FieldEncoders<Entity, Name extends string> = {
  readonly [K in Name]: (entity: Entity) => string | undefined;
};

/**
 * One object; fields in the order of `names`, those whose encoder answers `undefined` left out.
 * @param names default: all, in the table's order
 */
export function encodeFields<Entity, Name extends string>(
  encoders: FieldEncoders<Entity, Name>,
  entity: Entity,
  names: readonly Name[] = Object.keys(encoders) as Name[],
  extra: readonly (readonly [name: string, text: string])[] = [],
): JsonText {
  let body = "";
  for (const name of names) {
    const text = encoders[name](entity);
    if (text !== undefined) body += `${body === "" ? "" : ","}"${name}":${text}`;
  }
  for (const [name, text] of extra) body += `${body === "" ? "" : ","}"${name}":${text}`;
  return asJsonText(`{${body}}`);
}

/** `[a,b]` of texts. */
export function encodeList(texts: readonly string[]): JsonText {
  return asJsonText(`[${texts.join(",")}]`);
}

/** All elements of JSON arrays as one JSON array, without parsing them. */
export function joinArrays(arrays: readonly JsonText[]): JsonText {
  return encodeList(arrays.map((text) => text.trim().slice(1, -1).trim()).filter((inner) => inner !== ""));
}

/** A string as JSON. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** `"2026-11-22T00:55:08.691Z"`, quoted (docs/wire/langgraph-api.md §2.1.4). */
export function isoText(ms: EpochMs): string {
  return `"${new Date(ms).toISOString()}"`;
}

/** An unescaped `\u0000` of a JSON text, with the backslashes before it. */
const NUL_ESCAPE = /(?<!\\)((?:\\\\)*)\\u0000/g;

/**
 * Parse a request body. NUL becomes U+FFFD, as on the Platform: databases cannot store it
 * (docs/wire/langgraph-api.md §2.1.4).
 * @throws SyntaxError
 */
export function parseBody(text: string): unknown {
  return JSON.parse(text.includes("\\u0000") ? text.replaceAll(NUL_ESCAPE, "$1\\ufffd") : text);
}

export { asJsonText, toJsonText };
