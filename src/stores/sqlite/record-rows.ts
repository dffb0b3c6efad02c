import type { RecordKey, RecordQuery } from "../../core/record.js";
import { type HiddenRecordColumns, labelsText, type RecordColumns, recordRowOf } from "../record-columns.js";
import { labelDigests } from "../record-keys.js";
import type { RecordRow, RecordStep } from "../record-steps.js";
import type { Session } from "./session.js";

/** A row as it is stored. */
export type StoredRow = RecordColumns & HiddenRecordColumns & { readonly id: number };

/** What was found where a record lies. */
export interface FoundRecord {
  /** `null`: nothing, not even what is gone. */
  readonly id: number | null;
  readonly row: RecordRow | null;
}

export function findRecord(session: Session, { space, owner, collection, key }: RecordKey): FoundRecord {
  const row = session
    .sql<StoredRow>("SELECT * FROM records WHERE space = ? AND owner = ? AND collection = ? AND record_key = ?")
    .get(space, owner, collection, key);
  return row === undefined ? { id: null, row: null } : { id: row.id, row: recordRowOf(row) };
}

/** The next one in an owner's order of creation. Of what is gone it may be used again: only those that are there have an order. */
export function nextSequence(session: Session, { space, owner }: Pick<RecordKey, "space" | "owner">): number {
  const last = session
    .sql<{ sequence: number | null }>("SELECT max(sequence) AS sequence FROM records WHERE space = ? AND owner = ?")
    .get(space, owner);
  return (last?.sequence ?? 0) + 1;
}

/** Put back what became of a record. Within the caller's transaction. */
export function keepStep(session: Session, found: FoundRecord, { row, changes }: RecordStep): void {
  if (row === null) {
    // Its labels and changes go with it.
    if (found.id !== null) session.sql("DELETE FROM records WHERE id = ?").run(found.id);
    return;
  }
  const id = putRecord(session, found, row);
  const insert = session.sql(
    "INSERT INTO record_changes (record, version, previous, record_value, changed_at) VALUES (?, ?, ?, ?, ?)",
  );
  for (const { version, previous, value, at } of changes) insert.run(id, version, previous, value, at);
}

/** @returns its id */
export function putRecord(session: Session, found: FoundRecord, row: RecordRow): number {
  const labels = labelsText(row.labels);
  const columns = {
    version: row.version,
    sequence: row.sequence,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
    expires_at: row.expiresAt,
    tracked: row.tracked ? 1 : 0,
    disposable: row.disposable ? 1 : 0,
    labels,
    record_value: row.value,
  };
  if (found.id !== null) {
    session.sql(UPDATE).run({ ...columns, id: found.id });
    if (found.row === null || labelsText(found.row.labels) !== labels) putLabels(session, found.id, row);
    return found.id;
  }
  const { space, owner, collection, key } = row;
  const place = { space, owner, collection, record_key: key };
  const id = Number(session.sql(INSERT).run({ ...place, ...columns }).lastInsertRowid);
  if (labels !== "{}") putLabels(session, id, row);
  return id;
}

const INSERT = `INSERT INTO records
    (space, owner, collection, record_key, version, sequence, created_at, updated_at, expires_at, tracked, disposable, labels, record_value)
  VALUES (@space, @owner, @collection, @record_key, @version, @sequence, @created_at, @updated_at, @expires_at, @tracked,
    @disposable, @labels, @record_value)`;
const UPDATE = `UPDATE records SET version = @version, sequence = @sequence, created_at = @created_at, updated_at = @updated_at,
    expires_at = @expires_at, tracked = @tracked, disposable = @disposable, labels = @labels, record_value = @record_value
  WHERE id = @id`;

function putLabels(session: Session, id: number, row: RecordRow): void {
  session.sql("DELETE FROM record_labels WHERE record = ?").run(id);
  const insert = session.sql("INSERT INTO record_labels (digest, record) VALUES (?, ?)");
  for (const digest of labelDigests(row, row.labels)) insert.run(digest, id);
}

/** The conditions of a query, for what somebody may see. */
export function conditionsOf(
  query: RecordQuery,
  now: number,
): { readonly where: string; readonly parameters: readonly (string | number | Buffer)[] } {
  const { space, owner, collection, fromKey, toKey, labels } = query;
  const conditions = ["space = ?", "owner = ?"];
  const parameters: (string | number | Buffer)[] = [space, owner];
  const add = (condition: string, parameter: string | number | Buffer): void => {
    conditions.push(condition);
    parameters.push(parameter);
  };
  if (collection !== undefined) add("collection = ?", collection);
  if (fromKey !== undefined) add("record_key >= ?", fromKey);
  if (toKey !== undefined) add("record_key <= ?", toKey);
  for (const digest of labelDigests(query, labels)) {
    add("id IN (SELECT record FROM record_labels WHERE digest = ?)", digest);
  }
  add("record_value IS NOT NULL AND (expires_at IS NULL OR expires_at > ?)", now);
  return { where: conditions.join(" AND "), parameters };
}
