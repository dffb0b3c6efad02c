import { fromColumns, PACKED_TYPE, SEALED_TYPE, toStored } from "../../checkpointers/postgres-blobs.js";
import { versionCounter } from "../../checkpointers/postgres-aliases.js";
import { areSealed } from "../../core/cipher.js";
import type { PostgresDatabase, SqlRow } from "../../databases/postgres/open.js";
import { fromJsonb, fromText, toJsonbText, toText } from "../../databases/postgres/storable.js";
import type { Resealer } from "../../encryption/reseal.js";
import { type CellTable, type Change, FOREIGN } from "./cells.js";
import { inlineValues } from "./postgres-inline-values.js";
import {
  CHECKPOINT_PLACES,
  resealData,
  resealMetadata,
  type SqlColumn,
  type SqlNames,
  storageColumns,
  textOf,
} from "./sql-cells.js";

/** A value as it is stored, and its serialization where a column says it. */
interface Stored {
  readonly value: string | Buffer;
  readonly type: string | null;
}

interface Row extends Stored {
  readonly key: readonly unknown[];
  readonly parts: readonly string[];
}

/** What a column is beside {@link SqlColumn}: JSONB, or bytes with their type beside them. */
interface PostgresColumn extends Omit<SqlColumn, "reseal"> {
  readonly kind: "text" | "jsonb" | "typed";
  reseal(
    stored: Stored,
    parts: readonly string[],
  ): { readonly keyId: string | null; readonly next: Stored | null } | typeof FOREIGN | null;
}

/** Places of records are stored as they are; of all others' parts what `toText` made is undone. */
const recordParts = (table: string): readonly string[] =>
  ["space", "owner", "collection", "record_key"].map(
    (column) => `replace(${table}.${column}, chr(1), chr(1) || '0001')`,
  );

const NAMES: SqlNames = {
  assistants: {
    table: "heddle_assistants",
    from: "heddle_assistants t",
    key: ["assistant_id"],
    parts: ["t.assistant_id"],
  },
  versions: {
    table: "heddle_assistant_versions",
    from: "heddle_assistant_versions t",
    key: ["assistant_id", "version"],
    parts: ["t.assistant_id"],
  },
  threads: { table: "heddle_threads", from: "heddle_threads t", key: ["thread_id"], parts: ["t.thread_id"] },
  threadConfigs: {
    table: "heddle_thread_metadata",
    from: "heddle_thread_metadata t",
    key: ["thread_id"],
    parts: ["t.thread_id"],
  },
  runs: { table: "heddle_runs", from: "heddle_runs t", key: ["run_id"], parts: ["t.run_id"] },
  kwargs: { table: "heddle_runs", from: "heddle_runs t", key: ["run_id"], parts: ["t.run_id"] },
  items: { table: "heddle_items", from: "heddle_items t", key: ["place"], parts: ["t.namespace", "t.item_key"] },
  deliveries: {
    table: "heddle_delivery_contents",
    from: "heddle_delivery_contents t",
    key: ["delivery_id"],
    parts: ["t.run_id", "t.thread_id"],
  },
  messages: {
    table: "heddle_delivery_messages",
    from: "heddle_delivery_messages t",
    key: ["delivery_id"],
    parts: ["t.delivery_id"],
  },
  records: { table: "heddle_records", from: "heddle_records t", key: ["id"], parts: recordParts("t") },
  recordChanges: {
    table: "heddle_record_changes",
    from: "heddle_record_changes t JOIN heddle_records o ON o.id = t.id",
    key: ["id", "version"],
    parts: recordParts("o"),
  },
  events: {
    table: "heddle_events",
    from: "heddle_events t JOIN heddle_event_logs o ON o.log_id = t.log_id",
    key: ["log_id", "seq"],
    parts: ["o.thread_id", "o.run_id", "t.seq"],
  },
};

/** The values of a Postgres database that are encrypted, or should be. */
export async function postgresCells(
  database: PostgresDatabase,
  resealer: Resealer,
  keeps: { readonly storage: boolean; readonly checkpoints: boolean },
): Promise<readonly CellTable[]> {
  const storage = keeps.storage ? storageColumns(NAMES, resealer).map(columnOf) : [];
  const columns = [...storage, ...(keeps.checkpoints ? checkpointColumns(resealer) : [])];
  const found = await database.query<{ name: string }>({
    name: "",
    text: "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = current_schema()",
  });
  const tables = new Set(found.map(({ name }) => name));
  // A part that nobody has used here has no tables.
  const cells = columns
    .filter(({ table }) => tables.has(table))
    .map((column) => cellsOf(database, column) as CellTable);
  const isPythons = keeps.checkpoints && tables.has("checkpoints") && resealer.target === "active";
  return isPythons ? [inlineValues(database, resealer), ...cells] : cells;
}

/** Texts are kept as Postgres can hold them; JSONB comes as text, and its escapes with it. */
function columnOf(column: SqlColumn): PostgresColumn {
  const isJsonb = column.table === "heddle_items";
  return {
    ...column,
    kind: isJsonb ? "jsonb" : "text",
    reseal({ value }, parts) {
      const text = isJsonb ? JSON.stringify(fromJsonb(textOf(value))) : fromText(textOf(value));
      const resealed = column.reseal(text, parts);
      if (resealed === null) return null;
      const { keyId, next } = resealed;
      if (next === null) return { keyId, next: null };
      return { keyId, next: { value: isJsonb ? toJsonbText(textOf(next)) : toText(textOf(next)), type: null } };
    },
  };
}

