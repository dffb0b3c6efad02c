import type { Filter } from "mongodb";
import { asJsonText, type EpochMs } from "../../core/json.js";
import type { RecordChange, RecordKey, RecordQuery } from "../../core/record.js";
import { labelsText } from "../record-columns.js";
import { collectionDigest, labelDigests, ownerDigest, recordDigests, recordId } from "../record-keys.js";
import type { RecordRow } from "../record-steps.js";

/** How many of a document's latest writes are known by name. */
const NAMES_KEPT = 12;

/** A record, also one that is gone. What an index has of its place are digests of one length. */
export interface RecordDocument extends RecordKey {
  /** Of the whole place. */
  readonly _id: string;
  readonly ownerId: string;
  readonly collectionId: string;
  /** Of its latest writes, newest last: so that one whose answer was lost is recognised. */
  readonly names: readonly string[];
  /** The last of `names`: whoever read another one reads again. */
  readonly rev: string;
  readonly version: number;
  /** Order of creation among the owner's. */
  readonly sequence: number;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  readonly tracked: boolean;
  readonly disposable: boolean;
  /** JSON object, and digests of its members. */
  readonly labels: string;
  readonly terms: readonly string[];
  /** Absent: it is gone since `goneAt`. */
  readonly value?: string;
  readonly goneAt?: EpochMs;
  readonly expiresAt?: EpochMs;
  /** Changes that the very write of this document made, until the next one takes them to `heddle_record_changes`. */
  readonly pending?: readonly PendingChange[];
  readonly pendingAt?: EpochMs;
}

export interface PendingChange {
  readonly version: number;
  readonly previous: string | null;
  /** Absent: it is the document's. */
  readonly value?: null;
  readonly at: EpochMs;
}

export interface RecordChangeDocument extends RecordKey {
  /** `record:version`, the version in sixteen digits. */
  readonly _id: string;
  readonly record: string;
  readonly version: number;
  readonly previous: string | null;
  readonly value: string | null;
  readonly at: EpochMs;
}

/** The last one given to a record of an owner. */
export interface RecordCounterDocument {
  /** The owner's digest. */
  readonly _id: string;
  readonly last: number;
}

export function documentId(key: RecordKey): string {
  return recordId(key).toString("base64url");
}

/** @param name of this write */
export function recordDocument(
  row: RecordRow,
  {
    name,
    names,
    changes,
  }: { readonly name: string; readonly names: readonly string[]; readonly changes: readonly RecordChange[] },
): RecordDocument {
  const { id, ownerId, collectionId } = recordDigests(row);
  const { space, owner, collection, key, value, labels, expiresAt, ...fields } = row;
  const last = changes.at(-1);
  return {
    _id: id.toString("base64url"),
    space,
    owner,
    collection,
    key,
    ownerId: ownerId.toString("base64url"),
    collectionId: collectionId.toString("base64url"),
    names: [...names.slice(1 - NAMES_KEPT), name],
    rev: name,
    ...fields,
    labels: labelsText(labels),
    terms: terms(row, labels),
    ...(value === null ? { goneAt: row.updatedAt } : { value }),
    ...(expiresAt !== null && { expiresAt }),
    ...(last !== undefined && { pending: changes.map(pendingChange), pendingAt: last.at }),
  };
}

function pendingChange({ version, previous, value, at }: RecordChange): PendingChange {
  return { version, previous, ...(value === null && { value }), at };
}

export function rowOfDocument(document: RecordDocument): RecordRow {
  const { space, owner, collection, key, version, sequence, createdAt, updatedAt, tracked, disposable } = document;
  return {
    space,
    owner,
    collection,
    key,
    version,
    sequence,
    createdAt,
    updatedAt,
    tracked,
    disposable,
    labels: JSON.parse(document.labels) as Record<string, string>,
    value: document.value === undefined ? null : asJsonText(document.value),
    expiresAt: document.expiresAt ?? null,
  };
}

/** What a document has still to hand over. */
export function pendingChanges(document: RecordDocument): readonly RecordChangeDocument[] {
  const { _id: record, space, owner, collection, key, pending = [], value = null } = document;
  const changes: RecordChangeDocument[] = [];
  for (const change of pending) {
    const { version, previous, at } = change;
    const _id = `${record}:${String(version).padStart(16, "0")}`;
    const after = change.value === undefined ? value : null;
    changes.push({ _id, record, space, owner, collection, key, version, previous, value: after, at });
  }
  return changes;
}

export function changeOfDocument(key: string, document: RecordChangeDocument): RecordChange {
  const { version, previous, value, at } = document;
  return {
    key,
    version,
    previous: previous === null ? null : asJsonText(previous),
    value: value === null ? null : asJsonText(value),
    at,
  };
}

/** What somebody may see of a query. */
export function filterOf(query: RecordQuery, now: EpochMs): Filter<RecordDocument> {
  const { space, owner, collection, fromKey, toKey, labels = {} } = query;
  const wanted = terms(query, labels);
  return {
    ...(collection === undefined
      ? { ownerId: ownerDigest({ space, owner }).toString("base64url") }
      : { collectionId: collectionDigest({ space, owner, collection }).toString("base64url") }),
    ...((fromKey !== undefined || toKey !== undefined) && {
      key: { ...(fromKey !== undefined && { $gte: fromKey }), ...(toKey !== undefined && { $lte: toKey }) },
    }),
    ...(wanted.length > 0 && { terms: { $all: [...wanted] } }),
    goneAt: { $exists: false },
    expiresAt: { $not: { $lte: now } },
  };
}

function terms(place: Pick<RecordKey, "space" | "owner">, labels: Readonly<Record<string, string>>): readonly string[] {
  return labelDigests(place, labels).map((digest) => digest.toString("base64url"));
}
