import type { Place } from "../core/cipher.js";
import type { DriverContext } from "../core/driver.js";
import { migrate } from "../databases/postgres/migrate.js";
import { openPostgres, type SqlClient, type SqlRow, type Statement } from "../databases/postgres/open.js";
import { fromText } from "../databases/postgres/storable.js";
import { isPacked } from "./packing.js";
import { versionCounter } from "./postgres-aliases.js";
import {
  fromColumns,
  PACKED_TYPE,
  SEALED_TYPE,
  toSealed,
  valueColumns,
  type StoredValue,
  type ValueColumns,
} from "./postgres-blobs.js";
import { PostgresContents, wholeOf } from "./postgres-contents.js";
import { CHECKPOINT_TABLES } from "./postgres-schema.js";
import { PostgresValues } from "./postgres-values.js";
import { PLACES, sealingWith } from "./sealing.js";

/** Rows of one transaction. */
const PAGE_ROWS = 50;

const statement = (name: string, text: string): Statement => ({ name: `heddle_checkpoint_${name}`, text });

interface Row extends SqlRow, ValueColumns {
  readonly thread_id: string;
  readonly checkpoint_ns: string;
  /** Channel; of a write the checkpoint's id. */
  readonly k1: string;
  /** Version; of a write the task's id. */
  readonly k2: string;
  readonly idx: number;
  readonly content: string | null;
}

/** Locked, so that nobody changes them between reading and writing. */
const page = (target: "compressed" | "stock", table: string, columns: string, key: readonly string[]): Statement =>
  statement(
    `recompress_${target}_${table}`,
    `SELECT thread_id, checkpoint_ns, ${columns}, ${valueColumns("t")} FROM ${table} AS t
     WHERE type IN ('heddle', ${target === "stock" ? "'heddle.packed'" : "'json', 'bytes'"})
       AND (${key.join(", ")}) > (${key.map((_, at) => `$${at + 1}`).join(", ")})
     ORDER BY ${key.join(", ")} LIMIT ${PAGE_ROWS} FOR UPDATE`,
  );
const blobPage = (target: "compressed" | "stock"): Statement =>
  page(target, "checkpoint_blobs", "channel AS k1, version AS k2, 0 AS idx, heddle_content AS content", [
    "thread_id",
    "checkpoint_ns",
    "channel",
    "version",
  ]);
const writePage = (target: "compressed" | "stock"): Statement =>
  page(target, "checkpoint_writes", "checkpoint_id AS k1, task_id AS k2, idx, NULL AS content", [
    "thread_id",
    "checkpoint_ns",
    "checkpoint_id",
    "task_id",
    "idx",
  ]);
const ADD_CONTENT = statement(
  "recompress_content",
  "INSERT INTO heddle_checkpoint_contents (content, type, blob) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
);
const SET_BLOB = statement(
  "recompress_blob",
  `UPDATE checkpoint_blobs SET type = $5, blob = $6, heddle_content = $7
   WHERE thread_id = $1 AND checkpoint_ns = $2 AND channel = $3 AND version = $4`,
);
const SET_WRITE = statement(
  "recompress_write",
  `UPDATE checkpoint_writes SET type = $6, blob = $7
   WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3 AND task_id = $4 AND idx = $5`,
);

/** Contents that nobody has: what an update leaves, and what a put leaves that was killed between two tries. */
const LOCK_UNUSED = statement(
  "recompress_lock",
  `SELECT content FROM heddle_checkpoint_contents AS c
   WHERE NOT EXISTS (SELECT FROM checkpoint_blobs AS b WHERE b.heddle_content = c.content) ORDER BY content FOR UPDATE`,
);
const SWEEP = statement(
  "recompress_sweep",
  `DELETE FROM heddle_checkpoint_contents AS c WHERE content = ANY ($1::text[])
     AND NOT EXISTS (SELECT FROM checkpoint_blobs AS b WHERE b.heddle_content = c.content)`,
);

