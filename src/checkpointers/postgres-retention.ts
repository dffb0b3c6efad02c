import type { Checkpointer, CheckpointsKept, PruneReport, ThreadStorage } from "../core/checkpointer.js";
import type { PostgresDatabase, SqlClient, SqlRow, Statement } from "../databases/postgres/open.js";
import { fromText, toText } from "../databases/postgres/storable.js";
import { keptIds, type LineageCheckpoint } from "./kept-checkpoints.js";

/** A prune of a thread of 100,000 checkpoints takes some seconds. */
const TIMEOUT_MS = 300_000;

const statement = (name: string, text: string): Statement => ({
  name: `heddle_checkpoint_${name}`,
  text,
  idempotent: true,
  timeoutMs: TIMEOUT_MS,
});

/** What stays: checkpoints by namespace and id, as the columns have them. */
export interface KeptRows {
  readonly namespaces: readonly string[];
  readonly ids: readonly string[];
}

interface NamespaceRow extends SqlRow {
  readonly checkpoint_ns: string;
  /** Whether the newest checkpoints may need others. */
  readonly needs: boolean;
  readonly delta: readonly string[];
  /** The newest ones. */
  readonly ids: readonly string[];
}

const NAMESPACES = statement(
  "kept",
  `SELECT checkpoint_ns,
     bool_or(metadata ? 'counters_since_delta_snapshot') OR bool_or(n <= $2 AND (checkpoint ->> 'v')::int < 4) AS needs,
     ARRAY(SELECT DISTINCT key FROM checkpoints AS c, jsonb_object_keys(c.metadata -> 'counters_since_delta_snapshot') AS key
       WHERE c.thread_id = $1 AND c.checkpoint_ns = page.checkpoint_ns
         AND jsonb_typeof(c.metadata -> 'counters_since_delta_snapshot') = 'object') AS delta,
     array_agg(checkpoint_id) FILTER (WHERE n <= $2) AS ids
   FROM (SELECT *, row_number() OVER (PARTITION BY checkpoint_ns ORDER BY checkpoint_id DESC) AS n
     FROM checkpoints WHERE thread_id = $1) AS page
   GROUP BY checkpoint_ns`,
);

interface LineageRow extends SqlRow {
  readonly id: string;
  readonly parent: string | null;
  readonly v: number | null;
  readonly versioned: boolean;
  readonly stored: readonly string[];
  readonly known: readonly string[];
}

/** Values may lie in the checkpoint itself, as LangGraph for Python has it. */
const LINEAGE = statement(
  "kept_lineage",
  `SELECT checkpoint_id AS id, parent_checkpoint_id AS parent, (checkpoint ->> 'v')::int AS v,
     metadata @> '{"delta_writes_versioned": true}' AS versioned,
     ARRAY(SELECT name FROM unnest($3::text[]) AS name WHERE checkpoint -> 'channel_values' ? name OR EXISTS (
       SELECT FROM checkpoint_blobs AS b WHERE b.thread_id = $1 AND b.checkpoint_ns = $2 AND b.channel = name
         AND b.version = checkpoint -> 'channel_versions' ->> name AND b.type <> 'empty')) AS stored,
     ARRAY(SELECT name FROM unnest($3::text[]) AS name WHERE checkpoint -> 'channel_versions' ? name) AS known
   FROM checkpoints WHERE thread_id = $1 AND checkpoint_ns = $2`,
);

/** Which checkpoints of a thread stay. */
export async function keptRows(client: SqlClient, threadId: string, keep: CheckpointsKept): Promise<KeptRows> {
  const count = keep.kind === "latest" ? 1 : keep.count;
  const namespaces: string[] = [];
  const ids: string[] = [];
  const thread = toText(threadId);
  for (const row of await client.query<NamespaceRow>(NAMESPACES, [thread, count])) {
    let kept: Iterable<string> = row.ids;
    if (row.needs) {
      const lineage = await client.query<LineageRow>(LINEAGE, [thread, row.checkpoint_ns, row.delta]);
      const counters = Object.fromEntries(row.delta.map((name) => [name, null]));
      kept = keptIds(
        lineage.map((each) => toLineage(each, counters)),
        keep,
      );
    }
    for (const id of kept) {
      namespaces.push(row.checkpoint_ns);
      ids.push(id);
    }
  }
  return { namespaces, ids };
}

