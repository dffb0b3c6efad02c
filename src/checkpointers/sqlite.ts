import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type DeltaChannelHistory,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { leaseOf, type Checkpointer, type CheckpointsKept, type Saver } from "../core/checkpointer.js";
import type { DriverContext } from "../core/driver.js";
import { HeddleError } from "../core/errors.js";
import { migrate } from "../databases/sqlite/migrate.js";
import { openSqlite, type SqliteDatabase } from "../databases/sqlite/open.js";
import { metadataText, runIdOf } from "./checkpoint-metadata.js";
import { deltaChannelHistory } from "./delta-history.js";
import { beforeId, configOf, listKey, putKey, readKey, writesKey } from "./saver-config.js";
import { PLACES, sealingWith, type Sealing } from "./sealing.js";
import { CheckpointSerde, type Encoded } from "./serde.js";
import { SqliteCopy } from "./sqlite-copy.js";
import { LeaseGuard } from "./sqlite-lease.js";
import { MAX_PAGE_ROWS, SqliteReader } from "./sqlite-reader.js";
import { deleteRun } from "./sqlite-delete-run.js";
import { SqliteRetention, type Kept } from "./sqlite-retention.js";
import {
  decodeChannels,
  encodeChannels,
  sameCell,
  toCell,
  type ChannelRef,
  type CheckpointName,
  type CheckpointRow,
} from "./sqlite-rows.js";
import { CHECKPOINT_MIGRATIONS } from "./sqlite-schema.js";
import { CheckpointStatements } from "./sqlite-statements.js";
import { writeCheckpoint } from "./sqlite-transfer.js";
import { SqliteValues, type PreparedValue } from "./sqlite-values.js";
import { headerText, toTuple, versionOf, writeIndex, type CheckpointParts } from "./stored-checkpoint.js";
import type { CheckpointTransfer } from "./transfer.js";

/**
 * Open the SQLite checkpointer, making its tables. Several processes may open one file at the same time.
 * @param uri as {@link openSqlite} takes it
 * @throws HeddleError `CONFIG_INVALID`, `STORAGE_UNAVAILABLE`
 */
