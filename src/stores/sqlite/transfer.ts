import type { RowTransfer, TransferKind, TransferRow } from "../../core/row-transfer.js";
import { namespaceText } from "../../core/item-namespace.js";
import {
  apiKeyRow,
  assistantRow,
  cronRow,
  itemKeyParts,
  recordKeyParts,
  recordRow,
  runRow,
  threadRow,
  versionKeyParts,
  versionRow,
  itemRow,
} from "../transfer-rows.js";
import { type ApiKeyColumns, apiKeyOf } from "../api-key-columns.js";
import { cronOf } from "../cron-columns.js";
import { recordRowOf } from "../record-columns.js";
import { type ItemColumns, transferredItem } from "./item-rows.js";
import {
  type AssistantColumns,
  jsonText,
  assistantOf,
  runOf,
  parseKwargs,
  type RunColumns,
  type StateColumns,
  type ThreadColumns,
  threadOf,
  type VersionColumns,
  versionOf,
} from "./rows.js";
import { RUN_COLUMNS } from "./run-rows.js";
import type { CronRow } from "./crons.js";
import type { StoredRow } from "./record-rows.js";
import { guarded, type Session } from "./session.js";
import { createTransferWriters } from "./transfer-write.js";

/** A page ends once it holds this much: rows with large states are read a few at a time. */
const PAGE_CHARACTERS = 4 * 1024 * 1024;

type Reader = (after: string | null, limit: number) => readonly TransferRow[];

/** @param sizeOf characters of what may be large in a row */
const pageOf =
  (session: Session) =>
  <Row>(
    query: { readonly sql: string; readonly parameters: readonly (string | number)[] },
    limit: number,
    rowOf: (row: Row) => TransferRow,
    sizeOf: (row: Row) => number,
  ): readonly TransferRow[] => {
    const rows: TransferRow[] = [];
    let characters = 0;
    for (const row of session.sql<Row>(`${query.sql} LIMIT ?`).iterate(...query.parameters, limit)) {
      rows.push(rowOf(row));
      characters += sizeOf(row);
      if (characters >= PAGE_CHARACTERS) break;
    }
    return rows;
  };

/** Rows of a SQLite database in and out, in the order of ids as SQLite compares them (UTF-8 bytes). */
export function createSqliteTransfer(session: Session): RowTransfer {
  const writers = createTransferWriters(session);

  const page = pageOf(session);

  const readers: Readonly<Record<TransferKind, Reader>> = {
    assistants: (after, limit) =>
      page<AssistantColumns>(
        { sql: "SELECT * FROM assistants WHERE assistant_id > ? ORDER BY assistant_id", parameters: [after ?? ""] },
        limit,
        (row) => assistantRow(assistantOf(row)),
        (row) => row.metadata.length + row.config.length + row.context.length,
      ),
    assistantVersions(after, limit) {
      const { assistantId, version } = after === null ? { assistantId: "", version: 0 } : versionKeyParts(after);
      const sql = `SELECT a.assistant_id, v.* FROM assistants a JOIN assistant_versions v ON v.assistant = a.id
        WHERE (a.assistant_id, v.version) > (?, ?) ORDER BY a.assistant_id, v.version`;
      return page<VersionColumns & { readonly assistant_id: string }>(
        { sql, parameters: [assistantId, version] },
        limit,
        (row) => versionRow(versionOf(row.assistant_id, row)),
        (row) => row.metadata.length + row.config.length + row.context.length,
      );
    },
    threads: (after, limit) =>
      page<ThreadColumns & StateColumns>(
        {
          sql: `SELECT t.*, s.state_values, s.interrupts, s.error FROM threads t
            LEFT JOIN thread_states s ON s.thread = t.id WHERE t.thread_id > ? ORDER BY t.thread_id`,
          parameters: [after ?? ""],
        },
        limit,
        (row) =>
          threadRow(threadOf(row, row), {
            settledStatus: row.settled_status,
            error: jsonText(row.error),
            temporary: row.temporary === 1,
            watched: row.watched === 1,
          }),
        (row) => row.metadata.length + (row.state_values?.length ?? 0) + (row.interrupts?.length ?? 0),
      ),
    runs: (after, limit) =>
      page<RunColumns & { readonly kwargs: string }>(
        {
          sql: `SELECT ${RUN_COLUMNS}, k.kwargs FROM runs r JOIN threads t ON t.id = r.thread
            JOIN run_kwargs k ON k.run = r.id WHERE r.run_id > ? ORDER BY r.run_id`,
          parameters: [after ?? ""],
        },
        limit,
        (row) =>
          runRow(runOf(row, parseKwargs(row.kwargs)), {
            leaseToken: row.lease_token,
            cancelRequested: row.cancel_action,
          }),
        (row) => row.metadata.length + row.kwargs.length,
      ),
    crons: (after, limit) =>
      page<CronRow>(
        { sql: "SELECT * FROM crons WHERE cron_id > ? ORDER BY cron_id", parameters: [after ?? ""] },
        limit,
        (row) => cronRow(cronOf(row)),
        (row) => row.metadata.length + row.payload.length,
      ),
    items(after, limit) {
      const place = after === null ? { namespace: null, key: "" } : itemKeyParts(after);
      const namespace = place.namespace === null ? "" : namespaceText(place.namespace);
      return page<ItemColumns & { readonly vector_bytes: number | null }>(
        {
          sql: `SELECT *, (SELECT sum(length(v.embedding)) FROM item_vectors v WHERE v.item = items.id) AS vector_bytes
            FROM items WHERE (namespace, item_key) > (?, ?) ORDER BY namespace, item_key`,
          parameters: [namespace, place.key],
        },
        limit,
        (row) => itemRow(transferredItem(session, row)),
        (row) => row.item_value.length + (row.vector_bytes ?? 0),
      );
    },
    apiKeys: (after, limit) =>
      page<ApiKeyColumns>(
        { sql: "SELECT * FROM api_keys WHERE key_id > ? ORDER BY key_id", parameters: [after ?? ""] },
        limit,
        (row) => apiKeyRow(apiKeyOf(row)),
        (row) => row.permissions.length,
      ),
    records: (after, limit) =>
      page<StoredRow>(
        recordsAfter(after),
        limit,
        (row) => recordRow(recordRowOf(row)),
        (row) => (row.record_value?.length ?? 0) + row.labels.length,
      ),
  };

  return {
    read: async ({ kind, after, limit }) => guarded(() => readers[kind](after, limit)),
    write: ({ kind, rows }) =>
      session.write(() => {
        for (const row of rows) writers[kind](row);
      }),
  };
}

function recordsAfter(after: string | null): { readonly sql: string; readonly parameters: readonly string[] } {
  const place = after === null ? { space: "", owner: "", collection: "", key: "" } : recordKeyParts(after);
  return {
    sql: `SELECT * FROM records WHERE (space, owner, collection, record_key) > (?, ?, ?, ?)
      ORDER BY space, owner, collection, record_key`,
    parameters: [place.space, place.owner, place.collection, place.key],
  };
}