function toLineage(row: LineageRow, counters: Readonly<Record<string, unknown>>): LineageCheckpoint {
  return {
    id: row.id,
    parentId: row.parent ?? undefined,
    metadata: { counters_since_delta_snapshot: counters, delta_writes_versioned: row.versioned },
    v: row.v ?? 1,
    stores: (channel) => row.stored.includes(channel),
    knows: (channel) => row.known.includes(channel),
  };
}

const CHECKPOINT_BYTES = "pg_column_size(t.checkpoint) + pg_column_size(t.metadata)";
const BLOB_BYTES = "coalesce(pg_column_size(t.blob), 0)";

/**
 * What goes when these checkpoints stay. Newer ones stay as well, with their values: somebody may be at work.
 * @param removes false: only counted
 */
function pruneStatement(removes: boolean): Statement {
  const go = (table: string, where: string, columns: string): string =>
    removes
      ? `DELETE FROM ${table} AS t USING newest AS n WHERE ${where} RETURNING ${columns}`
      : `SELECT ${columns} FROM ${table} AS t, newest AS n WHERE ${where}`;
  const old = `t.thread_id = $1 AND t.checkpoint_ns = n.ns AND t.checkpoint_id <= n.id
    AND NOT EXISTS (SELECT FROM kept AS k WHERE k.ns = t.checkpoint_ns AND k.id = t.checkpoint_id)`;
  return statement(
    removes ? "prune" : "prune_dry",
    `WITH kept AS MATERIALIZED (SELECT * FROM unnest((SELECT $2::text[]), (SELECT $3::text[])) AS k (ns, id)),
     newest AS MATERIALIZED (SELECT ns, max(id) AS id FROM kept GROUP BY ns),
     needed AS MATERIALIZED (
       SELECT DISTINCT c.checkpoint_ns AS ns, version.key AS channel, version.value AS version
       FROM newest AS n JOIN checkpoints AS c ON c.thread_id = $1 AND c.checkpoint_ns = n.ns
         AND (c.checkpoint_id > n.id OR EXISTS (SELECT FROM kept AS k WHERE k.ns = n.ns AND k.id = c.checkpoint_id)),
         jsonb_each_text(c.checkpoint -> 'channel_versions') AS version),
     gone AS (${go("checkpoints", old, `${CHECKPOINT_BYTES} AS bytes`)}),
     writes AS (${go("checkpoint_writes", old, `${BLOB_BYTES} AS bytes`)}),
     unused AS (${go(
       "checkpoint_blobs",
       `t.thread_id = $1 AND t.checkpoint_ns = n.ns AND NOT EXISTS (
          SELECT FROM needed AS v WHERE v.ns = t.checkpoint_ns AND v.channel = t.channel AND v.version = t.version)`,
       `t.type, ${BLOB_BYTES} AS bytes, t.heddle_content AS content`,
     )}),
     contents AS (
       SELECT content FROM unused WHERE content IS NOT NULL
       EXCEPT SELECT b.heddle_content FROM needed AS v JOIN checkpoint_blobs AS b ON b.thread_id = $1
         AND b.checkpoint_ns = v.ns AND b.channel = v.channel AND b.version = v.version)
     SELECT (SELECT count(*) FROM gone) AS checkpoints, (SELECT count(*) FROM writes) AS writes,
       (SELECT count(*) FROM unused WHERE type <> 'empty') AS values,
       (SELECT coalesce(sum(bytes), 0) FROM (
          SELECT bytes FROM gone UNION ALL SELECT bytes FROM writes UNION ALL SELECT bytes FROM unused
          UNION ALL SELECT pg_column_size(t.blob) FROM contents JOIN heddle_checkpoint_contents AS t USING (content)
        ) AS all_bytes)::bigint AS bytes`,
  );
}