/** Serializations of values that Heddle reads. */
const OURS: ReadonlySet<string> = new Set(["json", "bytes", SEALED_TYPE, PACKED_TYPE]);

function checkpointColumns(resealer: Resealer): readonly PostgresColumn[] {
  const data = (stored: Stored, place: Parameters<typeof resealData>[2]): ReturnType<PostgresColumn["reseal"]> => {
    const { type, value } = stored;
    const bytes = Buffer.from(value);
    // What LangGraph for Python serialized stays its own. Its `null` and `empty` have no bytes.
    if (type === null || !OURS.has(type)) return bytes.length === 0 ? null : FOREIGN;
    const encoded = fromColumns(
      { type, json: type === "json" ? bytes.toString("utf8") : null, bytes },
      () => "a value",
    );
    const { keyId, next } = resealData(resealer, encoded, place);
    if (next === null) return { keyId, next: null };
    const { blob, type: plain } = toStored(next);
    const isSealed = next instanceof Uint8Array && areSealed(next);
    return { keyId, next: { value: blob ?? Buffer.alloc(0), type: isSealed ? SEALED_TYPE : plain } };
  };
  const of = (table: string, rest: readonly string[]) => ({
    table,
    from: `${table} t`,
    key: ["thread_id", "checkpoint_ns", ...rest],
    parts: ["t.thread_id", "t.checkpoint_ns", ...rest.map((each) => `t.${each}`)],
  });
  return [
    {
      name: "checkpoints: metadata",
      ...of("checkpoints", ["checkpoint_id"]),
      column: "metadata",
      kind: "jsonb",
      reseal({ value }, [threadId = "", checkpointNs = "", id = ""]) {
        const text = JSON.stringify(fromJsonb(textOf(value)));
        const { keyId, next } = resealMetadata(resealer, text, CHECKPOINT_PLACES.metadata(threadId, checkpointNs, id));
        return { keyId, next: next === null ? null : { value: toJsonbText(next), type: null } };
      },
    },
    {
      name: "checkpoints: values",
      ...of("checkpoint_blobs", ["channel", "version"]),
      column: "blob",
      kind: "typed",
      reseal: (stored, [threadId = "", checkpointNs = "", channel = "", version = ""]) =>
        data(stored, CHECKPOINT_PLACES.value(threadId, checkpointNs, channel, versionCounter(version))),
    },
    {
      name: "checkpoints: shared contents",
      table: "heddle_checkpoint_contents",
      from: "heddle_checkpoint_contents t",
      key: ["content"],
      parts: ["t.content"],
      column: "blob",
      kind: "typed",
      reseal: (stored, [content = ""]) => data(stored, CHECKPOINT_PLACES.content(content)),
    },
    {
      name: "checkpoints: pending writes",
      ...of("checkpoint_writes", ["checkpoint_id", "task_id", "idx"]),
      column: "blob",
      kind: "typed",
      reseal: (stored, [threadId = "", checkpointNs = "", id = "", taskId = "", idx = ""]) =>
        data(stored, CHECKPOINT_PLACES.write(threadId, checkpointNs, id, taskId, Number(idx))),
    },
  ];
}

function cellsOf(database: PostgresDatabase, column: PostgresColumn): CellTable<Row, Stored> {
  const { name, table, column: of, from, key, parts, kind } = column;
  const value = kind === "jsonb" ? `t.${of}::text` : `t.${of}`;
  const named = [
    ...key.map((each, at) => `t.${each} AS k${at}`),
    ...parts.map((each, at) => `${each} AS p${at}`),
    `${value} AS value`,
    `${kind === "typed" ? "t.type" : "NULL"} AS type`,
  ];
  const keys = key.map((each) => `t.${each}`).join(", ");
  const select = `SELECT ${named.join(", ")} FROM ${from} WHERE t.${of} IS NOT NULL`;
  const placeholders = key.map((_, at) => `$${at + 2}`).join(", ");
  const [newValue, oldValue] = kind === "jsonb" ? ["$1::jsonb", "$2::jsonb"] : ["$1", "$2"];
  const where = key.map((each, at) => `${each} = $${at + 4}`).join(" AND ");
  const type = kind === "typed" ? ", type = $3" : "";
  // The third parameter is only of use where there is a type.
  const update = `UPDATE ${table} SET ${of} = ${newValue}${type} WHERE ${of} = ${oldValue} AND $3::text IS NOT DISTINCT FROM $3 AND ${where} RETURNING 1`;
  return {
    name,
    async read(after, limit) {
      const condition = after === null ? "" : ` AND (${keys}) > (${placeholders})`;
      const rows = await database.query<SqlRow>(
        { name: "", text: `${select}${condition} ORDER BY ${keys} LIMIT $1`, idempotent: true },
        [limit, ...(after?.key ?? [])],
      );
      return rows.map((row) => ({
        key: key.map((_, at) => row[`k${at}`]),
        parts: parts.map((_, at) => fromText(String(row[`p${at}`]))),
        value: row["value"] as string | Buffer,
        type: row["type"] as string | null,
      }));
    },
    reseal: (row) => column.reseal(row, row.parts),
    replace: (changes: readonly Change<Row, Stored>[]) =>
      database.transaction(async (client) => {
        let replaced = 0;
        for (const { cell, next } of changes) {
          const values = [next.value, cell.value, next.type, ...cell.key];
          replaced += (await client.query({ name: "", text: update }, values)).length;
        }
        return replaced;
      }),
  };
}
