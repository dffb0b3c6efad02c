import { toSealed } from "../../checkpointers/postgres-blobs.js";
import { versionCounter } from "../../checkpointers/postgres-aliases.js";
import { sealingWith } from "../../checkpointers/sealing.js";
import { type PostgresDatabase, type SqlRow } from "../../databases/postgres/open.js";
import { fromJsonb, fromText, toJsonbText, toText } from "../../databases/postgres/storable.js";
import type { Resealer } from "../../encryption/reseal.js";
import { type CellTable, FOREIGN } from "./cells.js";
import { CHECKPOINT_PLACES } from "./sql-cells.js";

type Values = Readonly<Record<string, unknown>>;

interface Row {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly id: string;
  /** JSON, as Postgres has it. */
  readonly inline: string;
  readonly versions: string;
}

/** What stays inside the checkpoint, and rows of `checkpoint_blobs`. */
interface Moved {
  readonly inline: string;
  readonly blobs: readonly {
    readonly channel: string;
    readonly version: string;
    readonly type: string;
    readonly blob: Buffer;
  }[];
}

const SELECT = `SELECT t.thread_id, t.checkpoint_ns, t.checkpoint_id,
    (t.checkpoint->'channel_values')::text AS inline, (t.checkpoint->'channel_versions')::text AS versions
  FROM checkpoints t WHERE t.checkpoint->'channel_values' <> '{}'::jsonb`;
// A blob that is there already is what is read: the inline value is a copy nobody looks at.
const ADD = `INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING`;
const STRIP = `UPDATE checkpoints SET checkpoint = jsonb_set(checkpoint, '{channel_values}', $1::jsonb)
  WHERE thread_id = $2 AND checkpoint_ns = $3 AND checkpoint_id = $4 AND checkpoint->'channel_values' = $5::jsonb RETURNING 1`;

/**
 * Short values that LangGraph for Python (langgraph-checkpoint-postgres 3) keeps inside the checkpoint itself: they become sealed blobs
 * like all others, which is where they are looked for first.
 */
export function inlineValues(database: PostgresDatabase, { cipher }: Resealer): CellTable<Row, Moved> {
  const sealing = sealingWith(cipher);
  return {
    name: "checkpoints: values inside",
    async read(after, limit) {
      const condition = after === null ? "" : " AND (t.thread_id, t.checkpoint_ns, t.checkpoint_id) > ($2, $3, $4)";
      const order = " ORDER BY t.thread_id, t.checkpoint_ns, t.checkpoint_id LIMIT $1";
      const key = after === null ? [] : [after.threadId, after.checkpointNs, after.id];
      const rows = await database.query<SqlRow>({ name: "", text: SELECT + condition + order, idempotent: true }, [
        limit,
        ...key,
      ]);
      return rows.map((row) => ({
        threadId: String(row["thread_id"]),
        checkpointNs: String(row["checkpoint_ns"]),
        id: String(row["checkpoint_id"]),
        inline: String(row["inline"]),
        versions: (row["versions"] as string | null) ?? "{}",
      }));
    },
    reseal({ threadId, checkpointNs, inline, versions }) {
      const values = fromJsonb(inline) as Values | null;
      if (values === null || typeof values !== "object") return null;
      const versionOf = fromJsonb(versions) as Values;
      const entries = Object.entries(values);
      const moved = entries.filter(([channel]) => Object.hasOwn(versionOf, channel));
      // Without a version nobody but Python finds them.
      if (moved.length === 0) return FOREIGN;
      const blobs = moved.map(([channel, value]) => {
        const version = String(versionOf[channel]);
        const place = CHECKPOINT_PLACES.value(
          fromText(threadId),
          fromText(checkpointNs),
          channel,
          versionCounter(version),
        );
        const { type, blob } = toSealed(sealing, JSON.stringify(value), place);
        return { channel: toText(channel), version, type, blob: blob ?? Buffer.alloc(0) };
      });
      const rest = Object.fromEntries(entries.filter(([channel]) => !Object.hasOwn(versionOf, channel)));
      return { keyId: null, next: { inline: toJsonbText(JSON.stringify(rest)), blobs } };
    },
    replace: (changes) =>
      database.transaction(async (client) => {
        let replaced = 0;
        for (const { cell, next } of changes) {
          const { threadId, checkpointNs, id, inline } = cell;
          const stripped = await client.query({ name: "", text: STRIP }, [
            next.inline,
            threadId,
            checkpointNs,
            id,
            inline,
          ]);
          if (stripped.length === 0) continue;
          replaced += 1;
          for (const { channel, version, type, blob } of next.blobs) {
            await client.query({ name: "", text: ADD }, [threadId, checkpointNs, channel, version, type, blob]);
          }
        }
        return replaced;
      }),
  };
}
