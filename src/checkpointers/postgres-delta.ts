import type { SqlClient, SqlRow, Statement } from "../databases/postgres/open.js";
import type { AncestorReader } from "./delta-history.js";
import { versionCounter } from "./postgres-aliases.js";
import { fromColumns, valueColumns, type ValueColumns } from "./postgres-blobs.js";
import { wholeOf, type PostgresContents } from "./postgres-contents.js";
import { fromText, toText } from "../databases/postgres/storable.js";
import { PLACES, type Sealing } from "./sealing.js";
import type { Encoded } from "./serde.js";
import type { StoredWrite } from "./stored-checkpoint.js";

interface HistoryRow extends SqlRow, ValueColumns {
  /** A checkpoint on the way (`c`), a value (`v`), or a write (`w`). */
  readonly kind: "c" | "v" | "w";
  readonly id: string;
  /** Parent, version, or task id. */
  readonly a: string | null;
  /** Task path; of a value its content. */
  readonly b: string | null;
  readonly channel: string | null;
  readonly n: number;
}

/**
 * Walks the parents of one checkpoint, by the keys of rows, until every channel has met a value; then reads just the
 * values and writes that the history needs. Parameters: thread, namespace, checkpoint or null for the newest, channels.
 */
const HISTORY: Statement = {
  name: "heddle_checkpoint_delta_history",
  text: `WITH RECURSIVE target AS (
      SELECT checkpoint_id AS id, parent_checkpoint_id AS parent FROM checkpoints
      WHERE thread_id = $1 AND checkpoint_ns = $2 AND ($3::text IS NULL OR checkpoint_id = $3)
      ORDER BY checkpoint_id DESC LIMIT 1
    ), way AS (
      SELECT id, parent, NULL::jsonb AS versions, '{}'::text[] AS open, $4::text[] AS rest FROM target
      UNION ALL
      SELECT c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint -> 'channel_versions', way.rest,
        ARRAY(SELECT name FROM unnest(way.rest) AS name WHERE NOT EXISTS (
          SELECT FROM checkpoint_blobs AS b WHERE b.thread_id = $1 AND b.checkpoint_ns = $2 AND b.channel = name
            AND b.version = c.checkpoint -> 'channel_versions' ->> name AND b.type <> 'empty'))
      FROM way JOIN checkpoints AS c
        ON c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = way.parent AND cardinality(way.rest) > 0
    )
    SELECT 'c' AS kind, id, parent AS a, NULL AS b, NULL AS channel, 0 AS n,
      NULL AS type, NULL AS json, NULL::bytea AS bytes FROM way
    UNION ALL
    SELECT 'v', way.id, b.version, b.heddle_content, b.channel, 0, ${valueColumns("b")}
      FROM way, unnest(open) AS name, checkpoint_blobs AS b
      WHERE NOT name = ANY (rest) AND b.thread_id = $1 AND b.checkpoint_ns = $2 AND b.channel = name
        AND b.version = way.versions ->> name
    UNION ALL
    SELECT 'w', way.id, w.task_id, w.task_path, w.channel, w.idx, w.type, w.json, w.bytes
      FROM way CROSS JOIN LATERAL (
        SELECT w.task_id, w.task_path, w.channel, w.idx, ${valueColumns("w")} FROM checkpoint_writes AS w
        WHERE w.thread_id = $1 AND w.checkpoint_ns = $2 AND w.checkpoint_id = way.id AND w.channel = ANY (way.open)
        OFFSET 0) AS w`,
  idempotent: true,
};

/** The ancestors that the history of some channels needs, and the id from which it starts. */
export async function readAncestors(
  database: SqlClient,
  params: {
    readonly threadId: string;
    readonly checkpointNs: string;
    readonly checkpointId: string | undefined;
    readonly channels: readonly string[];
  },
  sealing: Sealing,
  shared: PostgresContents,
): Promise<{ readonly reader: AncestorReader; readonly id: string | undefined }> {
  const { threadId, checkpointNs, checkpointId, channels } = params;
  const rows = await database.query<HistoryRow>(HISTORY, [
    toText(threadId),
    toText(checkpointNs),
    checkpointId === undefined ? null : toText(checkpointId),
    channels.map(toText),
  ]);
  const named = rows.flatMap(({ kind, channel, b }) =>
    kind !== "v" || b === null ? [] : [{ threadId, checkpointNs, channel: fromText(channel ?? ""), content: b }],
  );
  const contents = (await shared.of(named, { remember: false })) ?? new Map<string, Encoded>();
  const parents = new Map<string, string | null>();
  const values = new Map<string, Map<string, Encoded>>();
  const writes = new Map<string, StoredWrite[]>();
  let target: string | undefined;
  for (const row of rows) {
    const id = fromText(row.id);
    const channel = fromText(row.channel ?? "");
    const what = (): string => `channel "${channel}" of thread ${threadId}`;
    if (row.kind === "c") {
      target ??= id;
      parents.set(id, row.a === null ? null : fromText(row.a));
    } else if (row.kind === "v") {
      const place = PLACES.value(threadId, checkpointNs, channel, versionCounter(fromText(row.a ?? "")));
      const value = wholeOf(sealing.open(fromColumns(row, what), place), contents, { threadId, channel });
      values.set(id, (values.get(id) ?? new Map<string, Encoded>()).set(channel, value));
    } else {
      const taskId = fromText(row.a ?? "");
      const data = sealing.open(fromColumns(row, what), PLACES.write(threadId, checkpointNs, id, taskId, row.n));
      const stored = { taskId, idx: row.n, taskPath: fromText(row.b ?? ""), channel, data };
      writes.set(id, [...(writes.get(id) ?? []), stored]);
    }
  }
  return {
    id: checkpointId ?? target,
    reader: {
      parentOf: (id) => parents.get(id),
      value: (id, channel) => values.get(id)?.get(channel),
      writes: (id) => writes.get(id) ?? [],
    },
  };
}
