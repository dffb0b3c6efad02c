import type { RowTransfer, TransferKind, TransferRow } from "../../core/row-transfer.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toText } from "../../databases/postgres/storable.js";
import type { SettledStatus } from "../run-rules.js";
import {
  apiKeyRow,
  assistantRow,
  cronRow,
  itemKeyParts,
  itemRow,
  recordKeyParts,
  recordRow,
  runRow,
  threadRow,
  versionKeyParts,
  versionRow,
} from "../transfer-rows.js";
import { vectorBytes } from "../../core/item-vectors.js";
import type { ApiKeyColumns } from "../api-key-columns.js";
import type { CronColumns } from "../cron-columns.js";
import { type HiddenRecordColumns, RECORD_COLUMNS, type RecordColumns, recordRowOf } from "../record-columns.js";
import { recordId } from "../record-keys.js";
import { API_KEY_COLUMNS, readApiKey } from "./api-keys.js";
import { CRON_COLUMNS, readCron } from "./crons.js";
import { embeddingOf, ITEM_COLUMNS, type ItemColumns, itemOf, placeOf } from "./item-rows.js";
import {
  ASSISTANT_COLUMNS,
  type AssistantColumns,
  assistantOf,
  jsonText,
  type LeaseColumns,
  type RunColumns,
  runColumns,
  runOf,
  THREAD_COLUMNS,
  type ThreadColumns,
  threadOf,
  VERSION_COLUMNS,
  type VersionColumns,
  versionOf,
  type WatchedColumn,
} from "./rows.js";
import type { Session } from "./session.js";
import { createTransferWriters } from "./transfer-write.js";

/** A page ends once it holds this much: rows with large states are read a few at a time. */
const PAGE_BYTES = 4 * 1024 * 1024;

/**
 * @param source.after over the key's columns and $2, $3
 * @param source.bytes of what may be large in a row: sizes are known without reading what is stored apart
 */
function pageStatement(source: {
  readonly kind: TransferKind;
  readonly from: string;
  readonly key: string;
  readonly after: string;
  readonly bytes: readonly string[];
  readonly columns: string;
}): Statement {
  const { kind, from, key, after, bytes, columns } = source;
  const size = bytes
    .map((column) => `coalesce(${column.startsWith("(") ? column : `pg_column_size(${column})`}, 0)`)
    .join(" + ");
  return {
    name: `heddle_transfer_${kind}`,
    idempotent: true,
    text: `WITH page AS MATERIALIZED (
        SELECT ${key}, sum(${size}) OVER (ORDER BY ${key}) - (${size}) AS bytes_before FROM ${from} WHERE ${after}
        ORDER BY ${key} LIMIT $1
      ) SELECT ${columns} FROM ${from} JOIN page USING (${key}) WHERE bytes_before < ${PAGE_BYTES} ORDER BY ${key}`,
  };
}

const ASSISTANTS = pageStatement({
  kind: "assistants",
  from: "heddle_assistants",
  key: "assistant_id",
  after: "assistant_id > $2",
  bytes: ["config", "context", "metadata"],
  columns: ASSISTANT_COLUMNS,
});
const VERSIONS = pageStatement({
  kind: "assistantVersions",
  from: "heddle_assistant_versions",
  key: "assistant_id, version",
  after: "(assistant_id, version) > ($2, $3::integer)",
  bytes: ["config", "context", "metadata"],
  columns: `assistant_id, ${VERSION_COLUMNS}`,
});
const THREADS = pageStatement({
  kind: "threads",
  from: "heddle_thread_rows",
  key: "thread_id",
  after: "thread_id > $2",
  bytes: ["state_values", "interrupts", "metadata", "config"],
  columns: `${THREAD_COLUMNS}, settled_status, temporary, heddle_watch_thread(thread_id, false) AS watched`,
});
const RUNS = pageStatement({
  kind: "runs",
  from: "heddle_runs",
  key: "run_id",
  after: "run_id > $2",
  bytes: ["kwargs", "metadata"],
  columns: `${runColumns()}, lease_token, cancel_action`,
});
const CRON_PAGES = pageStatement({
  kind: "crons",
  from: "heddle_crons",
  key: "cron_id",
  after: "cron_id > $2",
  bytes: ["payload", "metadata"],
  columns: CRON_COLUMNS,
});
const ITEMS = pageStatement({
  kind: "items",
  from: "heddle_items",
  key: "place",
  after: "place > $2",
  bytes: [
    "item_value",
    "(SELECT sum(pg_column_size(v.embedding)) FROM heddle_item_vectors v WHERE v.place = heddle_items.place)",
  ],
  columns: `${ITEM_COLUMNS}, (SELECT json_agg(json_build_array(v.path, v.embedding))::text FROM heddle_item_vectors v
    WHERE v.place = heddle_items.place) AS vectors`,
});
const API_KEYS = pageStatement({
  kind: "apiKeys",
  from: "heddle_api_keys",
  key: "key_id",
  after: "key_id > $2",
  bytes: ["permissions"],
  columns: API_KEY_COLUMNS,
});
const RECORDS = pageStatement({
  kind: "records",
  from: "heddle_records",
  key: "id",
  after: "id > $2",
  bytes: ["record_value", "labels"],
  columns: `${RECORD_COLUMNS}, sequence, tracked, disposable`,
});

