import { fromCell, toCell } from "../../checkpointers/sqlite-rows.js";
import type { SqliteDatabase } from "../../databases/sqlite/open.js";
import type { Resealer } from "../../encryption/reseal.js";
import type { CellTable } from "./cells.js";
import {
  CHECKPOINT_PLACES,
  resealData,
  resealMetadata,
  type SqlColumn,
  type SqlNames,
  storageColumns,
  textOf,
} from "./sql-cells.js";

type Value = string | Buffer;

interface Row {
  readonly key: readonly unknown[];
  readonly parts: readonly string[];
  readonly value: Value;
}

const THREAD = {
  table: "thread_states",
  from: "thread_states t JOIN threads o ON o.id = t.thread",
  key: ["thread"],
  parts: ["o.thread_id"],
};

const NAMES: SqlNames = {
  assistants: { table: "assistants", from: "assistants t", key: ["id"], parts: ["t.assistant_id"] },
  versions: {
    table: "assistant_versions",
    from: "assistant_versions t JOIN assistants o ON o.id = t.assistant",
    key: ["assistant", "version"],
    parts: ["o.assistant_id"],
  },
  threads: THREAD,
  threadConfigs: { table: "threads", from: "threads t", key: ["id"], parts: ["t.thread_id"] },
  runs: { table: "runs", from: "runs t", key: ["id"], parts: ["t.run_id"] },
  kwargs: { table: "run_kwargs", from: "run_kwargs t JOIN runs o ON o.id = t.run", key: ["run"], parts: ["o.run_id"] },
  items: { table: "items", from: "items t", key: ["id"], parts: ["t.namespace", "t.item_key"] },
  deliveries: {
    table: "delivery_contents",
    from: "delivery_contents t JOIN deliveries o ON o.id = t.delivery",
    key: ["delivery"],
    parts: ["o.run_id", "o.thread_id"],
  },
  messages: {
    table: "delivery_messages",
    from: "delivery_messages t JOIN deliveries o ON o.id = t.delivery",
    key: ["delivery"],
    parts: ["o.delivery_id"],
  },
  records: {
    table: "records",
    from: "records t",
    key: ["id"],
    parts: ["t.space", "t.owner", "t.collection", "t.record_key"],
  },
  recordChanges: {
    table: "record_changes",
    from: "record_changes t JOIN records o ON o.id = t.record",
    key: ["id"],
    parts: ["o.space", "o.owner", "o.collection", "o.record_key"],
  },
  events: {
    table: "run_events",
    // What belongs to no run any more is about to go.
    from: "run_events t JOIN event_logs o ON o.log_id = t.event_key >> 32 AND o.run_id IS NOT NULL",
    key: ["event_key"],
    parts: ["o.thread_id", "o.run_id", "t.event_key & 4294967295"],
  },
};

/** The values of a SQLite database that are encrypted, or should be. */
export function sqliteCells(
  db: SqliteDatabase["db"],
  resealer: Resealer,
  keeps: { readonly storage: boolean; readonly checkpoints: boolean },
): readonly CellTable[] {
  const columns = [
    ...(keeps.storage ? storageColumns(NAMES, resealer) : []),
    ...(keeps.checkpoints ? checkpointColumns(resealer) : []),
  ];
  const tables = db.prepare<[string], number>("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").pluck();
  // A part that nobody has used here has no tables.
  return columns
    .filter(({ table }) => tables.get(table) !== undefined)
    .map((column) => cellsOf(db, column) as CellTable);
}

function checkpointColumns(resealer: Resealer): readonly SqlColumn[] {
  const lineages = (table: string): string => `${table} t JOIN heddle_checkpoint_lineages o ON o.lineage = t.lineage`;
  const lineage = ["o.thread_id", "o.checkpoint_ns"];
  const reseal = (value: string | Uint8Array, place: Parameters<typeof resealData>[2]) => {
    const resealed = resealData(resealer, fromCell(typeof value === "string" ? value : Buffer.from(value)), place);
    return { keyId: resealed.keyId, next: resealed.next === null ? null : toCell(resealed.next) };
  };
  return [
    {
      name: "checkpoints: metadata",
      table: "heddle_checkpoints",
      column: "metadata",
      from: lineages("heddle_checkpoints"),
      key: ["lineage", "checkpoint_id"],
      parts: [...lineage, "t.checkpoint_id"],
      reseal: (value, [threadId = "", checkpointNs = "", id = ""]) =>
        resealMetadata(resealer, textOf(value), CHECKPOINT_PLACES.metadata(threadId, checkpointNs, id)),
    },
    {
      name: "checkpoints: values",
      table: "heddle_checkpoint_blobs",
      column: "data",
      from: lineages("heddle_checkpoint_blobs"),
      key: ["lineage", "checkpoint_id", "channel"],
      parts: [...lineage, "t.channel", "t.checkpoint_id"],
      reseal: (value, [threadId = "", checkpointNs = "", channel = "", id = ""]) =>
        reseal(value, CHECKPOINT_PLACES.value(threadId, checkpointNs, channel, id)),
    },
    {
      name: "checkpoints: shared contents",
      table: "heddle_checkpoint_contents",
      column: "data",
      from: "heddle_checkpoint_contents t",
      key: ["content"],
      parts: ["t.content"],
      reseal: (value, [content = ""]) => reseal(value, CHECKPOINT_PLACES.content(content)),
    },
    {
      name: "checkpoints: pending writes",
      table: "heddle_checkpoint_writes",
      column: "data",
      from: lineages("heddle_checkpoint_writes"),
      key: ["lineage", "checkpoint_id", "task_id", "idx"],
      parts: [...lineage, "t.checkpoint_id", "t.task_id", "t.idx"],
      reseal: (value, [threadId = "", checkpointNs = "", id = "", taskId = "", idx = ""]) =>
        reseal(value, CHECKPOINT_PLACES.write(threadId, checkpointNs, id, taskId, Number(idx))),
    },
  ];
}

function cellsOf(db: SqliteDatabase["db"], column: SqlColumn): CellTable<Row, string | Uint8Array> {
  const { name, table, column: of, from, key, parts } = column;
  const keys = key.map((each) => `t.${each}`).join(", ");
  const select = `SELECT ${[...key.map((each) => `t.${each}`), ...parts, `t.${of}`].join(", ")} FROM ${from} WHERE t.${of} IS NOT NULL`;
  const order = `ORDER BY ${keys} LIMIT ?`;
  const read = db.prepare(`${select} ${order}`).raw();
  const readAfter = db.prepare(`${select} AND (${keys}) > (${key.map(() => "?").join(", ")}) ${order}`).raw();
  const update = db.prepare(
    `UPDATE ${table} SET ${of} = ? WHERE ${key.map((each) => `${each} = ?`).join(" AND ")} AND ${of} = ?`,
  );
  const replace = db.transaction((changes: readonly { readonly cell: Row; readonly next: string | Uint8Array }[]) =>
    changes.reduce((sum, { cell, next }) => sum + update.run(next, ...cell.key, cell.value).changes, 0),
  );
  return {
    name,
    read(after, limit) {
      const rows = after === null ? read.all(limit) : readAfter.all(...after.key, limit);
      return (rows as readonly unknown[][]).map((row) => ({
        key: row.slice(0, key.length),
        parts: row.slice(key.length, -1).map(String),
        value: row.at(-1) as Value,
      }));
    },
    reseal: ({ value, parts: where }) => column.reseal(value, where),
    replace: (changes) => replace.immediate(changes),
  };
}
