import { createHash } from "node:crypto";
import { HeddleError } from "../core/errors.js";
import type { RecordKey, RecordQuery, RecordWrite } from "../core/record.js";

/* What every store refuses of records, and how those with a database find them. */

const MAX_CHARACTERS = 1024;
const MAX_BOUND_CHARACTERS = 2 * MAX_CHARACTERS;
const MAX_LABELS = 64;
/** A hundred years: what is added to a time stays one. */
const MAX_TTL_MS = 100 * 366 * 86_400_000;

/** @throws HeddleError `INVALID_REQUEST` that names the field */
export function checkRecordKey({ space, owner, collection, key }: RecordKey): void {
  checkText("space", space, { empty: false });
  checkText("owner", owner);
  checkText("collection", collection);
  checkText("key", key, { empty: false });
}

/** As {@link checkRecordKey}. */
export function checkRecordWrite(write: RecordWrite): void {
  checkRecordKey(write);
  const { expected, ttlMs, labels, tracked = false, disposable = false } = write;
  checkExpected(expected);
  if (typeof ttlMs === "number" && !(Number.isInteger(ttlMs) && ttlMs >= 0 && ttlMs <= MAX_TTL_MS)) {
    throw refused("ttlMs", `must be a whole number of milliseconds, at most ${MAX_TTL_MS}`);
  }
  checkLabels(labels);
  if (tracked && disposable) throw refused("disposable", "does not go together with `tracked`");
}

/** As {@link checkRecordKey}. */
export function checkExpected(expected: number | undefined): void {
  if (expected === undefined || (Number.isSafeInteger(expected) && expected >= 0)) return;
  throw refused("expected", "must be a version: a whole number from 0 on");
}

/** As {@link checkRecordKey}. */
export function checkRecordQuery({
  space,
  owner,
  collection = "",
  labels,
  fromKey = "",
  toKey = "",
}: RecordQuery): void {
  checkText("space", space, { empty: false });
  checkText("owner", owner);
  checkText("collection", collection);
  checkText("fromKey", fromKey, { max: MAX_BOUND_CHARACTERS });
  checkText("toKey", toKey, { max: MAX_BOUND_CHARACTERS });
  checkLabels(labels);
}

function checkLabels(labels: Readonly<Record<string, string>> = {}): void {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) throw refused("labels", `may be at most ${MAX_LABELS}, not ${entries.length}`);
  for (const [name, value] of entries) {
    checkText("labels", name);
    checkText("labels", value);
  }
}

function checkText(
  field: string,
  text: string,
  { empty = true, max = MAX_CHARACTERS }: { readonly empty?: boolean; readonly max?: number } = {},
): void {
  if (text === "" && !empty) throw refused(field, "must not be empty");
  // An array of code points is made only of what may be too long.
  if (text.length > max && Array.from(text).length > max) {
    throw refused(field, `may have at most ${max.toLocaleString("en")} characters`);
  }
  if (text.includes("\0")) throw refused(field, "must not contain the character U+0000");
  if (!text.isWellFormed()) throw refused(field, "is no well-formed Unicode: it has half a surrogate pair");
}

function refused(field: string, what: string): HeddleError {
  return new HeddleError("INVALID_REQUEST", { message: `${field} of a record ${what}.`, details: { field } });
}

/**
 * Compares strings by code points, as databases do that compare UTF-8 by bytes; `<` compares UTF-16, which puts U+FFFD behind an
 * emoji.
 */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  const end = Math.min(a.length, b.length);
  for (let at = 0; at < end; at += 1) {
    // Where two pairs of surrogates differ in their second halves only, these are compared.
    const difference = (a.codePointAt(at) ?? 0) - (b.codePointAt(at) ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * Digests that indices have in place of texts of up to 4 kB each: Postgres takes no entries over 2.7 kB. NUL, which no part has, keeps
 * the parts apart.
 */
export interface RecordDigests {
  readonly id: Buffer;
  readonly ownerId: Buffer;
  readonly collectionId: Buffer;
}

export function recordDigests({ space, owner, collection, key }: RecordKey): RecordDigests {
  return {
    id: digest(space, owner, collection, key),
    ownerId: ownerDigest({ space, owner }),
    collectionId: collectionDigest({ space, owner, collection }),
  };
}

export function recordId({ space, owner, collection, key }: RecordKey): Buffer {
  return digest(space, owner, collection, key);
}

export function ownerDigest({ space, owner }: Pick<RecordKey, "space" | "owner">): Buffer {
  return digest(space, owner);
}

export function collectionDigest({ space, owner, collection }: Omit<RecordKey, "key">): Buffer {
  return digest(space, owner, collection);
}

/** What an index of labels has: one digest for each label of an owner's. */
export function labelDigests(
  { space, owner }: Pick<RecordKey, "space" | "owner">,
  labels: Readonly<Record<string, string>> = {},
): readonly Buffer[] {
  return Object.entries(labels).map(([name, value]) => digest("label", space, owner, name, value));
}

function digest(...parts: readonly string[]): Buffer {
  return createHash("sha256").update(parts.join("\0")).digest();
}