/** As `recompressStorage` says, of a Postgres database. */
export async function recompressPostgres(
  uri: string,
  context: DriverContext,
  target: "compressed" | "stock",
  onProgress: (name: "checkpoints: values" | "checkpoints: pending writes", done: number) => void,
): Promise<{ readonly values: number; readonly writes: number }> {
  const database = await openPostgres(uri, context);
  try {
    await migrate(database, [CHECKPOINT_TABLES]);
    const raw = sealingWith(context.cipher);
    const values = new PostgresValues(raw, { compress: target === "compressed" });

    /** Too short to be packed. */
    const isAsBefore = ({ type, blob, shared }: StoredValue, at: Place): boolean => {
      if (type !== SEALED_TYPE) return type !== PACKED_TYPE;
      return shared === undefined && !isPacked(raw.open(new Uint8Array(blob ?? []), at));
    };
    const rewriteBlob = async (client: SqlClient, row: Row): Promise<boolean> => {
      const [threadId, checkpointNs, channel, version] = [row.thread_id, row.checkpoint_ns, row.k1, row.k2].map(fromText) as [string, string, string, string]; // prettier-ignore
      const at = PLACES.value(threadId, checkpointNs, channel, versionCounter(version));
      const what = (): string => `channel "${channel}" of thread ${threadId}`;
      const stored = fromColumns(row, what);
      if (isPacked(raw.open(stored, at)) === (target === "compressed")) return false;
      const place = { threadId, checkpointNs, channel };
      const names = row.content === null ? [] : [{ ...place, content: row.content }];
      const contents = await new PostgresContents(client, values.sealing, values.sharing).of(names, { remember: true });
      const data = wholeOf(values.sealing.open(stored, at), contents ?? new Map(), { threadId, channel });
      const next = await values.prepare(place, versionCounter(version), data);
      if (target === "compressed" && isAsBefore(next, at)) return false;
      await store(client, next);
      const { type, blob, shared } = next;
      const key = [row.thread_id, row.checkpoint_ns, row.k1, row.k2];
      await client.query(SET_BLOB, [...key, type, blob, shared?.content ?? null]);
      return true;
    };
    const rewriteWrite = async (client: SqlClient, row: Row): Promise<boolean> => {
      const [threadId, ns, id, taskId] = [row.thread_id, row.checkpoint_ns, row.k1, row.k2].map(fromText) as [string, string, string, string]; // prettier-ignore
      const at: Place = PLACES.write(threadId, ns, id, taskId, row.idx);
      const stored = fromColumns(row, () => `a pending write of thread ${threadId}`);
      if (isPacked(raw.open(stored, at)) === (target === "compressed")) return false;
      const next = toSealed(values.sealing, values.sealing.open(stored, at), at);
      if (target === "compressed" && isAsBefore(next, at)) return false;
      await client.query(SET_WRITE, [row.thread_id, row.checkpoint_ns, row.k1, row.k2, row.idx, next.type, next.blob]);
      return true;
    };

    const all = async (
      rows: Statement,
      first: readonly unknown[],
      keyOf: (row: Row) => readonly unknown[],
      rewrite: (client: SqlClient, row: Row) => Promise<boolean>,
      onPage: (done: number) => void,
    ): Promise<number> => {
      let [after, done, rewritten] = [first, 0, 0];
      const rewritePage = (place: readonly unknown[]) =>
        database.transaction(async (client) => {
          const found = await client.query<Row>(rows, place);
          let changed = 0;
          for (const row of found) if (await rewrite(client, row)) changed += 1;
          return { found, changed };
        });
      for (;;) {
        const { found, changed } = await rewritePage(after);
        rewritten += changed;
        onPage((done += found.length));
        const last = found.at(-1);
        if (last === undefined || found.length < PAGE_ROWS) return rewritten;
        after = keyOf(last);
      }
    };
    const key = ({ thread_id, checkpoint_ns, k1, k2 }: Row): readonly unknown[] => [thread_id, checkpoint_ns, k1, k2];
    const counts = {
      values: await all(blobPage(target), ["", "", "", ""], key, rewriteBlob, (done) =>
        onProgress("checkpoints: values", done),
      ),
      writes: await all(
        writePage(target),
        ["", "", "", "", -(2 ** 31)],
        (row) => [...key(row), row.idx],
        rewriteWrite,
        (done) => onProgress("checkpoints: pending writes", done),
      ),
    };
    await database.transaction(async (client) => {
      const unused = await client.query<{ content: string }>(LOCK_UNUSED);
      await client.query(SWEEP, [unused.map(({ content }) => content)]);
    });
    return counts;
  } finally {
    await database.close();
  }
}

async function store(client: SqlClient, { shared }: StoredValue): Promise<void> {
  if (shared === undefined || shared.data === null) return;
  await client.query(ADD_CONTENT, [shared.content, shared.data.type, shared.data.blob]);
}