const PRUNE = pruneStatement(true);
const PRUNE_DRY = pruneStatement(false);

/**
 * As `Checkpointer.prune` says: a few statements, however long the thread is. It is asked between two transactions whether to go on:
 * who answers may need a connection of the same pool.
 */
export async function prune(
  database: PostgresDatabase,
  params: Parameters<Checkpointer["prune"]>[0],
): Promise<PruneReport> {
  const { threadId, keep, dryRun, mayRemove } = params;
  const { namespaces, ids } = await database.transaction((client) => keptRows(client, threadId, keep));
  if (!dryRun && mayRemove !== undefined && !(await mayRemove())) {
    return { checkpoints: 0, writes: 0, values: 0, bytes: 0 };
  }
  return database.transaction(async (client) => {
    const values = [toText(threadId), namespaces, ids];
    const [row] = await client.query<SqlRow & PruneReport>(dryRun ? PRUNE_DRY : PRUNE, values);
    const { checkpoints = 0, writes = 0, values: channelValues = 0, bytes = 0 } = row ?? {};
    return { checkpoints, writes, values: channelValues, bytes };
  });
}

interface StorageRow extends SqlRow {
  readonly kind: "c" | "v" | "w";
  readonly channel: string | null;
  readonly count: number;
  readonly bytes: number;
}

const STORAGE = statement(
  "storage",
  `SELECT 'c' AS kind, NULL AS channel, count(*) AS count, coalesce(sum(${CHECKPOINT_BYTES}), 0)::bigint AS bytes
     FROM checkpoints AS t WHERE thread_id = $1
   UNION ALL
   SELECT 'w', NULL, count(*), coalesce(sum(${BLOB_BYTES}), 0)::bigint FROM checkpoint_writes AS t WHERE thread_id = $1
   UNION ALL
   SELECT 'v', channel, sum(count)::bigint, sum(bytes)::bigint FROM (
     SELECT channel, count(*) AS count, sum(${BLOB_BYTES}) AS bytes
       FROM checkpoint_blobs AS t WHERE thread_id = $1 AND type <> 'empty' GROUP BY channel
     UNION ALL
     SELECT channel, 0, sum(pg_column_size(t.blob)) FROM (
       SELECT DISTINCT checkpoint_ns, channel, heddle_content FROM checkpoint_blobs
       WHERE thread_id = $1 AND heddle_content IS NOT NULL) AS used
     JOIN heddle_checkpoint_contents AS t ON t.content = used.heddle_content GROUP BY channel
   ) AS parts GROUP BY channel`,
);

/** As `Checkpointer.storage` says; bytes as `pg_column_size` has them. */
export async function storage(database: PostgresDatabase, threadId: string): Promise<ThreadStorage> {
  const rows = await database.query<StorageRow>(STORAGE, [toText(threadId)]);
  const of = (kind: StorageRow["kind"]) => rows.filter((row) => row.kind === kind);
  const sum = (found: readonly StorageRow[]) => ({
    count: found.reduce((total, { count }) => total + count, 0),
    bytes: found.reduce((total, { bytes }) => total + bytes, 0),
  });
  const [checkpoints, values, pendingWrites] = [sum(of("c")), sum(of("v")), sum(of("w"))];
  const byChannel = new Map(
    of("v")
      .map(({ channel, count, bytes }) => [fromText(channel ?? ""), { versions: count, bytes }] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  const totalBytes = checkpoints.bytes + values.bytes + pendingWrites.bytes;
  return { totalBytes, checkpoints, channelValues: { ...values, byChannel }, pendingWrites };
}
