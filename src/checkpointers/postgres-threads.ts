import type { PostgresDatabase, SqlRow, Statement } from "../databases/postgres/open.js";
import { removableIds } from "./checkpoint-metadata.js";
import { fromText, toText } from "../databases/postgres/storable.js";

const statement = (name: string, text: string): Statement => ({
  name: `heddle_checkpoint_${name}`,
  text,
  idempotent: true,
});

const DELETE_THREAD = statement(
  "delete_thread",
  `WITH writes AS (DELETE FROM checkpoint_writes WHERE thread_id = $1),
     blobs AS (DELETE FROM checkpoint_blobs WHERE thread_id = $1)
   DELETE FROM checkpoints WHERE thread_id = $1`,
);

export async function deleteThread(database: Pick<PostgresDatabase, "query">, threadId: string): Promise<void> {
  await database.query(DELETE_THREAD, [toText(threadId)]);
}

interface RunRow extends SqlRow {
  readonly checkpoint_ns: string;
  readonly id: string;
  readonly parent: string | null;
  readonly delta: boolean;
  readonly doomed: boolean;
}

const RUN_ROWS = statement(
  "run_rows",
  `SELECT checkpoint_ns, checkpoint_id AS id, parent_checkpoint_id AS parent, metadata ->> 'run_id' IS NOT DISTINCT FROM $2 AS doomed,
     metadata ?| '{counters_since_delta_snapshot,delta_writes_versioned}' AS delta
   FROM checkpoints WHERE thread_id = $1`,
);

/** Values that a removed checkpoint had and that no other one has. */
const DELETE_CHECKPOINTS = statement(
  "delete_checkpoints",
  `WITH doomed AS (
     DELETE FROM checkpoints WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = ANY ($3::text[])
     RETURNING checkpoint
   ), writes AS (
     DELETE FROM checkpoint_writes WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = ANY ($3::text[])
   ), unused AS (
     SELECT version.key AS channel, version.value AS version
       FROM doomed, jsonb_each_text(checkpoint -> 'channel_versions') AS version
     EXCEPT
     SELECT version.key, version.value FROM checkpoints, jsonb_each_text(checkpoint -> 'channel_versions') AS version
       WHERE thread_id = $1 AND checkpoint_ns = $2 AND NOT checkpoint_id = ANY ($3::text[])
   )
   DELETE FROM checkpoint_blobs AS b USING unused
   WHERE b.thread_id = $1 AND b.checkpoint_ns = $2 AND b.channel = unused.channel AND b.version = unused.version`,
);

const DELETE_STRAYS = statement(
  "delete_strays",
  `DELETE FROM checkpoint_writes w WHERE w.thread_id = $1
     AND NOT EXISTS (SELECT 1 FROM checkpoints c
       WHERE c.thread_id = w.thread_id AND c.checkpoint_ns = w.checkpoint_ns AND c.checkpoint_id = w.checkpoint_id)
     AND NOT EXISTS (SELECT 1 FROM checkpoints c WHERE c.thread_id = $1 AND c.checkpoint_id COLLATE "C" <= w.checkpoint_id COLLATE "C")`,
);

/** Remove a run's checkpoints, writes and values, in all namespaces; none where a survivor is rebuilt from them. */
export async function deleteRun(
  database: PostgresDatabase,
  params: { readonly threadId: string; readonly runId: string; readonly strays?: boolean },
): Promise<void> {
  const { threadId, runId, strays = false } = params;
  await database.transaction(async (client) => {
    const rows = await client.query<RunRow>(RUN_ROWS, [toText(threadId), toText(runId)]);
    for (const [checkpointNs, lineage] of Map.groupBy(rows, (row) => row.checkpoint_ns)) {
      const ids = removableIds(
        lineage.map(({ id, parent, delta, doomed }) => ({ id, parentId: parent ?? undefined, delta, doomed })),
      );
      if (ids.size > 0) await client.query(DELETE_CHECKPOINTS, [toText(threadId), checkpointNs, [...ids]]);
    }
    if (strays) await client.query(DELETE_STRAYS, [toText(threadId)]);
  });
}

/** Each step finds the next thread by the primary key: a DISTINCT would read every checkpoint. */
const THREAD_IDS = statement(
  "thread_ids",
  `WITH RECURSIVE threads AS (
     (SELECT thread_id FROM checkpoints WHERE $1::text IS NULL OR thread_id > $1 ORDER BY thread_id LIMIT 1)
     UNION ALL
     SELECT (SELECT c.thread_id FROM checkpoints AS c WHERE c.thread_id > threads.thread_id ORDER BY c.thread_id LIMIT 1)
     FROM threads WHERE threads.thread_id IS NOT NULL
   )
   SELECT thread_id FROM threads WHERE thread_id IS NOT NULL LIMIT $2`,
);

/** Threads with checkpoints, in the database's order, after one of them. */
export async function threadIds(
  database: PostgresDatabase,
  after: string | null,
  limit: number,
): Promise<readonly string[]> {
  const rows = await database.query<{ thread_id: string }>(THREAD_IDS, [after === null ? null : toText(after), limit]);
  return rows.map((row) => fromText(row.thread_id));
}
