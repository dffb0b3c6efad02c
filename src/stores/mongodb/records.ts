import type { Sort } from "mongodb";
import { type RecordChange, type RecordQuery, type RecordStore, type StoredRecord } from "../../core/record.js";
import { checkExpected, checkRecordKey, checkRecordQuery, checkRecordWrite } from "../record-keys.js";
import { isLive, recordOf, removeStep, visible } from "../record-steps.js";
import { removeCollection, sweepExpired } from "./end-records.js";
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

const SORTS = {
  key: ["key", "collection"],
  created: ["sequence"],
  updated: ["updatedAt", "collection", "key"],
} as const;

/** Records in a MongoDB database: one document each, which holds all that has to change at once. */
export function createMongoRecords(session: Session): RecordStore {
  const { records } = session;

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
      return removeCollection(session, params);
    },

    async changes(params) {
      checkRecordKey(params);
      return changesOf(session, params);
    },

    async expired({ space, limit }) {
      if (limit <= 0) return [];
      const due = { expiresAt: { $lte: session.now() }, space };
      return storedRecords(
        await session.retrying(() => records.find(due).sort({ expiresAt: 1, _id: 1 }).limit(limit).toArray()),
      );
    },

    sweepExpired: (params) => sweepExpired(session, params),
  };
}

function storedRecords(documents: readonly RecordDocument[]): readonly StoredRecord[] {
  return documents.map(rowOfDocument).filter(isLive).map(recordOf);
}

async function changesOf(
  session: Session,
  { after, limit, ...key }: Parameters<RecordStore["changes"]>[0],
): Promise<readonly RecordChange[]> {
  const { records, recordChanges } = session;
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
}
