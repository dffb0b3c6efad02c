import type { Sort } from "mongodb";
import {
  CHANGES_KEPT_MS,
  type RecordKey,
  type RecordQuery,
  type RecordStore,
  type StoredRecord,
  TOMBSTONES_KEPT_MS,
} from "../../core/record.js";
import { checkExpected, checkRecordKey, checkRecordQuery, checkRecordWrite, collectionDigest } from "../record-keys.js";
import { endQuietly, expireStep, isLive, keyOf, recordOf, removeStep, visible } from "../record-steps.js";
import { changeRecord } from "./record-change.js";
import {
  changeOfDocument,
  documentId,
  filterOf,
  pendingChanges,
  type RecordChangeDocument,
  type RecordDocument,
  rowOfDocument,
} from "./record-documents.js";
import type { Session } from "./session.js";
import { writeRecords, writing } from "./write-records.js";

/** Records that are ended at the same time. */
const AT_ONCE = 20;

const SORTS = {
  key: ["key", "collection"],
  created: ["sequence"],
  updated: ["updatedAt", "collection", "key"],
} as const;

/** Records in a MongoDB database: one document each, which holds all that has to change at once. */
export function createMongoRecords(session: Session): RecordStore {
  const { records, recordChanges } = session;

  return {
    async get(key) {
      checkRecordKey(key);
      // By the id alone: FerretDB 1.24 reads the whole collection for a filter that names more.
      const found = await session.retrying(() => records.findOne({ _id: documentId(key) }));
      const row = visible(found && rowOfDocument(found), session.now());
      return row === null ? null : recordOf(row);
    },

    async version(key) {
      checkRecordKey(key);
      const found = await session.retrying(() => records.findOne({ _id: documentId(key) }));
      return found === null ? 0 : rowOfDocument(found).version;
    },

    async write(write) {
      checkRecordWrite(write);
      const { step, after } = await changeRecord(session, write, writing(write));
      if (step.kind === "conflict") return step;
      const row = after !== null && isLive(after) ? after : step.row;
      return { kind: "written", record: recordOf(row), previous: step.previous };
    },

    async writeAll(writes) {
      for (const write of writes) checkRecordWrite(write);
      return writeRecords(session, writes);
    },

    async remove(params) {
      checkRecordKey(params);
      checkExpected(params.expected);
      const { step } = await changeRecord(session, params, (row, now) => removeStep(row, params, now));
      if (step.kind !== "removed") return step;
      return { kind: "removed", version: step.version, previous: step.previous };
    },

    async list({ order, direction, limit, offset, ...query }) {
      checkRecordQuery(query);
      // To MongoDB a limit of 0 is none.
      if (limit <= 0) return [];
      const sort: Sort = SORTS[order].map((field): [string, "asc" | "desc"] => [field, direction]);
      const filter = filterOf(query, session.now());
      return storedRecords(
        await session.retrying(() => records.find(filter).sort(sort).skip(offset).limit(limit).toArray()),
      );
    },

    async count(query: RecordQuery) {
      checkRecordQuery(query);
      return session.retrying(() => records.countDocuments(filterOf(query, session.now())));
    },

    async removeCollection(params) {
      checkRecordQuery(params);
      const collectionId = collectionDigest(params).toString("base64url");
      const living = { collectionId, goneAt: { $exists: false } };
      const found = await session.retrying(() =>
        records.find(living, { projection: { value: 0, pending: 0 } }).toArray(),
      );
      const now = session.now();
      const seen = found.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now).length;
      // Nothing is kept of these, so they go at once; one that is no longer disposable stays for the rest.
      await session.retrying(() => records.deleteMany({ collectionId, disposable: true }));
      await inBatches(
        found.filter(({ disposable }) => !disposable),
        async (document) =>
          void (await changeRecord(session, document, (row, at) =>
            row !== null && isLive(row) ? { row: endQuietly(row, at), changes: [] } : {},
          )),
      );
      return seen;
    },

    async changes({ after, limit, ...key }) {
      checkRecordKey(key);
      if (limit <= 0) return [];
      const record = documentId(key);
      // The document first: what it has still to hand over is nowhere else yet.
      const found = await session.retrying(() => records.findOne({ _id: record }));
      const kept = await session.retrying(() =>
        recordChanges
          .find({ record, version: { $gt: after } })
          .sort({ version: 1 })
          .limit(limit)
          .toArray(),
      );
      const byVersion = new Map<number, RecordChangeDocument>();
      for (const change of [...kept, ...(found === null ? [] : pendingChanges(found))]) {
        if (change.version > after) byVersion.set(change.version, change);
      }
      return [...byVersion.values()]
        .toSorted((a, b) => a.version - b.version)
        .slice(0, limit)
        .map((change) => changeOfDocument(key.key, change));
    },

    async expired({ space, limit }) {
      if (limit <= 0) return [];
      const due = { expiresAt: { $lte: session.now() }, space };
      return storedRecords(
        await session.retrying(() => records.find(due).sort({ expiresAt: 1, _id: 1 }).limit(limit).toArray()),
      );
    },

    async sweepExpired({ limit, except = [] }) {
      await forget(session);
      if (limit <= 0) return [];
      const due = { expiresAt: { $lte: session.now() }, space: { $nin: [...except] } };
      const options = { projection: { value: 0, pending: 0 } } as const;
      const found = await session.retrying(() =>
        records.find(due, options).sort({ expiresAt: 1, _id: 1 }).limit(limit).toArray(),
      );
      const swept = new Set<string>();
      await inBatches(found, async (document) => {
        const { rev } = await changeRecord(session, document, (row, now) => {
          const step = expireStep(row, now);
          // Somebody else was faster, or wrote it anew.
          return step.row === row ? {} : step;
        });
        if (rev !== null) swept.add(document._id);
      });
      return found.filter(({ _id }) => swept.has(_id)).map((document): RecordKey => keyOf(document));
    },
  };
}

function storedRecords(documents: readonly RecordDocument[]): readonly StoredRecord[] {
  return documents.map(rowOfDocument).filter(isLive).map(recordOf);
}

/** Old changes, also those that nobody came to take, and versions of what is gone. */
async function forget(session: Session): Promise<void> {
  const now = session.now();
  const old = now - CHANGES_KEPT_MS;
  await session.retrying(() => session.recordChanges.deleteMany({ at: { $lte: old } }));
  await session.retrying(() =>
    session.records.updateMany({ pendingAt: { $lte: old } }, { $unset: { pending: "", pendingAt: "" } }),
  );
  await session.retrying(() => session.records.deleteMany({ goneAt: { $lte: now - TOMBSTONES_KEPT_MS } }));
}

async function inBatches<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < all.length; start += AT_ONCE) {
    await Promise.all(all.slice(start, start + AT_ONCE).map(work));
  }
}
