import type { StoreClock } from "../../core/clock.js";
import {
  CHANGES_KEPT_MS,
  type RecordChange,
  type RecordKey,
  type RecordStore,
  type RecordWrite,
  type StoredRecord,
  TOMBSTONES_KEPT_MS,
} from "../../core/record.js";
import { checkExpected, checkRecordKey, checkRecordQuery, checkRecordWrite } from "../record-keys.js";
import {
  endQuietly,
  expireStep,
  keyOf,
  type LiveRow,
  recordOf,
  removeStep,
  type RecordStep,
  visible,
  writeStep,
} from "../record-steps.js";
import { RecordRows } from "./record-rows.js";

/** A record store whose rows `heddle copy` can read and write. */
export interface MemoryRecords extends RecordStore {
  readonly rows: RecordRows;
}

/** Records that end with the process. */
export function createMemoryRecords(clock: StoreClock): MemoryRecords {
  const rows = new RecordRows();
  const stepOf = (write: RecordWrite, now: number) =>
    writeStep(rows.get(write), write, { now, sequence: () => rows.nextSequence() });
  const keep = (key: RecordKey, { row, changes }: RecordStep): void => {
    rows.replace(key, row);
    rows.addChanges(key, changes);
  };

  return {
    rows,

    async get(key) {
      checkRecordKey(key);
      const row = visible(rows.get(key), clock.now());
      return row === null ? null : recordOf(row);
    },

    async version(key) {
      checkRecordKey(key);
      return rows.get(key)?.version ?? 0;
    },

    async write(write) {
      checkRecordWrite(write);
      const step = stepOf(write, clock.now());
      if (step.kind === "conflict") return step;
      keep(write, step);
      return { kind: "written", record: recordOf(step.row), previous: step.previous };
    },

    async writeAll(writes) {
      for (const write of writes) checkRecordWrite(write);
      const now = clock.now();
      const undo: (() => void)[] = [];
      const records: StoredRecord[] = [];
      for (const [index, write] of writes.entries()) {
        const before = rows.get(write);
        const step = stepOf(write, now);
        if (step.kind === "conflict") {
          for (const takeBack of undo.toReversed()) takeBack();
          return { ...step, index };
        }
        keep(write, step);
        undo.push(() => {
          rows.replace(write, before);
          rows.dropChanges(write, step.changes.length);
        });
        records.push(recordOf(step.row));
      }
      return { kind: "written", records };
    },

    async remove(params) {
      checkRecordKey(params);
      checkExpected(params.expected);
      const step = removeStep(rows.get(params), params, clock.now());
      if (step.kind !== "removed") return step;
      keep(params, step);
      return { kind: "removed", version: step.version, previous: step.previous };
    },

    async list({ order, direction, limit, offset, ...query }) {
      checkRecordQuery(query);
      return rows.page(query, { order, direction, limit, offset }, clock.now()).map(recordOf);
    },

    async count(query) {
      checkRecordQuery(query);
      let count = 0;
      for (const _ of rows.matching(query, clock.now())) count += 1;
      return count;
    },

    async removeCollection(params) {
      checkRecordQuery(params);
      const now = clock.now();
      let removed = 0;
      for (const row of rows.inCollection(params)) {
        if (visible(row, now) !== null) removed += 1;
        rows.replace(row, endQuietly(row, now));
      }
      return removed;
    },

    async changes({ after, limit, ...key }) {
      checkRecordKey(key);
      const kept = rows.changes(key);
      const first = firstAfter(kept, after);
      return kept.slice(first, first + limit);
    },

    async expired({ space, limit }) {
      return firstOf(rows.expired(clock.now()), limit, (row) => row.space === space).map(recordOf);
    },

    async sweepExpired({ limit, except = [] }) {
      const now = clock.now();
      rows.forget({ changesUntil: now - CHANGES_KEPT_MS, goneUntil: now - TOMBSTONES_KEPT_MS });
      const due = firstOf(rows.expired(now), limit, (row) => !except.includes(row.space));
      for (const row of due) keep(row, expireStep(row, now));
      return due.map(keyOf);
    },
  };
}

function firstOf(rows: Iterable<LiveRow>, limit: number, isWanted: (row: LiveRow) => boolean): readonly LiveRow[] {
  const found: LiveRow[] = [];
  for (const row of rows) {
    if (found.length >= limit) break;
    if (isWanted(row)) found.push(row);
  }
  return found;
}

/** By halves: a value that is written often has many changes, and somebody asks after each. */
function firstAfter(changes: readonly RecordChange[], version: number): number {
  let [from, to] = [0, changes.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((changes[middle]?.version ?? 0) > version) to = middle;
    else from = middle + 1;
  }
  return from;
}
