import type { CheckpointMetadata } from "@langchain/langgraph-checkpoint";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Place } from "../core/cipher.js";
import {
  isSqlState,
  type PostgresDatabase,
  type SqlClient,
  type SqlRow,
  type Statement,
} from "../databases/postgres/open.js";
import { fromJsonb, fromText, toJsonbText, toText } from "../databases/postgres/storable.js";
import { versionCounter } from "./postgres-aliases.js";
import { fromColumns, toSealed, valueColumns, type ValueColumns } from "./postgres-blobs.js";
import { keptRows, type KeptRows } from "./postgres-retention.js";
import { deleteThread } from "./postgres-threads.js";
import { PLACES, renamed, secretKeysOf, type Sealing } from "./sealing.js";

/** A large thread is copied in one transaction. */
const TIMEOUT_MS = 300_000;
/** Rows that are in memory at once. */
const PAGE_ROWS = 100;

const statement = (name: string, text: string): Statement => ({
  name: `heddle_checkpoint_${name}`,
  text,
  idempotent: true,
  timeoutMs: TIMEOUT_MS,
});

/** A thread that is deleted meanwhile is copied as it was, not in part. */
const ONE_SNAPSHOT: Statement = { name: "", text: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ" };
const MAX_ATTEMPTS = 5;

const HAS_THREAD = statement("has_thread", "SELECT 1 FROM checkpoints WHERE thread_id = $1 LIMIT 1");

const KEPT = "kept AS MATERIALIZED (SELECT * FROM unnest((SELECT $3::text[]), (SELECT $4::text[])) AS k (ns, id))";
const IS_KEPT = "EXISTS (SELECT FROM kept AS k WHERE k.ns = c.checkpoint_ns AND k.id = c.checkpoint_id)";

/** @param cut only what is kept: parameters 3 and 4 name it */
function copies(cut: boolean): readonly Statement[] {
  const name = (table: string): string => `copy_${table}${cut ? "_cut" : ""}`;
  const withKept = cut ? `WITH ${KEPT}` : "";
  const kept = cut ? `AND ${IS_KEPT}` : "";
  const needed = `WITH ${KEPT}, needed AS MATERIALIZED (
    SELECT DISTINCT c.checkpoint_ns AS ns, version.key AS channel, version.value AS version
    FROM checkpoints AS c, jsonb_each_text(c.checkpoint -> 'channel_versions') AS version
    WHERE c.thread_id = $1 AND ${IS_KEPT})`;
  return [
    statement(
      name("checkpoints"),
      `${withKept} INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
       SELECT $2, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint,
         replace(metadata::text, $${cut ? 5 : 3}, $${cut ? 6 : 4})::jsonb
       FROM checkpoints AS c WHERE thread_id = $1 ${kept}`,
    ),
    statement(
      name("blobs"),
      `${cut ? needed : ""} INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, heddle_content)
       SELECT $2, checkpoint_ns, channel, version, type, blob, heddle_content FROM checkpoint_blobs AS c WHERE thread_id = $1
       ${cut ? "AND EXISTS (SELECT FROM needed AS n WHERE n.ns = c.checkpoint_ns AND n.channel = c.channel AND n.version = c.version)" : ""}`,
    ),
    statement(
      name("writes"),
      `${withKept} INSERT INTO checkpoint_writes
         (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
       SELECT $2, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
       FROM checkpoint_writes AS c WHERE thread_id = $1 ${kept}`,
    ),
  ];
}

const ALL = copies(false);
const CUT = copies(true);

/**
 * Copy a thread inside the database, with what its values share; what is sealed opens only under its thread's id, and goes through
 * this process. The target is replaced, unless there is nothing to copy.
 */
export async function copyThread(
  database: PostgresDatabase,
  params: Parameters<Checkpointer["copyThread"]>[0],
  sealing: Sealing,
): Promise<void> {
  const { fromThreadId: from, toThreadId: to, keep } = params;
  if (from === to) return;
  const names = [toText(from), toText(to)];
  const json = [from, to].map((name) => toJsonbText(JSON.stringify(name)));
  const copyOnce = async (client: SqlClient): Promise<void> => {
    await client.query(ONE_SNAPSHOT);
    if ((await client.query(HAS_THREAD, [names[0]])).length === 0) return;
    await deleteThread(client, to);
    const kept: KeptRows | undefined = keep && (await keptRows(client, from, keep));
    const selected = kept === undefined ? names : [...names, kept.namespaces, kept.ids];
    for (const [at, copy] of (kept === undefined ? ALL : CUT).entries()) {
      await client.query(copy, at === 0 ? [...selected, ...json] : selected);
    }
    if (sealing.enabled) await sealAnew(client, { from, to }, sealing);
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await database.transaction(copyOnce);
      return;
    } catch (error) {
      // A content went meanwhile, with what had it: the next snapshot does not show that any more.
      if (attempt === MAX_ATTEMPTS || !isSqlState(error, "23503")) throw error;
    }
  }
}

interface MetadataRow extends SqlRow {
  readonly checkpoint_ns: string;
  readonly checkpoint_id: string;
  readonly metadata: string;
}

