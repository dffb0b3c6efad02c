import type { Database, Statement } from "better-sqlite3";
import type { BlobRow, Cell, CheckpointRow, ListedRow, WriteRow } from "./sqlite-rows.js";

type Name = readonly [threadId: string, checkpointNs: string];
type Id = readonly [lineage: number, checkpointId: string];

const COLUMNS = "lineage, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, channels";
const TABLES = ["heddle_checkpoints", "heddle_checkpoint_blobs", "heddle_checkpoint_writes"] as const;
const ONE = "lineage = ? AND checkpoint_id = ?";

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

/** One row of {@link CheckpointStatements.lineage}. */
export interface LineageRow {
  readonly checkpoint_id: string;
  readonly parent_checkpoint_id: string | null;
  readonly run_id: string | null;
  readonly metadata: string;
  readonly channels: string;
}

/** The prepared statements of one database. */
export class CheckpointStatements {
  readonly latest: Statement<[lineage: number], CheckpointRow>;
  readonly byId: Statement<[...Id], CheckpointRow>;
  readonly parentOf: Statement<[...Id], { readonly parent_checkpoint_id: string | null }>;
  readonly channelsOf: Statement<[...Id], { readonly channels: string }>;
  readonly lineage: Statement<[lineage: number], LineageRow>;
  readonly blob: Statement<[...Id, channel: string], BlobRow>;
  readonly content: Statement<[content: string], { readonly data: Cell }>;
  readonly blobKeys: Statement<[lineage: number], { readonly checkpoint_id: string; readonly channel: string }>;
  readonly writes: Statement<[...Id], WriteRow>;
  /** Values and writes of neighbouring checkpoints, by the smallest and the largest id. */
  readonly blobsBetween: Statement<
    [lineage: number, from: string, to: string],
    BlobRow & { readonly checkpoint_id: string; readonly channel: string }
  >;
  readonly writesBetween: Statement<
    [lineage: number, from: string, to: string],
    WriteRow & { readonly checkpoint_id: string }
  >;
  readonly putCheckpoint: Statement<
    [...Id, parent: string | null, run: string | null, checkpoint: string, metadata: string, channels: string]
  >;
  readonly putBlob: Statement<[...Id, channel: string, data: Cell, content: string | null]>;
  /** Does nothing where it is: contents never change. */
  readonly putContent: Statement<[content: string, data: Cell]>;
  readonly keepWrite: Statement<[...Id, task: string, idx: number, path: string, channel: string, data: Cell]>;
  readonly replaceWrite: CheckpointStatements["keepWrite"];
  readonly deleteCheckpoint: Statement<[...Id]>;
  readonly deleteWrites: Statement<[...Id]>;
  readonly deleteBlob: Statement<[...Id, channel: string]>;
  readonly #db: Database;
  readonly #lineageOf: Statement<[...Name], number>;
  readonly #addLineage: Statement<[...Name], number>;
  readonly #lineagesOf: Statement<[threadId: string], number>;
  readonly #deletes: readonly Statement<[lineage: number]>[];
  readonly #strays: readonly Statement<[{ readonly threadId: string }]>[];
  readonly #threadIds: Statement<[after: string | null, after: string | null, limit: number], string>;
  readonly #ascending: Statement<[threadId: string, checkpointNs: string, id: string, limit: number], ListedRow>;
  readonly #lists = new Map<string, Statement<unknown[], ListedRow>>();

