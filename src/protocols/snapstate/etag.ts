import { createHash } from "node:crypto";
import type { JsonText } from "../../core/json.js";

/** Of a state: the first 16 hexadecimal digits of the SHA-256 of its compact JSON, in quotes, which are part of it. */
export function etagOf(state: JsonText): string {
  return `"${createHash("sha256").update(state).digest("hex").slice(0, 16)}"`;
}

/**
 * Whether an `If-Match` header names this etag: quoted, unquoted or weak, one of several, or `*`.
 * @param header as it came
 */
export function matchesEtag(header: string, etag: string): boolean {
  return header
    .split(",")
    .map((one) => one.trim())
    .some((one) => one === "*" || `"${one.replace(/^W\//i, "").replace(/^"(.*)"$/, "$1")}"` === etag);
}