export async function openSqliteCheckpointer(uri: string, context: DriverContext): Promise<Checkpointer> {
  const database = await openSqlite(uri, context);
  try {
    migrate(database.db, "checkpoints", CHECKPOINT_MIGRATIONS);
    const saver = new HeddleSqliteSaver(database, {
      sealing: sealingWith(context.cipher),
      compress: context.compressCheckpoints ?? true,
    });
    return {
      saver: saver as Saver,
      durable: database.path !== ":memory:",
      get fenced() {
        return saver.isFenced();
      },
      deleteRun: async (params) => saver.deleteRun(params),
      deleteThread: (threadId) => saver.deleteThread(threadId),
      copyThread: (params) => saver.copyThread(params),
      prune: (params) => saver.retention.prune(params),
      storage: async (threadId) => saver.retention.storage(threadId),
      close: async () => database.close(),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Checkpoints in SQLite: a channel's value is kept once per version, as in PostgresSaver's tables; values are JSON text
 * that JsonPlusSerializer reads. Every put is one transaction, which also checks the run's lease when the run row is in the
 * same database ({@link LeaseGuard}).
 */
class HeddleSqliteSaver extends BaseCheckpointSaver implements CheckpointTransfer {
  declare serde: CheckpointSerde;
  readonly #sql: CheckpointStatements;
  readonly #lease: LeaseGuard;
  readonly #reader: SqliteReader;
  readonly retention: SqliteRetention;
  readonly #copy: SqliteCopy;
  readonly #values: SqliteValues;
  /** Packs and seals what is neither a value nor shared. */
  readonly #sealing: Sealing;
  readonly #read: <T>(step: () => T) => T;
  readonly #write: <T>(step: () => T) => T;

  constructor(database: SqliteDatabase, options: { readonly sealing: Sealing; readonly compress: boolean }) {
    super(new CheckpointSerde());
    const { sealing, compress } = options;
    this.#sql = new CheckpointStatements(database.db);
    this.#lease = new LeaseGuard(database);
    this.#values = new SqliteValues(this.#sql, sealing, { compress });
    this.#sealing = this.#values.sealing;
    this.#reader = new SqliteReader(this.#sql, this.#sealing, this.#values.sharing);
    this.#copy = new SqliteCopy(database.db, sealing);
    const transaction = database.db.transaction((step: () => unknown) => step());
    this.#read = guarded(transaction.deferred as <T>(step: () => T) => T);
    this.#write = guarded(transaction.immediate as <T>(step: () => T) => T);
    this.retention = new SqliteRetention(database.db, this.#write);
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const key = readKey(config);
    if (key === undefined) return undefined;
    const { threadId, checkpointNs, checkpointId } = key;
    const parts = this.#read(() => {
      const lineage = this.#sql.lineageOf(threadId, checkpointNs);
      if (lineage === undefined) return undefined;
      const row =
        checkpointId === undefined ? this.#sql.latest.get(lineage) : this.#sql.byId.get(lineage, checkpointId);
      return (
        row &&
        this.#reader.one(
          { ...row, thread_id: threadId, checkpoint_ns: checkpointNs },
          // The newest one: the next put goes on from it.
          { remember: checkpointId === undefined },
        )
      );
    });
    return parts && toTuple(this.serde, parts);
  }

  override async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const narrow = { ...listKey(config), before: beforeId(options.before) };
    let left = options.limit ?? Infinity;
    let after: CheckpointRow | undefined;
    while (left > 0) {
      const limit = options.filter === undefined ? Math.min(left, MAX_PAGE_ROWS) : MAX_PAGE_ROWS;
      const [query, wanted] = [{ ...narrow, after, limit }, left];
      const { last, found, rows } = this.#read(() => this.#reader.page(query, options.filter, wanted));
      for (const parts of found) yield await toTuple(this.serde, parts);
      left -= found.length;
      after = last;
      if (rows < limit) return;
    }
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { threadId, checkpointNs, checkpointId: parentId } = putKey(config);
    const { id } = checkpoint;
    // Serialised before the lock is taken.
    const fresh: { readonly ref: ChannelRef; readonly value: PreparedValue | Promise<PreparedValue> }[] = [];
    const carried: ChannelRef[] = [];
    for (const [channel, value] of Object.entries(checkpoint.channel_values ?? {})) {
      const version = versionOf(checkpoint.channel_versions, channel);
      // Defaults that no task has written yet.
      if (version === undefined) continue;
      const ref = { channel, version, origin: id };
      if (Object.hasOwn(newVersions, channel)) {
        const place = { threadId, checkpointNs, channel };
        fresh.push({ ref, value: this.#values.prepare(place, id, this.serde.encode(value)) });
      } else carried.push(ref);
    }
    const header = headerText(checkpoint);
    const secretKeys = Object.keys(config.configurable ?? {});
    const stored = this.#sealing.sealMetadata(metadata, secretKeys, PLACES.metadata(threadId, checkpointNs, id));
    const metadataJson = metadataText(this.serde, stored);
    const runId = runIdOf(metadata) ?? null;
    const prepared: PreparedValue[] = [];
    for (const { value } of fresh) prepared.push(value instanceof Promise ? await value : value);
    this.#write(() => {
      this.#lease.assertHeld(leaseOf(config.configurable));
      const lineage = this.#sql.ensureLineage(threadId, checkpointNs);
      for (const value of prepared) this.#values.store(lineage, value);
      const refs = fresh.map(({ ref }) => ref);
      if (carried.length > 0)
        refs.push(...this.#carried({ threadId, checkpointNs }, lineage, parentId, checkpoint, carried));
      const channels = encodeChannels(refs, id);
      this.#sql.putCheckpoint.run(lineage, id, parentId ?? null, runId, header, metadataJson, channels);
    });
    return configOf(threadId, checkpointNs, id);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = "",
  ): Promise<void> {
    const { threadId, checkpointNs, checkpointId } = writesKey(config);
    const cells = writes.map(([channel, value], position) => {
      const place = PLACES.write(threadId, checkpointNs, checkpointId, taskId, writeIndex(channel, position));
      return toCell(this.#sealing.seal(this.serde.encode(value), place));
    });
    this.#write(() => {
      this.#lease.assertHeld(leaseOf(config.configurable));
      const lineage = this.#sql.ensureLineage(threadId, checkpointNs);
      writes.forEach(([channel], position) => {
        const idx = writeIndex(channel, position);
        const statement = idx >= 0 ? this.#sql.keepWrite : this.#sql.replaceWrite;
        const cell = cells[position] ?? "null";
        statement.run(lineage, checkpointId, taskId, idx, taskPath, channel, cell);
      });
    });
  }

  override async deleteThread(threadId: string): Promise<void> {
    this.#write(() => this.#sql.deleteThread(threadId));
  }

  override async getDeltaChannelHistory(options: {
    config: RunnableConfig;
    channels: string[];
  }): Promise<Record<string, DeltaChannelHistory>> {
    const key = readKey(options.config);
    const lineage = key && this.#sql.lineageOf(key.threadId, key.checkpointNs);
    if (key === undefined || lineage === undefined)
      return deltaChannelHistory(this.serde, NOTHING, undefined, options.channels);
    const refs = new Map<string, readonly ChannelRef[]>();
    const reader = {
      parentOf: (id: string): string | null | undefined => {
        const row = this.#sql.parentOf.get(lineage, id);
        return row === undefined ? undefined : row.parent_checkpoint_id;
      },
      value: (id: string, channel: string): Encoded | undefined => {
        let channels = refs.get(id);
        if (channels === undefined) refs.set(id, (channels = this.#reader.refs(lineage, id)));
        const ref = channels.find((each) => each.channel === channel);
        return ref && this.#reader.value(key, lineage, ref.origin, channel);
      },
      writes: (id: string) => this.#reader.writes({ ...key, id }, lineage),
    };
    const id = key.checkpointId ?? this.#sql.latest.get(lineage)?.checkpoint_id;
    return deltaChannelHistory(this.serde, reader, id, options.channels);
  }

  async threadIds(params: { readonly after: string | null; readonly limit: number }): Promise<readonly string[]> {
    return this.#read(() => this.#sql.threadIds(params.after, params.limit));
  }

  async readCheckpoints(
    params: Parameters<CheckpointTransfer["readCheckpoints"]>[0],
  ): Promise<readonly CheckpointParts[]> {
    const { threadId, after, limit } = params;
    return this.#read(() => this.#sql.ascending(threadId, after, limit).map((row) => this.#reader.one(row)));
  }

  async writeCheckpoints(checkpoints: readonly CheckpointParts[]): Promise<void> {
    this.#write(() => {
      for (const parts of checkpoints) writeCheckpoint(this.#sql, this.#reader, this.#values, parts);
    });
  }

  isFenced(): boolean {
    return this.#lease.isFenced();
  }

  deleteRun(params: Parameters<Checkpointer["deleteRun"]>[0]): void {
    this.#write(() => deleteRun(this.#sql, params));
  }

  /** The target is replaced, unless there is nothing to copy. */
  async copyThread(params: Parameters<Checkpointer["copyThread"]>[0]): Promise<void> {
    const { fromThreadId, toThreadId, keep } = params;
    if (fromThreadId === toThreadId) return;
    const kept = keep && (await this.#keptOf(fromThreadId, keep));
    this.#write(() => {
      if (this.#sql.ascending(fromThreadId, null, 1).length === 0) return;
      this.#sql.deleteThread(toThreadId);
      this.#copy.copy(fromThreadId, toThreadId, kept);
    });
  }

  async #keptOf(threadId: string, keep: CheckpointsKept): Promise<ReadonlyMap<number, Kept>> {
    const kept = new Map<number, Kept>();
    for (const lineage of this.#sql.lineagesOf(threadId)) {
      const found = await this.retention.kept(lineage, keep);
      if (found !== null) kept.set(lineage, found);
    }
    return kept;
  }

  /**
   * References for values that did not change: the parent's. A value that is not the parent's is found by its version (a
   * copied checkpoint); when a fork gave that version twice, by its content. A value without a version, or whose version
   * was never stored, is not kept, as in PostgresSaver.
   */
  #carried(
    of: Omit<CheckpointName, "id">,
    lineage: number,
    parentId: string | undefined,
    checkpoint: Checkpoint,
    carried: readonly ChannelRef[],
  ): readonly ChannelRef[] {
    const parent = parentId === undefined ? [] : this.#reader.refs(lineage, parentId);
    const inherited = new Map(parent.map((ref) => [ref.channel, ref]));
    const refs: ChannelRef[] = [];
    for (const wanted of carried) {
      const own = inherited.get(wanted.channel);
      const found = own?.version === wanted.version ? own : this.#byVersion(of, lineage, checkpoint, wanted);
      if (found !== undefined) refs.push(found);
    }
    return refs;
  }

  #byVersion(
    of: Omit<CheckpointName, "id">,
    lineage: number,
    checkpoint: Checkpoint,
    wanted: ChannelRef,
  ): ChannelRef | undefined {
    const known = new Map<string, ChannelRef>();
    for (const row of this.#sql.lineage.all(lineage)) {
      for (const ref of decodeChannels(row.channels, row.checkpoint_id)) {
        if (ref.channel === wanted.channel && ref.version === wanted.version) known.set(ref.origin, ref);
      }
    }
    if (known.size === 0) return undefined;
    const data = this.serde.encode(checkpoint.channel_values[wanted.channel]);
    for (const ref of known.values()) {
      const stored = this.#reader.value(of, lineage, ref.origin, ref.channel);
      if (stored !== undefined && sameCell(toCell(stored), toCell(data))) return ref;
    }
    const place = { ...of, channel: wanted.channel };
    this.#values.store(lineage, this.#values.prepareNow(place, wanted.origin, data));
    return wanted;
  }
}

const NOTHING = { parentOf: () => undefined, value: () => undefined, writes: () => [] };

/** What better-sqlite3 throws, as `STORAGE_UNAVAILABLE`. */
function guarded(run: <T>(step: () => T) => T): <T>(step: () => T) => T {
  return (step) => {
    try {
      return run(step);
    } catch (error) {
      const failure = error instanceof Error && ("code" in error || error instanceof TypeError) ? error : null;
      if (failure === null || error instanceof HeddleError) throw error;
      throw new HeddleError("STORAGE_UNAVAILABLE", {
        message: `SQLite checkpointer: ${failure.message}`,
        cause: error,
      });
    }
  };
}
