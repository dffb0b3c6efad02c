import type { DriverContext } from "../core/driver.js";
import { migrate } from "../databases/sqlite/migrate.js";
import { openSqlite } from "../databases/sqlite/open.js";
import { isPacked } from "./packing.js";
import { PLACES, sealingWith } from "./sealing.js";
import { SqliteReader } from "./sqlite-reader.js";
import { fromCell, toCell, type Cell } from "./sqlite-rows.js";
import { CHECKPOINT_MIGRATIONS } from "./sqlite-schema.js";
import { CheckpointStatements } from "./sqlite-statements.js";
import { SqliteValues } from "./sqlite-values.js";

/** How long one transaction may take. */
const SLICE_MS = 8;
const PAGE_ROWS = 16;

interface Row {
  readonly lineage: number;
  readonly thread_id: string;
  readonly checkpoint_ns: string;
  readonly checkpoint_id: string;
  readonly data: Cell;
}
interface BlobRow extends Row {
  readonly channel: string;
  readonly content: string | null;
}
interface WriteRow extends Row {
  readonly task_id: string;
  readonly idx: number;
}

/** As `recompressStorage` says, of a SQLite file. */
export async function recompressSqlite(
  uri: string,
  context: DriverContext,
  target: "compressed" | "stock",
  onProgress: (name: "checkpoints: values" | "checkpoints: pending writes", done: number) => void,
): Promise<{ readonly values: number; readonly writes: number }> {
  const { db, close } = await openSqlite(uri, context);
  try {
    migrate(db, "checkpoints", CHECKPOINT_MIGRATIONS);
    const sql = new CheckpointStatements(db);
    const raw = sealingWith(context.cipher);
    const values = new SqliteValues(sql, raw, { compress: target === "compressed" });
    const reader = new SqliteReader(sql, values.sealing, values.sharing);
    const from = (table: string): string => `FROM ${table} AS t JOIN heddle_checkpoint_lineages AS o USING (lineage)`;
    const columns = "t.lineage, o.thread_id, o.checkpoint_ns, t.checkpoint_id, t.data";
    const blobs = db.prepare<[number, string, string, number], BlobRow>(
      `SELECT ${columns}, t.channel, t.content ${from("heddle_checkpoint_blobs")}
       WHERE (t.lineage, t.checkpoint_id, t.channel) > (?, ?, ?) ORDER BY t.lineage, t.checkpoint_id, t.channel LIMIT ?`,
    );
    const writes = db.prepare<[number, string, string, number, number], WriteRow>(
      `SELECT ${columns}, t.task_id, t.idx ${from("heddle_checkpoint_writes")}
       WHERE (t.lineage, t.checkpoint_id, t.task_id, t.idx) > (?, ?, ?, ?)
       ORDER BY t.lineage, t.checkpoint_id, t.task_id, t.idx LIMIT ?`,
    );
    const setWrite = db.prepare(
      "UPDATE heddle_checkpoint_writes SET data = ? WHERE lineage = ? AND checkpoint_id = ? AND task_id = ? AND idx = ?",
    );

    const rewriteBlob = (row: BlobRow): boolean => {
      const { lineage, thread_id: threadId, checkpoint_ns: checkpointNs, checkpoint_id: origin, channel } = row;
      const stored = raw.open(fromCell(row.data), PLACES.value(threadId, checkpointNs, channel, origin));
      if (isPacked(stored) === (target === "compressed")) return false;
      const data = reader.value({ threadId, checkpointNs }, lineage, origin, channel);
      if (data === undefined) return false;
      const prepared = values.prepareNow({ threadId, checkpointNs, channel }, origin, data);
      if (prepared.planned.kind === "own" && target === "compressed" && !isPacked(prepared.planned.data)) return false;
      values.store(lineage, prepared);
      return true;
    };
    const rewriteWrite = (row: WriteRow): boolean => {
      const { lineage, thread_id: threadId, checkpoint_ns: ns, checkpoint_id: id, task_id: taskId, idx } = row;
      const place = PLACES.write(threadId, ns, id, taskId, idx);
      const stored = raw.open(fromCell(row.data), place);
      if (isPacked(stored) === (target === "compressed")) return false;
      const cell = toCell(values.sealing.seal(values.sealing.open(fromCell(row.data), place), place));
      if (target === "compressed" && !isPacked(raw.open(fromCell(cell), place))) return false;
      setWrite.run(cell, lineage, id, taskId, idx);
      return true;
    };

    /** @param page rows after one of them @returns how many were rewritten */
    const all = async <R extends Row>(
      page: (after: R | undefined) => readonly R[],
      rewrite: (row: R) => boolean,
      onSlice: (done: number) => void,
    ): Promise<number> => {
      let [after, done, rewritten, isOver]: [R | undefined, number, number, boolean] = [undefined, 0, 0, false];
      const slice = db.transaction(() => {
        const end = performance.now() + SLICE_MS;
        while (!isOver && performance.now() < end) {
          const rows = page(after);
          for (const row of rows) if (rewrite(row)) rewritten += 1;
          after = rows.at(-1) ?? after;
          done += rows.length;
          isOver = rows.length < PAGE_ROWS;
        }
      });
      while (!isOver) {
        slice.immediate();
        onSlice(done);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return rewritten;
    };
    return {
      values: await all<BlobRow>(
        (at) => blobs.all(at?.lineage ?? -1, at?.checkpoint_id ?? "", at?.channel ?? "", PAGE_ROWS),
        rewriteBlob,
        (done) => onProgress("checkpoints: values", done),
      ),
      writes: await all<WriteRow>(
        (at) => writes.all(at?.lineage ?? -1, at?.checkpoint_id ?? "", at?.task_id ?? "", at?.idx ?? 0, PAGE_ROWS),
        rewriteWrite,
        (done) => onProgress("checkpoints: pending writes", done),
      ),
    };
  } finally {
    close();
  }
}
