import type { Database, Statement } from "better-sqlite3";
import type { Checkpointer, CheckpointsKept, PruneReport, ThreadStorage } from "../core/checkpointer.js";
import { readMetadata } from "./checkpoint-metadata.js";
import { keptIds, type LineageCheckpoint } from "./kept-checkpoints.js";
import { decodeChannels } from "./sqlite-rows.js";
import type { CheckpointHeader } from "./stored-checkpoint.js";

/** How long one slice may keep this process and other writers of the database waiting. */
const SLICE_MS = 8;
/** Rows that are read or removed before the clock is looked at. */
const SLICE_ROWS = 16;
const PAGE_ROWS = 500;
/** Rows whose metadata SQLite searches at once. */
const DELTA_PAGE_ROWS = 2_000;

interface PlanRow {
  readonly checkpoint_id: string;
  readonly parent_checkpoint_id: string | null;
  readonly checkpoint: string;
  readonly metadata: string;
  readonly channels: string;
}

interface BlobRow {
  readonly checkpoint_id: string;
  readonly channel: string;
  readonly bytes: number;
  readonly content: string | null;
}

/** What of one lineage stays. */
export interface Kept {
  readonly ids: ReadonlySet<string>;
  /** The largest id when it was looked at: what is newer stays as well. */
  readonly newest: string;
  /** Values that the kept ones have, as {@link refName} names them. */
  readonly refs: ReadonlySet<string>;
}

interface Sum {
  checkpoints: number;
  writes: number;
  values: number;
  bytes: number;
}

interface IdRange {
  readonly lineage: number;
  readonly before: string;
  readonly limit: number;
}

/** How steps are carried out. */
interface Slices {
  /** Without a transaction: nothing is written. */
  readonly dryRun: boolean;
  /** Asked before each slice. */
  mayGoOn(): Promise<boolean>;
}

type Id = [lineage: number, checkpointId: string];

const CHECKPOINT_BYTES = "octet_length(checkpoint) + octet_length(metadata) + octet_length(channels)";
const DATA_BYTES = "octet_length(data)";

/**
 * Prunes and measures threads of a SQLite file. Works in slices of some milliseconds, each a transaction of its own: nothing is
 * held in between, and whoever dies half way leaves a thread that reads the same.
 */
export class SqliteRetention {
  readonly #db: Database;
  readonly #write: <T>(step: () => T) => T;
  readonly #lineages: Statement<[threadId: string], number>;
  readonly #newest: Statement<[lineage: number, limit: number], PlanRow>;
  readonly #page: Statement<[lineage: number, after: string, limit: number], PlanRow>;
  readonly #deltaPage: Statement<Id, { readonly found: number | null; readonly last: string | null }>;
  readonly #idsBefore: Statement<[IdRange], string>;
  readonly #newer: Statement<Id, { readonly checkpoint_id: string; readonly channels: string }>;
  readonly #blobs: Statement<[...Id, channel: string, newest: string, limit: number], BlobRow>;
  readonly #contentBytes: Statement<[content: string], number>;
  readonly #checkpoint: Record<"count" | "remove", Statement<Id, number>>;
  readonly #writesOf: Record<"count" | "remove", Statement<Id, number>>;
  readonly #removeBlob: Statement<[...Id, channel: string]>;
  readonly #totals: readonly Statement<[threadId: string], { readonly count: number; readonly bytes: number }>[];
  readonly #channels: Statement<[string], { readonly channel: string; readonly count: number; readonly bytes: number }>;

