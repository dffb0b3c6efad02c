import type { EpochMs, JsonText } from "../core/json.js";
import type { RecordChange, RecordKey, RecordWrite, StoredRecord } from "../core/record.js";
import type { TransferredRecord } from "../core/row-transfer.js";

/* What a write, a removal and an expiry make of a record: for stores that read a row, change it, and put it back at once. */

/** A record as such a store keeps it, and as a copy carries it. */
export type RecordRow = TransferredRecord;

/** A row that somebody may see. */
export type LiveRow = RecordRow & { readonly value: JsonText };

/** What becomes of a row, and the changes to be kept of it, oldest first. */
export interface RecordStep {
  /** `null`: nothing is left. */
  readonly row: RecordRow | null;
  readonly changes: readonly RecordChange[];
}

/** @returns null for what is not there, has gone, or has expired */
export function visible(row: RecordRow | null | undefined, now: EpochMs): LiveRow | null {
  if (row === null || row === undefined || !isLive(row)) return null;
  return row.expiresAt !== null && row.expiresAt <= now ? null : row;
}

/** @param sequence asked for where the record is new */
export function writeStep(
  found: RecordRow | null,
  write: RecordWrite,
  { now, sequence }: { readonly now: EpochMs; readonly sequence: () => number },
): (RecordStep & { readonly kind: "written"; readonly row: LiveRow; readonly previous: JsonText | null }) | Conflict {
  const before = visible(found, now);
  if (write.expected !== undefined && write.expected !== (before?.version ?? 0)) return conflict(before);
  const { row: base, changes: expiry } = before === null ? expireStep(found, now) : { row: before, changes: [] };
  const { space, owner, collection, key, value, ttlMs = null, labels = {}, tracked = false } = write;
  const row: LiveRow = {
    space,
    owner,
    collection,
    key,
    value,
    tracked,
    version: (base?.version ?? 0) + 1,
    labels: { ...labels },
    createdAt: before?.createdAt ?? now,
    updatedAt: now,
    expiresAt: ttlMs === null ? null : now + ttlMs,
    sequence: before?.sequence ?? sequence(),
    disposable: write.disposable === true && base?.disposable !== false,
  };
  const previous = before?.value ?? null;
  const change = { key, version: row.version, previous, value, at: now };
  return { kind: "written", row, previous, changes: tracked ? [...expiry, change] : expiry };
}

export function removeStep(
  found: RecordRow | null,
  { expected, tracked = false }: { readonly expected?: number; readonly tracked?: boolean },
  now: EpochMs,
):
  | (RecordStep & { readonly kind: "removed"; readonly version: number; readonly previous: JsonText })
  | { readonly kind: "absent" }
  | Conflict {
  const before = visible(found, now);
  if (before === null) return { kind: "absent" };
  if (expected !== undefined && expected !== before.version) return conflict(before);
  return { kind: "removed", previous: before.value, version: before.version + 1, ...endStep(before, tracked, now) };
}

/** Of a row that has expired; any other, and none, stays as it is. */
export function expireStep(found: RecordRow | null, now: EpochMs): RecordStep {
  if (found === null || !isLive(found) || visible(found, now) !== null) return { row: found, changes: [] };
  return endStep(found, found.tracked, now);
}

/** What ends somebody's row, by a removal or an expiry. */
export function endStep(before: LiveRow, tracked: boolean, now: EpochMs): RecordStep {
  const version = before.version + 1;
  const change = { key: before.key, version, previous: before.value, value: null, at: now };
  return { row: before.disposable && !tracked ? null : tombstone(before, now), changes: tracked ? [change] : [] };
}

/** The same, without telling anybody. */
export function endQuietly(before: LiveRow, now: EpochMs): RecordRow | null {
  return endStep(before, false, now).row;
}

/** What remembers the version of a record that is gone. */
function tombstone(before: RecordRow, now: EpochMs): RecordRow {
  return {
    ...before,
    value: null,
    version: before.version + 1,
    labels: {},
    updatedAt: now,
    expiresAt: null,
    tracked: false,
    disposable: false,
  };
}

/** What others get of a row. */
export function recordOf(row: LiveRow): StoredRecord {
  const { space, owner, collection, key, version, value, labels, createdAt, updatedAt, expiresAt } = row;
  return { space, owner, collection, key, version, value, labels: { ...labels }, createdAt, updatedAt, expiresAt };
}

export function keyOf({ space, owner, collection, key }: RecordKey): RecordKey {
  return { space, owner, collection, key };
}

export interface Conflict {
  readonly kind: "conflict";
  readonly current: number;
}

function conflict(before: LiveRow | null): Conflict {
  return { kind: "conflict", current: before?.version ?? 0 };
}

export function isLive(row: RecordRow): row is LiveRow {
  return row.value !== null;
}
