import type { Database, Statement } from "better-sqlite3";
import type { Cell, CheckpointRow, WriteRow } from "./sqlite-rows.js";

type Key = readonly [threadId: string, checkpointNs: string];
type CheckpointId = readonly [...Key, checkpointId: string];

const COLUMNS = "thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, channels";
const IN_LINEAGE = "thread_id = ? AND checkpoint_ns = ?";
const ONE = `${IN_LINEAGE} AND checkpoint_id = ?`;

/** What narrows a list, and where its next page starts. */
export interface ListQuery {
  readonly threadId: string | undefined;
  readonly checkpointNs: string | undefined;
  readonly checkpointId: string | undefined;
  /** Only checkpoints with a smaller id. */
  readonly before: string | undefined;
  /** The last row of the page before. */
  readonly after: CheckpointRow | undefined;
  readonly limit: number;
}

/** The prepared statements of one database. */
export class CheckpointStatements {
  readonly latest: Statement<[...Key], CheckpointRow>;
  readonly byId: Statement<[...CheckpointId], CheckpointRow>;
  readonly parentOf: Statement<[...CheckpointId], { readonly parent_checkpoint_id: string | null }>;
  readonly channelsOf: Statement<[...CheckpointId], { readonly channels: string }>;
  readonly lineage: Statement<
    [...Key],
    {
      readonly checkpoint_id: string;
      readonly parent_checkpoint_id: string | null;
      readonly run_id: string | null;
      readonly metadata: string;
      readonly channels: string;
    }
  >;
  readonly namespaces: Statement<[threadId: string], { readonly checkpoint_ns: string }>;
  readonly blob: Statement<[...CheckpointId, channel: string], { readonly data: Cell }>;
  readonly blobKeys: Statement<[...Key], { readonly checkpoint_id: string; readonly channel: string }>;
  readonly writes: Statement<[...CheckpointId], WriteRow>;
  readonly putCheckpoint: Statement<
    [...CheckpointId, parent: string | null, run: string | null, checkpoint: string, metadata: string, channels: string]
  >;
  readonly putBlob: Statement<[...CheckpointId, channel: string, data: Cell]>;
  readonly keepWrite: Statement<
    [...CheckpointId, task: string, idx: number, path: string, channel: string, data: Cell]
  >;
  readonly replaceWrite: CheckpointStatements["keepWrite"];
  readonly deleteCheckpoint: Statement<[...CheckpointId]>;
  readonly deleteWrites: Statement<[...CheckpointId]>;
  readonly deleteBlob: Statement<[...CheckpointId, channel: string]>;
  readonly #db: Database;
  readonly #lists = new Map<string, Statement<unknown[], CheckpointRow>>();
  readonly #threadDeletes: readonly Statement<[string]>[];
  readonly #copies: readonly Statement<unknown[]>[];