  /** @param write carries a step out in a transaction of its own that may write */
  constructor(db: Database, write: <T>(step: () => T) => T) {
    this.#db = db;
    this.#write = write;
    const one = "WHERE lineage = ? AND checkpoint_id = ?";
    const plan = "SELECT checkpoint_id, parent_checkpoint_id, checkpoint, metadata, channels FROM heddle_checkpoints";
    this.#lineages = db
      .prepare<[string], number>("SELECT lineage FROM heddle_checkpoint_lineages WHERE thread_id = ?")
      .pluck();
    this.#newest = db.prepare(`${plan} WHERE lineage = ? ORDER BY checkpoint_id DESC LIMIT ?`);
    this.#page = db.prepare(`${plan} WHERE lineage = ? AND checkpoint_id > ? ORDER BY checkpoint_id LIMIT ?`);
    this.#deltaPage = db.prepare(
      `SELECT max(instr(metadata, '"counters_since_delta_snapshot"') > 0) AS found, max(checkpoint_id) AS last
       FROM (SELECT checkpoint_id, metadata FROM heddle_checkpoints WHERE lineage = ? AND checkpoint_id > ?
         ORDER BY checkpoint_id LIMIT ${DELTA_PAGE_ROWS})`,
    );
    // Also ids of writes whose checkpoint was never stored. Each arm has its own limit: SQLite would collect all of both first.
    const arm = (table: string): string =>
      `SELECT DISTINCT checkpoint_id FROM ${table}
       WHERE lineage = @lineage AND checkpoint_id < @before ORDER BY checkpoint_id DESC LIMIT @limit`;
    this.#idsBefore = db
      .prepare<[IdRange], string>(
        `SELECT checkpoint_id FROM (${arm("heddle_checkpoints")})
         UNION SELECT checkpoint_id FROM (${arm("heddle_checkpoint_writes")}) ORDER BY checkpoint_id DESC LIMIT @limit`,
      )
      .pluck();
    this.#newer = db.prepare(
      "SELECT checkpoint_id, channels FROM heddle_checkpoints WHERE lineage = ? AND checkpoint_id > ?",
    );
    this.#blobs = db.prepare(
      `SELECT checkpoint_id, channel, ${DATA_BYTES} AS bytes, content FROM heddle_checkpoint_blobs
       WHERE lineage = ? AND (checkpoint_id, channel) > (?, ?) AND checkpoint_id <= ?
       ORDER BY checkpoint_id, channel LIMIT ?`,
    );
    this.#contentBytes = db
      .prepare<[string], number>(`SELECT ${DATA_BYTES} FROM heddle_checkpoint_contents WHERE content = ?`)
      .pluck();
    const both = (table: string, bytes: string): Record<"count" | "remove", Statement<Id, number>> => ({
      count: db.prepare<Id, number>(`SELECT ${bytes} FROM ${table} ${one}`).pluck(),
      remove: db.prepare<Id, number>(`DELETE FROM ${table} ${one} RETURNING ${bytes}`).pluck(),
    });
    this.#checkpoint = both("heddle_checkpoints", CHECKPOINT_BYTES);
    this.#writesOf = both("heddle_checkpoint_writes", DATA_BYTES);
    this.#removeBlob = db.prepare(`DELETE FROM heddle_checkpoint_blobs ${one} AND channel = ?`);
    const total = (table: string, bytes: string) =>
      db.prepare<[string], { readonly count: number; readonly bytes: number }>(
        `SELECT count(*) AS count, ifnull(sum(${bytes}), 0) AS bytes
         FROM heddle_checkpoint_lineages JOIN ${table} USING (lineage) WHERE thread_id = ?`,
      );
    this.#totals = [total("heddle_checkpoints", CHECKPOINT_BYTES), total("heddle_checkpoint_writes", DATA_BYTES)];
    this.#channels = db.prepare(
      `WITH own AS (
         SELECT lineage, channel, ${DATA_BYTES} AS bytes, content
         FROM heddle_checkpoint_lineages JOIN heddle_checkpoint_blobs USING (lineage) WHERE thread_id = ?
       ), shared AS (SELECT DISTINCT lineage, channel, content FROM own WHERE content IS NOT NULL)
       SELECT channel, sum(count) AS count, sum(bytes) AS bytes FROM (
         SELECT channel, count(*) AS count, sum(bytes) AS bytes FROM own GROUP BY channel
         UNION ALL
         SELECT channel, 0, sum(${DATA_BYTES}) FROM shared JOIN heddle_checkpoint_contents USING (content) GROUP BY channel
       ) GROUP BY channel ORDER BY channel`,
    );
  }

  /** As `Checkpointer.prune` says. */
  async prune(params: Parameters<Checkpointer["prune"]>[0]): Promise<PruneReport> {
    const { threadId, keep, dryRun, mayRemove } = params;
    const sum: Sum = { checkpoints: 0, writes: 0, values: 0, bytes: 0 };
    const plans: { readonly lineage: number; readonly kept: Kept }[] = [];
    for (const lineage of this.#lineages.all(threadId)) {
      const kept = await this.kept(lineage, keep);
      if (kept !== null) plans.push({ lineage, kept });
    }
    const slices: Slices = { dryRun, mayGoOn: async () => dryRun || mayRemove === undefined || mayRemove() };
    for (const { lineage, kept } of plans) {
      const isDone =
        (await this.#pruneCheckpoints(lineage, kept, slices, sum)) &&
        (await this.#pruneValues(lineage, kept, slices, sum));
      if (!isDone) break;
    }
    return sum;
  }

  /** As `Checkpointer.storage` says. */
  storage(threadId: string): ThreadStorage {
    const read = this.#db.transaction(() => {
      const [checkpoints, pendingWrites] = this.#totals.map((statement) => statement.get(threadId));
      return { checkpoints, pendingWrites, channels: this.#channels.all(threadId) };
    });
    const { checkpoints = NOTHING, pendingWrites = NOTHING, channels } = read.deferred();
    const values = {
      count: channels.reduce((total, { count }) => total + count, 0),
      bytes: channels.reduce((total, { bytes }) => total + bytes, 0),
      byChannel: new Map(channels.map(({ channel, count, bytes }) => [channel, { versions: count, bytes }])),
    };
    const totalBytes = checkpoints.bytes + values.bytes + pendingWrites.bytes;
    return { totalBytes, checkpoints, channelValues: values, pendingWrites };
  }

  /** @returns `null` for a lineage without checkpoints */
  async kept(lineage: number, keep: CheckpointsKept): Promise<Kept | null> {
    const count = keep.kind === "latest" ? 1 : keep.count;
    const rows = this.#newest.all(lineage, count);
    const [newest] = rows;
    if (newest === undefined) return null;
    // Without delta channels and old formats it is the newest ones, and the others need not be read.
    const isSimple = rows.every((row) => formatOf(row) >= 4) && !(await this.#hasDelta(lineage));
    const all = isSimple ? rows : await this.#all(lineage, newest.checkpoint_id);
    const ids = isSimple ? new Set(rows.map((row) => row.checkpoint_id)) : keptIds(all.map(toLineage), keep);
    const refs = new Set<string>();
    for (const row of all) if (ids.has(row.checkpoint_id)) addRefs(refs, row);
    return { ids, refs, newest: newest.checkpoint_id };
  }

  async #hasDelta(lineage: number): Promise<boolean> {
    for (let after = ""; ;) {
      const page = this.#deltaPage.get(lineage, after);
      if (page?.found === 1) return true;
      if (page === undefined || page.last === null) return false;
      after = page.last;
      await nextTurn();
    }
  }

  async #all(lineage: number, newest: string): Promise<readonly PlanRow[]> {
    const rows: PlanRow[] = [];
    for (let after = ""; ;) {
      const page = this.#page.all(lineage, after, PAGE_ROWS);
      rows.push(...page.filter((row) => row.checkpoint_id <= newest));
      const last = page.at(-1);
      if (last === undefined || last.checkpoint_id >= newest) return rows;
      after = last.checkpoint_id;
      await nextTurn();
    }
  }

  /** The newest first: as long as a checkpoint is there, so is all that its DeltaChannels are rebuilt from. */
  async #pruneCheckpoints(lineage: number, kept: Kept, slices: Slices, sum: Sum): Promise<boolean> {
    const how = slices.dryRun ? "count" : "remove";
    // What is newer stays.
    let before = `${kept.newest}\u0000`;
    return this.#inSlices(slices, () => {
      const ids = this.#idsBefore.all({ lineage, before, limit: SLICE_ROWS });
      for (const id of ids) {
        before = id;
        if (kept.ids.has(id)) continue;
        const checkpoints = this.#checkpoint[how].all(lineage, id);
        const writes = this.#writesOf[how].all(lineage, id);
        sum.checkpoints += checkpoints.length;
        sum.writes += writes.length;
        for (const bytes of [...checkpoints, ...writes]) sum.bytes += bytes;
      }
      return ids.length === SLICE_ROWS;
    });
  }

  /** Values that no checkpoint has that is left, also those that an earlier prune did not come to. */
  async #pruneValues(lineage: number, kept: Kept, slices: Slices, sum: Sum): Promise<boolean> {
    let place: readonly [id: string, channel: string] = ["", ""];
    const removed = new Map<string, number>();
    const used = new Set<string>();
    let refs: ReadonlySet<string> | undefined;
    const isDone = await this.#inSlices(
      slices,
      () => {
        refs ??= this.#refsNow(lineage, kept);
        const rows = this.#blobs.all(lineage, ...place, kept.newest, SLICE_ROWS);
        for (const { checkpoint_id: id, channel, bytes, content } of rows) {
          place = [id, channel];
          if (refs.has(refName(id, channel))) {
            if (content !== null) used.add(content);
            continue;
          }
          if (content !== null && !removed.has(content)) removed.set(content, this.#contentBytes.get(content) ?? 0);
          sum.values += 1;
          sum.bytes += bytes;
          if (!slices.dryRun) this.#removeBlob.run(lineage, id, channel);
        }
        return rows.length === SLICE_ROWS;
      },
      () => (refs = undefined),
    );
    for (const [content, bytes] of removed) if (!used.has(content)) sum.bytes += bytes;
    return isDone;
  }

  /** With what was put meanwhile: a fork may have values of a checkpoint that was to go. */
  #refsNow(lineage: number, kept: Kept): ReadonlySet<string> {
    const newer = this.#newer.all(lineage, kept.newest);
    if (newer.length === 0) return kept.refs;
    const refs = new Set(kept.refs);
    for (const row of newer) addRefs(refs, row);
    return refs;
  }

  /**
   * @param step does a little, and says whether there is more
   * @returns false when it was stopped
   */
  async #inSlices({ dryRun, mayGoOn }: Slices, step: () => boolean, onSlice?: () => void): Promise<boolean> {
    const slice = (): boolean => {
      const end = performance.now() + SLICE_MS;
      while (step()) if (performance.now() >= end) return true;
      return false;
    };
    for (;;) {
      if (!(await mayGoOn())) return false;
      onSlice?.();
      if (!(dryRun ? slice() : this.#write(slice))) return true;
      await nextTurn();
    }
  }
}

const NOTHING = { count: 0, bytes: 0 };

const refName = (origin: string, channel: string): string => `${origin} ${channel}`;

function addRefs(refs: Set<string>, row: Pick<PlanRow, "checkpoint_id" | "channels">): void {
  for (const { origin, channel } of decodeChannels(row.channels, row.checkpoint_id)) refs.add(refName(origin, channel));
}

function formatOf(row: PlanRow): number {
  const [, v] = /^\{"v":(\d+),/.exec(row.checkpoint) ?? [];
  return v === undefined ? (JSON.parse(row.checkpoint) as CheckpointHeader).v : Number(v);
}

function toLineage(row: PlanRow): LineageCheckpoint {
  let stored: ReadonlySet<string> | undefined;
  const header = JSON.parse(row.checkpoint) as CheckpointHeader;
  const channels = (): ReadonlySet<string> =>
    (stored ??= new Set(decodeChannels(row.channels, row.checkpoint_id).map(({ channel }) => channel)));
  return {
    id: row.checkpoint_id,
    parentId: row.parent_checkpoint_id ?? undefined,
    metadata: readMetadata(row.metadata),
    v: header.v,
    stores: (channel) => channels().has(channel),
    knows: (channel) => Object.hasOwn(header.channel_versions, channel),
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
