import { createHash } from "node:crypto";
import type { JsonValue } from "./json.js";
import { isJsonObject } from "./json.js";

/**
 * JSON text that is the same for equal documents: members sorted by UTF-16 code units, no white space, numbers as ECMAScript writes them
 * (RFC 8785).
 */
export function canonicalJson(value: JsonValue | undefined): string {
  if (Array.isArray(value)) return `[${value.map((element: JsonValue) => canonicalJson(element)).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value ?? null);
  const members: string[] = [];
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member !== undefined) members.push(`${JSON.stringify(name)}:${canonicalJson(member)}`);
  }
  return `{${members.join(",")}}`;
}

/** SHA-256 of {@link canonicalJson}, in hex. */
export function jsonDigest(value: JsonValue | undefined): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
