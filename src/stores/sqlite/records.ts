import {
  CHANGES_KEPT_MS,
  type RecordKey,
  type RecordStore,
  type RecordWrite,
  type RecordWriteOutcome,
  type StoredRecord,
  TOMBSTONES_KEPT_MS,
} from "../../core/record.js";
import { type ChangeColumns, recordChangeOf, recordRowOf, storedRecordOf } from "../record-columns.js";
import { checkExpected, checkRecordKey, checkRecordQuery, checkRecordWrite } from "../record-keys.js";
import { endQuietly, expireStep, isLive, keyOf, recordOf, removeStep, visible, writeStep } from "../record-steps.js";
import { conditionsOf, findRecord, keepStep, nextSequence, type StoredRow } from "./record-rows.js";
import type { Session } from "./session.js";

/** Old changes and versions of what is gone that one sweep removes: it holds up the whole process. */
const FORGOTTEN_PER_SWEEP = 1_000;

const ORDER_BY = {
  key: ["record_key", "collection"],
  created: ["sequence"],
  updated: ["updated_at", "collection", "record_key"],
} as const;

/** Records in a SQLite database. */
export function createSqliteRecords(session: Session): RecordStore {
  const { clock } = session;

  const writeOne = (write: RecordWrite, now: number): RecordWriteOutcome => {
    const found = findRecord(session, write);
    const step = writeStep(found.row, write, { now, sequence: () => nextSequence(session, write) });
    if (step.kind === "conflict") return step;
    keepStep(session, found, step);
    return { kind: "written", record: recordOf(step.row), previous: step.previous };
  };

  return {
    async get(key) {
      checkRecordKey(key);
      return session.read(() => {
        const row = visible(findRecord(session, key).row, clock.now());
        return row === null ? null : recordOf(row);
      });
    },

    async version(key) {
      checkRecordKey(key);
      return session.read(() => findRecord(session, key).row?.version ?? 0);
    },

    async write(write) {
      checkRecordWrite(write);
      return session.write(() => writeOne(write, clock.now()));
    },

    async writeAll(writes) {
      for (const write of writes) checkRecordWrite(write);
      try {
        return await session.write(() => {
          const now = clock.now();
          const records = writes.map((write, index): StoredRecord => {
            const outcome = writeOne(write, now);
            if (outcome.kind === "conflict") throw new ConflictAt(index, outcome.current);
            return outcome.record;
          });
          return { kind: "written", records } as const;
        });
      } catch (error) {
        if (error instanceof ConflictAt) return { kind: "conflict", index: error.index, current: error.current };
        throw error;
      }
    },

    async remove(params) {
      checkRecordKey(params);
      checkExpected(params.expected);
      return session.write(() => {
        const found = findRecord(session, params);
        const step = removeStep(found.row, params, clock.now());
        if (step.kind !== "removed") return step;
        keepStep(session, found, step);
        return { kind: "removed", version: step.version, previous: step.previous };
      });
    },

    async list({ order, direction, limit, offset, ...query }) {
      checkRecordQuery(query);
      return session.read(() => {
        const { where, parameters } = conditionsOf(query, clock.now());
        const orderBy = ORDER_BY[order].map((column) => `${column} ${direction}`).join(", ");
        return session
          .sql<StoredRow>(`SELECT * FROM records WHERE ${where} ORDER BY ${orderBy} LIMIT ? OFFSET ?`)
          .all(...parameters, limit, offset)
          .map(storedRecordOf);
      });
    },

    async count(query) {
      checkRecordQuery(query);
      return session.read(() => {
        const { where, parameters } = conditionsOf(query, clock.now());
        const sql = `SELECT count(*) AS count FROM records WHERE ${where}`;
        return session.sql<{ count: number }>(sql).get(...parameters)?.count ?? 0;
      });
    },

    async removeCollection(params) {
      checkRecordQuery(params);
      return session.write(() => removeCollection(session, params));
    },

    async changes({ after, limit, ...key }) {
      checkRecordKey(key);
      return session.read(() => {
        const { id } = findRecord(session, key);
        if (id === null) return [];
        return session
          .sql<ChangeColumns>("SELECT * FROM record_changes WHERE record = ? AND version > ? ORDER BY version LIMIT ?")
          .all(id, after, limit)
          .map((row) => recordChangeOf(key.key, row));
      });
    },

    async expired({ space, limit }) {
      return session.read(() =>
        session
          .sql<StoredRow>("SELECT * FROM records WHERE space = ? AND expires_at <= ? ORDER BY expires_at LIMIT ?")
          .all(space, clock.now(), limit)
          .map(storedRecordOf),
      );
    },

    sweepExpired: (params) => session.write(() => sweepExpired(session, params)),
  };
}

function removeCollection(session: Session, params: Parameters<RecordStore["removeCollection"]>[0]): number {
  const now = session.clock.now();
  const { space, owner, collection } = params;
  const rows = session
    .sql<StoredRow>(
      "SELECT * FROM records WHERE space = ? AND owner = ? AND collection = ? AND record_value IS NOT NULL",
    )
    .all(space, owner, collection);
  let removed = 0;
  for (const stored of rows) {
    const row = recordRowOf(stored);
    if (!isLive(row)) continue;
    if (visible(row, now) !== null) removed += 1;
    keepStep(session, { id: stored.id, row }, { row: endQuietly(row, now), changes: [] });
  }
  return removed;
}

function sweepExpired(
  session: Session,
  { limit, except = [] }: Parameters<RecordStore["sweepExpired"]>[0],
): readonly RecordKey[] {
  const now = session.clock.now();
  forget(session, now);
  const due = session
    .sql<StoredRow>(
      `SELECT * FROM records WHERE expires_at <= ? AND space NOT IN (SELECT value FROM json_each(?))
       ORDER BY expires_at LIMIT ?`,
    )
    .all(now, JSON.stringify(except), limit);
  return due.map((stored) => {
    const row = recordRowOf(stored);
    keepStep(session, { id: stored.id, row }, expireStep(row, now));
    return keyOf(row);
  });
}

/** Undoes the transaction. */
class ConflictAt extends Error {
  readonly index: number;
  readonly current: number;

  constructor(index: number, current: number) {
    super("conflict");
    this.index = index;
    this.current = current;
  }
}

function forget(session: Session, now: number): void {
  session
    .sql("DELETE FROM record_changes WHERE id IN (SELECT id FROM record_changes WHERE changed_at <= ? LIMIT ?)")
    .run(now - CHANGES_KEPT_MS, FORGOTTEN_PER_SWEEP);
  session
    .sql(
      "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE record_value IS NULL AND updated_at <= ? LIMIT ?)",
    )
    .run(now - TOMBSTONES_KEPT_MS, FORGOTTEN_PER_SWEEP);
}
