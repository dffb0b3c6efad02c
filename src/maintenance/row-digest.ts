import { createHash } from "node:crypto";
import type { JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";

/** How many rows there are and a digest of them, whatever their order: databases sort differently. */
export interface Checksum {
  readonly rows: number;
  /** Hexadecimal: the sum of the rows' SHA-256 modulo 2^256. */
  readonly digest: string;
}

const MODULUS = 1n << 256n;

/**
 * A checksum of a set of rows. A sum, not an exclusive or: a row that is there twice is not one that is missing
 * (Bellare and Micciancio, "A New Paradigm for Collision-free Hashing", 1997, AdHash).
 */
export class RowChecksum {
  #rows = 0;
  #sum = 0n;

  /** @param parts what the row is: its key and its value */
  add(...parts: readonly JsonValue[]): void {
    this.#rows += 1;
    const hash = createHash("sha256").update(canonicalJson(parts)).digest("hex");
    this.#sum = (this.#sum + BigInt(`0x${hash}`)) % MODULUS;
  }

  result(): Checksum {
    return { rows: this.#rows, digest: this.#sum.toString(16).padStart(64, "0") };
  }
}

export function isSameChecksum(a: Checksum, b: Checksum): boolean {
  return a.rows === b.rows && a.digest === b.digest;
}

/** JSON with the keys of every object in order: equal values have equal texts. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((element: JsonValue) => canonicalJson(element)).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .flatMap((key) => {
      const member = value[key];
      return member === undefined ? [] : [`${JSON.stringify(key)}:${canonicalJson(member)}`];
    });
  return `{${members.join(",")}}`;
}