interface ValueRow extends SqlRow, ValueColumns {
  readonly checkpoint_ns: string;
  /** Channel; of a write the checkpoint's id. */
  readonly k1: string;
  /** Version; of a write the task's id. */
  readonly k2: string;
  readonly idx: number;
}

const pageOf = (name: string, columns: string, from: string, key: readonly string[]): Statement =>
  statement(
    name,
    `SELECT ${columns} FROM ${from} AS t WHERE thread_id = $1
       AND (${key.join(", ")}) > (${key.map((_, at) => `$${at + 2}`).join(", ")})
     ORDER BY ${key.join(", ")} LIMIT ${PAGE_ROWS}`,
  );

const METADATA = pageOf("copied_metadata", "checkpoint_ns, checkpoint_id, metadata::text AS metadata", "checkpoints", [
  "checkpoint_ns",
  "checkpoint_id",
]);
const SET_METADATA = statement(
  "seal_metadata",
  "UPDATE checkpoints SET metadata = $4::jsonb WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3",
);
const BLOBS = pageOf(
  "copied_blobs",
  `checkpoint_ns, channel AS k1, version AS k2, 0 AS idx, ${valueColumns("t")}`,
  "checkpoint_blobs",
  ["checkpoint_ns", "channel", "version"],
);
const SET_BLOB = statement(
  "seal_blob",
  "UPDATE checkpoint_blobs SET type = $5, blob = $6 WHERE thread_id = $1 AND checkpoint_ns = $2 AND channel = $3 AND version = $4",
);
const WRITES = pageOf(
  "copied_writes",
  `checkpoint_ns, checkpoint_id AS k1, task_id AS k2, idx, ${valueColumns("t")}`,
  "checkpoint_writes",
  ["checkpoint_ns", "checkpoint_id", "task_id", "idx"],
);
const SET_WRITE = statement(
  "seal_write",
  `UPDATE checkpoint_writes SET type = $6, blob = $7
   WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3 AND task_id = $4 AND idx = $5`,
);

interface Names {
  readonly from: string;
  readonly to: string;
}

/** Contents are no thread's own, and stay as they are. */
async function sealAnew(client: SqlClient, names: Names, sealing: Sealing): Promise<void> {
  const { from, to } = names;
  const target = toText(to);
  await eachRow(client, METADATA, target, ["", ""], async (found) => {
    const row = found as MetadataRow;
    const [ns, id] = [fromText(row.checkpoint_ns), fromText(row.checkpoint_id)];
    const stored = fromJsonb(row.metadata) as CheckpointMetadata;
    const opened = sealing.openMetadata(stored, PLACES.metadata(from, ns, id));
    const metadata = renamed(opened.metadata, from, to);
    const { sealedKeys } = opened;
    const secretKeys = secretKeysOf({ metadata, ...(sealedKeys !== undefined && { sealedKeys }) });
    const sealed = sealing.sealMetadata(metadata, secretKeys, PLACES.metadata(to, ns, id));
    const text = toJsonbText(JSON.stringify(sealed));
    await client.query(SET_METADATA, [target, row.checkpoint_ns, row.checkpoint_id, text]);
    return [row.checkpoint_ns, row.checkpoint_id];
  });
  const moved = (row: ValueRow, placeOf: (threadId: string) => Place): readonly [type: string, blob: Buffer | null] => {
    const data = sealing.open(
      fromColumns(row, () => `a value of thread ${from}`),
      placeOf(from),
    );
    const { type, blob } = toSealed(sealing, data, placeOf(to));
    return [type, blob];
  };
  await eachRow(client, BLOBS, target, ["", "", ""], async (found) => {
    const row = found as ValueRow;
    const key = [row.checkpoint_ns, row.k1, row.k2];
    const [ns, channel, version] = key.map(fromText) as [string, string, string];
    if (row.type !== "empty") {
      const value = moved(row, (threadId) => PLACES.value(threadId, ns, channel, versionCounter(version)));
      await client.query(SET_BLOB, [target, ...key, ...value]);
    }
    return key;
  });
  await eachRow(client, WRITES, target, ["", "", "", -(2 ** 31)], async (found) => {
    const row = found as ValueRow;
    const key = [row.checkpoint_ns, row.k1, row.k2];
    const [ns, id, taskId] = key.map(fromText) as [string, string, string];
    const value = moved(row, (threadId) => PLACES.write(threadId, ns, id, taskId, row.idx));
    await client.query(SET_WRITE, [target, ...key, row.idx, ...value]);
    return [...key, row.idx];
  });
}

/** @param change changes a row, and says its key */
async function eachRow(
  client: SqlClient,
  page: Statement,
  threadId: string,
  first: readonly unknown[],
  change: (row: SqlRow) => Promise<readonly unknown[]>,
): Promise<void> {
  for (let after = first; ;) {
    const rows = await client.query(page, [threadId, ...after]);
    for (const row of rows) after = await change(row);
    if (rows.length < PAGE_ROWS) return;
  }
}
