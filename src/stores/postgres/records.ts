import { randomUUID } from "node:crypto";
import {
  CHANGES_KEPT_MS,
  type RecordStore,
  type RecordWrite,
  type RecordWriteOutcome,
  type StoredRecord,
  TOMBSTONES_KEPT_MS,
} from "../../core/record.js";
import { asJsonText } from "../../core/json.js";
import {
  type ChangeColumns,
  labelsText,
  type RecordColumns,
  recordChangeOf,
  storedRecordOf,
} from "../record-columns.js";
import {
  checkExpected,
  checkRecordKey,
  checkRecordQuery,
  checkRecordWrite,
  collectionDigest,
  labelDigests,
  recordDigests,
  recordId,
} from "../record-keys.js";
import { keyOf } from "../record-steps.js";
import * as statements from "./record-statements.js";
import type { Session } from "./session.js";

type Written = {
  readonly written: boolean;
  readonly current: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly expires_at: number | null;
  readonly previous: string | null;
};
type WrittenAll = {
  readonly conflict: number | null;
  readonly current: number | null;
  readonly answers: readonly string[] | null;
};
type Removed = {
  readonly kind: "removed" | "absent" | "conflict";
  readonly current: number;
  readonly previous: string | null;
};

/** Records in a Postgres database: one statement each. */
export function createPostgresRecords(session: Session): RecordStore {
  return {
    async get(key) {
      checkRecordKey(key);
      const [row] = await session.query<RecordColumns>(statements.GET, [session.now(), recordId(key)]);
      return row === undefined ? null : storedRecordOf(row);
    },

    async version(key) {
      checkRecordKey(key);
      const [row] = await session.query<Pick<RecordColumns, "version">>(statements.VERSION, [recordId(key)]);
      return row?.version ?? 0;
    },

    async write(write) {
      checkRecordWrite(write);
      return writeRecord(session, write);
    },

    async writeAll(writes) {
      for (const write of writes) checkRecordWrite(write);
      if (writes.length === 0) return { kind: "written", records: [] };
      // Everybody locks records in the same order; of one record its writes stay in theirs.
      const sorted = writes
        .map((write, index) => writeParameter(write, index))
        .toSorted((a, b) => (a.id === b.id ? a.index - b.index : a.id < b.id ? -1 : 1));
      const values = [session.now(), randomUUID(), JSON.stringify(sorted)];
      const [row] = await session.query<WrittenAll>(statements.WRITE_ALL, values);
      if (row === undefined) throw new Error("heddle_write_records did not answer");
      const { conflict, current, answers } = row;
      if (conflict !== null) return { kind: "conflict", index: conflict, current: current ?? 0 };
      const records = writes.map((write, index) => writtenRecord(write, answers?.[index]));
      return { kind: "written", records };
    },

    async remove(params) {
      checkRecordKey(params);
      const { expected, tracked = false } = params;
      checkExpected(expected);
      const values = [session.now(), recordId(params), expected ?? null, tracked];
      const [row] = await session.query<Removed>(statements.REMOVE, values);
      if (row === undefined || row.kind === "absent") return { kind: "absent" };
      const { kind, current, previous } = row;
      if (kind === "conflict") return { kind, current };
      return { kind, version: current, previous: asJsonText(previous ?? "null") };
    },

    async list({ order, direction, limit, offset, ...query }) {
      checkRecordQuery(query);
      const page = { order, direction, limit, offset };
      const { statement, values } = statements.listStatement(query, page, session.now());
      return (await session.query<RecordColumns>(statement, values)).map(storedRecordOf);
    },

    async count(query) {
      checkRecordQuery(query);
      const { statement, values } = statements.countStatement(query, session.now());
      const [row] = await session.query<{ count: number }>(statement, values);
      return row?.count ?? 0;
    },

    async removeCollection(params) {
      checkRecordQuery(params);
      const values = [session.now(), collectionDigest(params)];
      const [row] = await session.query<{ removed: number }>(statements.REMOVE_COLLECTION, values);
      return row?.removed ?? 0;
    },

    async changes({ after, limit, ...key }) {
      checkRecordKey(key);
      const rows = await session.query<ChangeColumns>(statements.CHANGES, [recordId(key), after, limit]);
      return rows.map((row) => recordChangeOf(key.key, row));
    },

    async expired({ space, limit }) {
      const rows = await session.query<RecordColumns>(statements.EXPIRED, [session.now(), space, limit]);
      return rows.map(storedRecordOf);
    },

    async sweepExpired({ limit, except = [] }) {
      await session.query(statements.FORGET, [session.now(), CHANGES_KEPT_MS, TOMBSTONES_KEPT_MS]);
      type Place = Pick<RecordColumns, "space" | "owner" | "collection" | "record_key">;
      const rows = await session.query<Place>(statements.SWEEP, [session.now(), except, limit]);
      return rows.map(({ space, owner, collection, record_key: key }) => ({ space, owner, collection, key }));
    },
  };
}

async function writeRecord(session: Session, write: RecordWrite): Promise<RecordWriteOutcome> {
  const { id, ownerId, collectionId } = recordDigests(write);
  const { space, owner, collection, key, value, expected = null, ttlMs = null, labels = {} } = write;
  const { tracked = false, disposable = false } = write;
  // What was before is known again from the feed alone.
  const repeatable = expected === 0 || (expected !== null && tracked);
  const request = randomUUID();
  const [row] = await session.query<Written>(repeatable ? statements.WRITE_EXPECTING : statements.WRITE, (again) => [
    session.now(),
    request,
    again,
    id,
    ownerId,
    collectionId,
    space,
    owner,
    collection,
    key,
    value,
    expected,
    ttlMs,
    labelsText(labels),
    labelDigests(write, labels),
    tracked,
    disposable,
  ]);
  if (row === undefined) throw new Error("heddle_write_record did not answer");
  const { written, current, previous } = row;
  if (!written) return { kind: "conflict", current };
  const times = {
    version: current,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    expiresAt: row.expires_at,
  };
  const record = { ...keyOf(write), value, labels: { ...labels }, ...times };
  return { kind: "written", record, previous: previous === null ? null : asJsonText(previous) };
}

/** As `heddle_write_records` takes it. */
function writeParameter(write: RecordWrite, index: number) {
  const { id, ownerId, collectionId } = recordDigests(write);
  const { space, owner, collection, key, value, expected = null, ttlMs = null, labels = {} } = write;
  return {
    index,
    space,
    owner,
    collection,
    key,
    value,
    expected,
    ttl_ms: ttlMs,
    id: id.toString("hex"),
    owner_id: ownerId.toString("hex"),
    collection_id: collectionId.toString("hex"),
    labels: labelsText(labels),
    label_ids: labelDigests(write, labels).map((digest) => digest.toString("hex")),
    tracked: write.tracked ?? false,
    disposable: write.disposable ?? false,
  };
}

/** @param answer version and times, as JSON */
function writtenRecord(write: RecordWrite, answer: string | undefined): StoredRecord {
  const [version, createdAt, updatedAt, expiresAt] = JSON.parse(answer ?? "[]") as [
    number,
    number,
    number,
    number | null,
  ];
  const { value, labels = {} } = write;
  return { ...keyOf(write), value, labels: { ...labels }, version, createdAt, updatedAt, expiresAt };
}