  constructor(db: Database) {
    this.#db = db;
    const from = "FROM heddle_checkpoints WHERE";
    this.latest = db.prepare(`SELECT ${COLUMNS} ${from} ${IN_LINEAGE} ORDER BY checkpoint_id DESC LIMIT 1`);
    this.byId = db.prepare(`SELECT ${COLUMNS} ${from} ${ONE}`);
    this.parentOf = db.prepare(`SELECT parent_checkpoint_id ${from} ${ONE}`);
    this.channelsOf = db.prepare(`SELECT channels ${from} ${ONE}`);
    this.lineage = db.prepare(
      `SELECT checkpoint_id, parent_checkpoint_id, run_id, metadata, channels ${from} ${IN_LINEAGE} ORDER BY checkpoint_id`,
    );
    this.namespaces = db.prepare(`SELECT DISTINCT checkpoint_ns ${from} thread_id = ?`);
    this.blob = db.prepare(`SELECT data FROM heddle_checkpoint_blobs WHERE ${ONE} AND channel = ?`);
    this.blobKeys = db.prepare(`SELECT checkpoint_id, channel FROM heddle_checkpoint_blobs WHERE ${IN_LINEAGE}`);
    this.writes = db.prepare(
      `SELECT task_id, idx, task_path, channel, data FROM heddle_checkpoint_writes WHERE ${ONE}`,
    );
    this.putCheckpoint = db.prepare(
      `INSERT OR REPLACE INTO heddle_checkpoints
       (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, checkpoint, metadata, channels)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.putBlob = db.prepare(
      `INSERT OR REPLACE INTO heddle_checkpoint_blobs (thread_id, checkpoint_ns, checkpoint_id, channel, data)
       VALUES (?, ?, ?, ?, ?)`,
    );
    const write = `INTO heddle_checkpoint_writes
       (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;
    this.keepWrite = db.prepare(`INSERT OR IGNORE ${write}`);
    this.replaceWrite = db.prepare(`INSERT OR REPLACE ${write}`);
    this.deleteCheckpoint = db.prepare(`DELETE ${from} ${ONE}`);
    this.deleteWrites = db.prepare(`DELETE FROM heddle_checkpoint_writes WHERE ${ONE}`);
    this.deleteBlob = db.prepare(`DELETE FROM heddle_checkpoint_blobs WHERE ${ONE} AND channel = ?`);
    this.#threadDeletes = ["heddle_checkpoints", "heddle_checkpoint_blobs", "heddle_checkpoint_writes"].map((table) =>
      db.prepare<[string]>(`DELETE FROM ${table} WHERE thread_id = ?`),
    );
    this.#copies = [
      `INSERT INTO heddle_checkpoints
         SELECT @to, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, checkpoint,
                replace(metadata, @fromJson, @toJson), channels
         FROM heddle_checkpoints WHERE thread_id = @from`,
      `INSERT INTO heddle_checkpoint_blobs
         SELECT @to, checkpoint_ns, checkpoint_id, channel, data FROM heddle_checkpoint_blobs WHERE thread_id = @from`,
      `INSERT INTO heddle_checkpoint_writes
         SELECT @to, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel, data
         FROM heddle_checkpoint_writes WHERE thread_id = @from`,
    ].map((sql) => db.prepare(sql));
  }

  deleteThread(threadId: string): void {
    for (const statement of this.#threadDeletes) statement.run(threadId);
  }

  /** Metadata's whole strings that equal the old thread id become the new one. */
  copyThread(from: string, to: string): void {
    const names = { from, to, fromJson: JSON.stringify(from), toJson: JSON.stringify(to) };
    for (const [at, statement] of this.#copies.entries()) {
      const { fromJson: _f, toJson: _t, ...keys } = names;
      statement.run(at === 0 ? names : keys);
    }
  }

  /** One page of checkpoints, newest first. */
  page(query: ListQuery): CheckpointRow[] {
    const conditions: string[] = [];
    const values: unknown[] = [];
    const where = (condition: string, ...bound: readonly unknown[]): void => {
      conditions.push(condition);
      values.push(...bound);
    };
    const { threadId, checkpointNs, checkpointId, before, after } = query;
    if (threadId !== undefined) where("thread_id = ?", threadId);
    if (checkpointNs !== undefined) where("checkpoint_ns = ?", checkpointNs);
    if (checkpointId !== undefined) where("checkpoint_id = ?", checkpointId);
    const inLineage = threadId !== undefined && checkpointNs !== undefined;
    if (before !== undefined) where("checkpoint_id < ?", before);
    if (after !== undefined && inLineage) where("checkpoint_id < ?", after.checkpoint_id);
    else if (after !== undefined) {
      where(
        "(checkpoint_id, thread_id, checkpoint_ns) < (?, ?, ?)",
        after.checkpoint_id,
        after.thread_id,
        after.checkpoint_ns,
      );
    }
    const order = inLineage ? "checkpoint_id DESC" : "checkpoint_id DESC, thread_id DESC, checkpoint_ns DESC";
    const filter = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const sql = `SELECT ${COLUMNS} FROM heddle_checkpoints ${filter} ORDER BY ${order} LIMIT ?`;
    let statement = this.#lists.get(sql);
    if (statement === undefined) this.#lists.set(sql, (statement = this.#db.prepare<unknown[], CheckpointRow>(sql)));
    return statement.all(...values, query.limit);
  }
}