  constructor(db: Database) {
    this.#db = db;
    const from = "FROM heddle_checkpoints WHERE";
    this.latest = db.prepare(`SELECT ${COLUMNS} ${from} lineage = ? ORDER BY checkpoint_id DESC LIMIT 1`);
    this.byId = db.prepare(`SELECT ${COLUMNS} ${from} ${ONE}`);
    this.parentOf = db.prepare(`SELECT parent_checkpoint_id ${from} ${ONE}`);
    this.channelsOf = db.prepare(`SELECT channels ${from} ${ONE}`);
    this.lineage = db.prepare(
      `SELECT checkpoint_id, parent_checkpoint_id, run_id, metadata, channels ${from} lineage = ? ORDER BY checkpoint_id`,
    );
    this.blob = db.prepare(`SELECT data, content FROM heddle_checkpoint_blobs WHERE ${ONE} AND channel = ?`);
    this.content = db.prepare("SELECT data FROM heddle_checkpoint_contents WHERE content = ?");
    this.blobKeys = db.prepare("SELECT checkpoint_id, channel FROM heddle_checkpoint_blobs WHERE lineage = ?");
    this.writes = db.prepare(
      `SELECT task_id, idx, task_path, channel, data FROM heddle_checkpoint_writes WHERE ${ONE}`,
    );
    const between = "WHERE lineage = ? AND checkpoint_id BETWEEN ? AND ?";
    this.blobsBetween = db.prepare(
      `SELECT checkpoint_id, channel, data, content FROM heddle_checkpoint_blobs ${between}`,
    );
    this.writesBetween = db.prepare(
      `SELECT checkpoint_id, task_id, idx, task_path, channel, data FROM heddle_checkpoint_writes ${between}`,
    );
    this.putCheckpoint = db.prepare(
      `INSERT OR REPLACE INTO heddle_checkpoints
       (lineage, checkpoint_id, parent_checkpoint_id, run_id, checkpoint, metadata, channels) VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.putBlob = db.prepare(
      `INSERT INTO heddle_checkpoint_blobs (lineage, checkpoint_id, channel, data, content) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET data = excluded.data, content = excluded.content`,
    );
    this.putContent = db.prepare(
      "INSERT INTO heddle_checkpoint_contents (content, data) VALUES (?, ?) ON CONFLICT DO NOTHING",
    );
    const write = `INTO heddle_checkpoint_writes
       (lineage, checkpoint_id, task_id, idx, task_path, channel, data) VALUES (?, ?, ?, ?, ?, ?, ?)`;
    this.keepWrite = db.prepare(`INSERT OR IGNORE ${write}`);
    this.replaceWrite = db.prepare(`INSERT OR REPLACE ${write}`);
    this.deleteCheckpoint = db.prepare(`DELETE ${from} ${ONE}`);
    this.deleteWrites = db.prepare(`DELETE FROM heddle_checkpoint_writes WHERE ${ONE}`);
    this.deleteBlob = db.prepare(`DELETE FROM heddle_checkpoint_blobs WHERE ${ONE} AND channel = ?`);
    const lineages = "heddle_checkpoint_lineages";
    this.#lineageOf = db
      .prepare<[...Name], number>(`SELECT lineage FROM ${lineages} WHERE thread_id = ? AND checkpoint_ns = ?`)
      .pluck();
    this.#addLineage = db
      .prepare<[...Name], number>(`INSERT INTO ${lineages} (thread_id, checkpoint_ns) VALUES (?, ?) RETURNING lineage`)
      .pluck();
    this.#lineagesOf = db.prepare<[string], number>(`SELECT lineage FROM ${lineages} WHERE thread_id = ?`).pluck();
    this.#deletes = [...TABLES, lineages].map((table) => db.prepare(`DELETE FROM ${table} WHERE lineage = ?`));
    const ofThread = `SELECT lineage FROM ${lineages} WHERE thread_id = :threadId`;
    this.#strays = [
      `DELETE FROM heddle_checkpoint_writes AS w WHERE w.lineage IN (${ofThread})
         AND NOT EXISTS (SELECT 1 FROM heddle_checkpoints c WHERE c.lineage = w.lineage AND c.checkpoint_id = w.checkpoint_id)
         AND NOT EXISTS (SELECT 1 FROM heddle_checkpoints c WHERE c.lineage IN (${ofThread}) AND c.checkpoint_id <= w.checkpoint_id)`,
      `DELETE FROM ${lineages} AS l WHERE l.thread_id = :threadId
         AND NOT EXISTS (SELECT 1 FROM heddle_checkpoints c WHERE c.lineage = l.lineage)
         AND NOT EXISTS (SELECT 1 FROM heddle_checkpoint_writes w WHERE w.lineage = l.lineage)`,
    ].map((sql) => db.prepare(sql));
    this.#threadIds = db
      .prepare<[string | null, string | null, number], string>(
        `SELECT DISTINCT thread_id FROM ${lineages} AS l WHERE (? IS NULL OR thread_id > ?)
         AND EXISTS (SELECT 1 FROM heddle_checkpoints c WHERE c.lineage = l.lineage) ORDER BY thread_id LIMIT ?`,
      )
      .pluck();
    this.#ascending = db.prepare(
      `SELECT thread_id, checkpoint_ns, ${COLUMNS} FROM ${lineages} JOIN heddle_checkpoints USING (lineage)
       WHERE thread_id = ? AND (checkpoint_ns, checkpoint_id) > (?, ?) ORDER BY checkpoint_ns, checkpoint_id LIMIT ?`,
    );
  }

  lineageOf(threadId: string, checkpointNs: string): number | undefined {
    return this.#lineageOf.get(threadId, checkpointNs);
  }

  /** Looked up each time: another process may have deleted the thread. */
  ensureLineage(threadId: string, checkpointNs: string): number {
    return this.lineageOf(threadId, checkpointNs) ?? (this.#addLineage.get(threadId, checkpointNs) as number);
  }

  lineagesOf(threadId: string): readonly number[] {
    return this.#lineagesOf.all(threadId);
  }

  deleteThread(threadId: string): void {
    for (const lineage of this.lineagesOf(threadId)) {
      for (const statement of this.#deletes) statement.run(lineage);
    }
  }

  /** Writes without a checkpoint that are older than every checkpoint of the thread, and namespaces that are left with nothing. */
  deleteStrays(threadId: string): void {
    for (const statement of this.#strays) statement.run({ threadId });
  }

  /** Threads that have checkpoints, by id. */
  threadIds(after: string | null, limit: number): string[] {
    return this.#threadIds.all(after, after, limit);
  }

  /** Checkpoints of a thread by namespace and id. */
  ascending(
    threadId: string,
    after: { readonly checkpointNs: string; readonly id: string } | null,
    limit: number,
  ): ListedRow[] {
    return this.#ascending.all(threadId, after?.checkpointNs ?? "", after?.id ?? "", limit);
  }

  /** One page of checkpoints, newest first. */
  page(query: ListQuery): ListedRow[] {
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
    if (before !== undefined) where("checkpoint_id < ?", before);
    const single = threadId !== undefined && checkpointNs !== undefined;
    if (after !== undefined && single) where("checkpoint_id < ?", after.checkpoint_id);
    else if (after !== undefined) where("(checkpoint_id, lineage) < (?, ?)", after.checkpoint_id, after.lineage);
    const sql = `SELECT thread_id, checkpoint_ns, ${COLUMNS}
      FROM heddle_checkpoint_lineages JOIN heddle_checkpoints USING (lineage)
      ${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`}
      ORDER BY checkpoint_id DESC${single ? "" : ", lineage DESC"} LIMIT ?`;
    let statement = this.#lists.get(sql);
    if (statement === undefined) this.#lists.set(sql, (statement = this.#db.prepare<unknown[], ListedRow>(sql)));
    return statement.all(...values, query.limit);
  }
}
