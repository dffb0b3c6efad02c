import type { Database, Statement } from "better-sqlite3";
import { readMetadata } from "./checkpoint-metadata.js";
import { PLACES, renamed, secretKeysOf, type Sealing } from "./sealing.js";
import type { Kept } from "./sqlite-retention.js";
import { fromCell, toCell, type Cell } from "./sqlite-rows.js";

interface Lineage {
  readonly lineage: number;
  readonly checkpoint_ns: string;
}

interface Names {
  readonly old: number;
  readonly new: number;
  readonly fromJson: string;
  readonly toJson: string;
  /** JSON lists; `null`: all. */
  readonly ids: string | null;
  readonly refs: string | null;
}

/** Copies threads inside a SQLite file. What the values of both share is stored once. */
export class SqliteCopy {
  readonly #sealing: Sealing;
  readonly #lineages: Statement<[threadId: string], Lineage>;
  readonly #addLineage: Statement<[threadId: string, checkpointNs: string], number>;
  readonly #copies: readonly Statement<[Names]>[];
  readonly #metadata: Statement<[lineage: number], { readonly checkpoint_id: string; readonly metadata: string }>;
  readonly #setMetadata: Statement<[metadata: string, lineage: number, id: string]>;
  readonly #blobs: Statement<
    [number],
    { readonly checkpoint_id: string; readonly channel: string; readonly data: Cell }
  >;
  readonly #setBlob: Statement<[data: Cell, lineage: number, id: string, channel: string]>;
  readonly #writes: Statement<[number], { readonly checkpoint_id: string; readonly task_id: string; readonly idx: number; readonly data: Cell }>; // prettier-ignore
  readonly #setWrite: Statement<[data: Cell, lineage: number, id: string, taskId: string, idx: number]>;

  /** @param sealing of stored values: does not unpack them */
  constructor(db: Database, sealing: Sealing) {
    this.#sealing = sealing;
    this.#lineages = db.prepare("SELECT lineage, checkpoint_ns FROM heddle_checkpoint_lineages WHERE thread_id = ?");
    this.#addLineage = db
      .prepare<[string, string], number>(
        "INSERT INTO heddle_checkpoint_lineages (thread_id, checkpoint_ns) VALUES (?, ?) RETURNING lineage",
      )
      .pluck();
    const ids = "(@ids IS NULL OR checkpoint_id IN (SELECT value FROM json_each(@ids)))";
    const refs = "(@refs IS NULL OR checkpoint_id || ' ' || channel IN (SELECT value FROM json_each(@refs)))";
    this.#copies = [
      `INSERT INTO heddle_checkpoints
         (lineage, checkpoint_id, parent_checkpoint_id, run_id, checkpoint, metadata, channels)
       SELECT @new, checkpoint_id, parent_checkpoint_id, run_id, checkpoint, replace(metadata, @fromJson, @toJson), channels
       FROM heddle_checkpoints WHERE lineage = @old AND ${ids}`,
      `INSERT INTO heddle_checkpoint_blobs (lineage, checkpoint_id, channel, data, content)
       SELECT @new, checkpoint_id, channel, data, content FROM heddle_checkpoint_blobs WHERE lineage = @old AND ${refs}`,
      `INSERT INTO heddle_checkpoint_writes (lineage, checkpoint_id, task_id, idx, task_path, channel, data)
       SELECT @new, checkpoint_id, task_id, idx, task_path, channel, data
       FROM heddle_checkpoint_writes WHERE lineage = @old AND ${ids}`,
    ].map((sql) => db.prepare(sql));
    this.#metadata = db.prepare("SELECT checkpoint_id, metadata FROM heddle_checkpoints WHERE lineage = ?");
    this.#setMetadata = db.prepare(
      "UPDATE heddle_checkpoints SET metadata = ? WHERE lineage = ? AND checkpoint_id = ?",
    );
    this.#blobs = db.prepare("SELECT checkpoint_id, channel, data FROM heddle_checkpoint_blobs WHERE lineage = ?");
    this.#setBlob = db.prepare(
      "UPDATE heddle_checkpoint_blobs SET data = ? WHERE lineage = ? AND checkpoint_id = ? AND channel = ?",
    );
    this.#writes = db.prepare(
      "SELECT checkpoint_id, task_id, idx, data FROM heddle_checkpoint_writes WHERE lineage = ?",
    );
    this.#setWrite = db.prepare(
      `UPDATE heddle_checkpoint_writes SET data = ?
       WHERE lineage = ? AND checkpoint_id = ? AND task_id = ? AND idx = ?`,
    );
  }

  /**
   * To a thread that has nothing, inside a transaction. Whole strings of metadata that equal the old thread's id become the new one.
   * @param kept by lineage what is copied; absent: everything
   */
  copy(from: string, to: string, kept: ReadonlyMap<number, Kept> | undefined): void {
    for (const { lineage, checkpoint_ns: checkpointNs } of this.#lineages.all(from)) {
      const part = kept?.get(lineage);
      if (kept !== undefined && part === undefined) continue;
      const target = this.#addLineage.get(to, checkpointNs) as number;
      const names: Names = {
        old: lineage,
        new: target,
        fromJson: JSON.stringify(from),
        toJson: JSON.stringify(to),
        ids: part === undefined ? null : JSON.stringify([...part.ids]),
        refs: part === undefined ? null : JSON.stringify([...part.refs]),
      };
      for (const statement of this.#copies) statement.run(names);
      if (this.#sealing.enabled) this.#sealAnew(target, { from, to, checkpointNs });
    }
  }

  /** What is sealed opens only under its thread's id. Contents are no thread's own, and stay. */
  #sealAnew(
    lineage: number,
    names: { readonly from: string; readonly to: string; readonly checkpointNs: string },
  ): void {
    const { from, to, checkpointNs: ns } = names;
    const sealing = this.#sealing;
    const moved = (data: Cell, placeOf: (threadId: string) => Parameters<Sealing["open"]>[1]): Cell =>
      toCell(sealing.seal(sealing.open(fromCell(data), placeOf(from)), placeOf(to)));
    for (const { checkpoint_id: id, metadata: text } of this.#metadata.all(lineage)) {
      const opened = sealing.openMetadata(readMetadata(text), PLACES.metadata(from, ns, id));
      const metadata = renamed(opened.metadata, from, to);
      const { sealedKeys } = opened;
      const secretKeys = secretKeysOf({ metadata, ...(sealedKeys !== undefined && { sealedKeys }) });
      const sealed = sealing.sealMetadata(metadata, secretKeys, PLACES.metadata(to, ns, id));
      this.#setMetadata.run(JSON.stringify(sealed), lineage, id);
    }
    for (const { checkpoint_id: id, channel, data } of this.#blobs.all(lineage)) {
      const cell = moved(data, (threadId) => PLACES.value(threadId, ns, channel, id));
      this.#setBlob.run(cell, lineage, id, channel);
    }
    for (const { checkpoint_id: id, task_id: taskId, idx, data } of this.#writes.all(lineage)) {
      const cell = moved(data, (threadId) => PLACES.write(threadId, ns, id, taskId, idx));
      this.#setWrite.run(cell, lineage, id, taskId, idx);
    }
  }
}