/** Rows of a Postgres database in and out, in the order of ids as bytes, items and records in that of their digests. */
export function createPostgresTransfer(session: Session): RowTransfer {
  const readers: Readonly<
    Record<TransferKind, (after: string | null, limit: number) => Promise<readonly TransferRow[]>>
  > = {
    async assistants(after, limit) {
      const rows = await session.query<AssistantColumns>(ASSISTANTS, [limit, toText(after ?? "")]);
      return rows.map((row) => assistantRow(assistantOf(row)));
    },
    async assistantVersions(after, limit) {
      const { assistantId, version } = after === null ? { assistantId: "", version: 0 } : versionKeyParts(after);
      type Columns = VersionColumns & { readonly assistant_id: string };
      const rows = await session.query<Columns>(VERSIONS, [limit, toText(assistantId), version]);
      return rows.map((row) => versionRow(versionOf(fromText(row.assistant_id), row)));
    },
    async threads(after, limit) {
      type Columns = ThreadColumns &
        WatchedColumn & { readonly settled_status: SettledStatus; readonly temporary: boolean };
      const rows = await session.query<Columns>(THREADS, [limit, toText(after ?? "")]);
      return rows.map((row) => {
        const { settled_status: settledStatus, temporary, watched } = row;
        return threadRow(threadOf(row), { settledStatus, error: jsonText(row.error), temporary, watched });
      });
    },
    async runs(after, limit) {
      const rows = await session.query<RunColumns & LeaseColumns>(RUNS, [limit, toText(after ?? "")]);
      return rows.map((row) => runRow(runOf(row), { leaseToken: row.lease_token, cancelRequested: row.cancel_action }));
    },
    async crons(after, limit) {
      const rows = await session.query<CronColumns>(CRON_PAGES, [limit, toText(after ?? "")]);
      return rows.map((row) => cronRow(readCron(row)));
    },
    async items(after, limit) {
      const parts = after === null ? null : itemKeyParts(after);
      const place = parts === null ? Buffer.alloc(0) : placeOf(parts.namespace, parts.key);
      const rows = await session.query<ItemColumns & { readonly vectors: string | null }>(ITEMS, [limit, place]);
      return rows.map((row) =>
        itemRow({
          ...itemOf(row),
          ttlMs: row.ttl_ms,
          expiresAt: row.expires_at,
          embedding: embeddingOf(row),
          vectors: (JSON.parse(row.vectors ?? "[]") as readonly [string, readonly number[]][]).map(
            ([path, values]) => ({
              path: fromText(path),
              values: vectorBytes(Float32Array.from(values)).toString("base64"),
            }),
          ),
        }),
      );
    },
    async apiKeys(after, limit) {
      const rows = await session.query<ApiKeyColumns>(API_KEYS, [limit, toText(after ?? "")]);
      return rows.map((row) => apiKeyRow(readApiKey(row)));
    },
    async records(after, limit) {
      const id = after === null ? Buffer.alloc(0) : recordId(recordKeyParts(after));
      const rows = await session.query<RecordColumns & HiddenRecordColumns>(RECORDS, [limit, id]);
      return rows.map((row) => recordRow(recordRowOf(row)));
    },
  };
  const writers = createTransferWriters(session);
  return {
    read: ({ kind, after, limit }) => readers[kind](after, limit),
    async write({ kind, rows }) {
      // One statement replaces no row twice: the last one counts.
      const last = [...new Map(rows.map((row) => [row.key, row])).values()];
      if (last.length > 0) await writers[kind](last);
    },
  };
}
