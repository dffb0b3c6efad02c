import { asJsonText } from "../core/json.js";
import type { RecordChange, StoredRecord } from "../core/record.js";
import type { RecordRow } from "./record-steps.js";

/* Rows of the records' tables, in SQL storages. Labels are JSON text. */

export type RecordColumns = {
  readonly space: string;
  readonly owner: string;
  readonly collection: string;
  readonly record_key: string;
  readonly version: number;
  readonly record_value: string | null;
  readonly labels: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly expires_at: number | null;
};

/** Beside what others get to see. */
export type HiddenRecordColumns = {
  readonly sequence: number;
  readonly tracked: number | boolean;
  readonly disposable: number | boolean;
};

export type ChangeColumns = {
  readonly version: number;
  readonly previous: string | null;
  readonly record_value: string | null;
  readonly changed_at: number;
};

/** Of {@link RecordColumns}. */
export const RECORD_COLUMNS =
  "space, owner, collection, record_key, version, record_value, labels, created_at, updated_at, expires_at";

export function storedRecordOf(row: RecordColumns): StoredRecord {
  return { ...placeAndTimesOf(row), value: asJsonText(row.record_value ?? "null") };
}

export function recordRowOf(row: RecordColumns & HiddenRecordColumns): RecordRow {
  return {
    ...placeAndTimesOf(row),
    value: row.record_value === null ? null : asJsonText(row.record_value),
    sequence: row.sequence,
    tracked: Boolean(row.tracked),
    disposable: Boolean(row.disposable),
  };
}

export function recordChangeOf(key: string, row: ChangeColumns): RecordChange {
  return {
    key,
    version: row.version,
    previous: row.previous === null ? null : asJsonText(row.previous),
    value: row.record_value === null ? null : asJsonText(row.record_value),
    at: row.changed_at,
  };
}

/** In one order, so that the texts of equal labels are equal. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

function placeAndTimesOf(row: RecordColumns): Omit<StoredRecord, "value"> {
  return {
    space: row.space,
    owner: row.owner,
    collection: row.collection,
    key: row.record_key,
    version: row.version,
    labels: JSON.parse(row.labels) as Record<string, string>,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    expiresAt: row.expires_at,
  };
}
