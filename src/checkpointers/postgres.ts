import type { RunnableConfig } from "@langchain/core/runnables";
import type {
  ChannelVersions,
  Checkpoint,
  CheckpointListOptions,
  CheckpointMetadata,
  CheckpointTuple,
  DeltaChannelHistory,
  PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { leaseOf, type Checkpointer, type Saver } from "../core/checkpointer.js";
import type { DriverContext } from "../core/driver.js";
import type { RunLease } from "../core/run.js";
import { migrate } from "../databases/postgres/migrate.js";
import { openPostgres, type PostgresDatabase } from "../databases/postgres/open.js";
import { metadataText } from "./checkpoint-metadata.js";
import { deltaChannelHistory } from "./delta-history.js";
import { aliased, nextVersion, versionCounter } from "./postgres-aliases.js";
import { EMPTY, toSealed, type StoredValue } from "./postgres-blobs.js";
import { CheckpointGathering } from "./postgres-gather.js";
import { PostgresContents } from "./postgres-contents.js";
import { copyThread } from "./postgres-copy.js";
import { readAncestors } from "./postgres-delta.js";
import { knowsRuns } from "./postgres-lease.js";
import { KnownLists, type StoredList } from "./postgres-lists.js";
import { PostgresReader } from "./postgres-reader.js";
import { CHECKPOINT_TABLES } from "./postgres-schema.js";
import { prune, storage } from "./postgres-retention.js";
import { deleteRun, deleteThread, threadIds } from "./postgres-threads.js";
import { writeCheckpoints } from "./postgres-transfer.js";
import { ThreadTurns } from "./thread-turns.js";
import { PostgresValues } from "./postgres-values.js";
import { beforeId, configOf, listKey, putKey, readKey, writesKey } from "./saver-config.js";
import { PLACES, sealingWith, type Sealing } from "./sealing.js";
import { CheckpointSerde } from "./serde.js";
import { toTuple, versionOf, writeIndex, type CheckpointParts } from "./stored-checkpoint.js";
import type { CheckpointTransfer } from "./transfer.js";

/**
 * Open the Postgres checkpointer on the stock tables, making those that are missing. A database that
 * `PostgresSaver` has written keeps working, and that saver reads what this one writes.
 * @param uri as {@link openPostgres} takes it; `search_path` chooses the schema
 * @throws HeddleError `CONFIG_INVALID`, `STORAGE_UNAVAILABLE`
 */
export async function openPostgresCheckpointer(uri: string, context: DriverContext): Promise<Checkpointer> {
  const database = await openPostgres(uri, context);
  try {
    await migrate(database, [CHECKPOINT_TABLES]);
    const fenced = await knowsRuns(database);
    const sealing = sealingWith(context.cipher);
    const saver = new HeddlePostgresSaver(database, {
      fenced,
      sealing,
      compress: context.compressCheckpoints ?? false,
    });
    return {
      saver: saver as Saver,
      durable: true,
      fenced,
      inOrder: true,
      deleteRun: (params) => deleteRun(database, params),
      deleteThread: (threadId) => deleteThread(database, threadId),
      copyThread: (params) => copyThread(database, params, sealing),
      prune: (params) => prune(database, params),
      storage: (threadId) => storage(database, threadId),
      close: () => database.close(),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * `PostgresSaver` (@langchain/langgraph-checkpoint-postgres 1.0.5) with its tables and every query replaced: reads by rows
 * instead of arrays of bytes, one statement per put, and right where the stock one is not: forks that repeat a version
 * ({@link Aliases}), `task_path`, the order of pending writes, NUL characters, `limit: 0`, set-up by several processes at
 * once. With `fenced`, puts of a lost lease are refused by their own statement.
 */
class HeddlePostgresSaver extends PostgresSaver implements CheckpointTransfer {
  declare serde: CheckpointSerde;
  readonly #database: PostgresDatabase;
  readonly #reader: PostgresReader;
  readonly #gathering: CheckpointGathering;
  readonly #lists = new KnownLists();
  readonly #fenced: boolean;
  /** Packs and seals what is no value. */
  readonly #sealing: Sealing;
  readonly #values: PostgresValues;
  readonly #contents: PostgresContents;
  readonly #turns = new ThreadTurns();

  constructor(
    database: PostgresDatabase,
    options: { readonly fenced: boolean; readonly sealing: Sealing; readonly compress: boolean },
  ) {
    super(database.pool, new CheckpointSerde());
    this.#database = database;
    this.#values = new PostgresValues(options.sealing, { compress: options.compress });
    this.#sealing = this.#values.sealing;
    this.#contents = new PostgresContents(database, this.#sealing, this.#values.sharing);
    this.#reader = new PostgresReader(database, this.#sealing, this.#contents);
    this.#gathering = new CheckpointGathering(database, this.#lists);
    this.#fenced = options.fenced;
  }

  /** For graphs that set their saver up themselves: it is, since it was opened. */
  override async setup(): Promise<void> {
    await migrate(this.#database, [CHECKPOINT_TABLES]);
  }

  /** Does nothing: whoever opened the checkpointer closes it, others use its pool. */
  override async end(): Promise<void> {}

  override getNextVersion(current: number | undefined): number {
    return typeof current === "string" ? super.getNextVersion(current) : nextVersion(current);
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const key = readKey(config);
    const known = key && this.#lists.newest(key);
    const parts = key && (await this.#reader.one(key.threadId, key.checkpointNs, key.checkpointId, known));
    if (parts !== undefined && this.#values.areStock)
      this.#lists.read({ ...parts, checkpointId: parts.id }, listsOf(parts));
    return parts && toTuple(this.serde, parts);
  }

  override async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const query = { ...listKey(config), before: beforeId(options.before), filter: options.filter };
    for await (const parts of this.#reader.list(query, options.limit ?? Infinity)) {
      yield await toTuple(this.serde, parts);
    }
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { threadId, checkpointNs, checkpointId: parentId } = putKey(config);
    const values = checkpoint.channel_values ?? {};
    const fresh = new Map<string, StoredValue>();
    const late: Promise<unknown>[] = [];
    const silent: string[] = [];
    for (const [channel, version] of Object.entries(checkpoint.channel_versions ?? {})) {
      const hasValue = Object.hasOwn(values, channel);
      if (versionOf(newVersions, channel) !== undefined) {
        const place = { threadId, checkpointNs, channel };
        const value = hasValue
          ? this.#values.prepare(place, versionCounter(version), this.serde.encode(values[channel]))
          : EMPTY;
        if (value instanceof Promise) late.push(value.then((ready) => fresh.set(channel, ready)));
        else fresh.set(channel, value);
      } else if (!hasValue) silent.push(channel);
    }
    const put = {
      threadId,
      checkpointNs,
      parentId,
      checkpointId: checkpoint.id,
      versions: { ...checkpoint.channel_versions },
      checkpoint: JSON.stringify(aliased(checkpoint, NO_ALIASES)),
      metadata: metadataText(
        this.serde,
        this.#sealing.sealMetadata(
          metadata,
          Object.keys(config.configurable ?? {}),
          PLACES.metadata(threadId, checkpointNs, checkpoint.id),
        ),
      ),
      fresh,
      silent,
      lease: this.#leaseOf(config),
    };
    // What is written of a thread stays in the order of the calls.
    if (late.length > 0 || this.#turns.has(threadId)) await this.#turns.wait(threadId, late);
    await this.#gathering.put(put);
    return configOf(threadId, checkpointNs, checkpoint.id);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = "",
  ): Promise<void> {
    if (writes.length === 0) return;
    const key = writesKey(config);
    const byIndex = new Map(
      writes.map(([channel, value], position) => {
        const idx = writeIndex(channel, position);
        const place = PLACES.write(key.threadId, key.checkpointNs, key.checkpointId, taskId, idx);
        return [idx, { channel, ...toSealed(this.#sealing, this.serde.encode(value), place) }];
      }),
    );
    if (this.#turns.has(key.threadId)) await this.#turns.wait(key.threadId, []);
    await this.#gathering.putWrites({
      ...key,
      taskId,
      taskPath,
      lease: this.#leaseOf(config),
      writes: byIndex,
    });
  }

  override async deleteThread(threadId: string): Promise<void> {
    await deleteThread(this.#database, threadId);
  }

  override async getDeltaChannelHistory(options: {
    config: RunnableConfig;
    channels: string[];
  }): Promise<Record<string, DeltaChannelHistory>> {
    const key = readKey(options.config);
    const { channels } = options;
    if (key === undefined) return deltaChannelHistory(this.serde, NOTHING, undefined, channels);
    const { reader, id } = await readAncestors(this.#database, { ...key, channels }, this.#sealing, this.#contents);
    return deltaChannelHistory(this.serde, reader, id, channels);
  }

  async threadIds(params: { readonly after: string | null; readonly limit: number }): Promise<readonly string[]> {
    return threadIds(this.#database, params.after, params.limit);
  }

  async readCheckpoints(
    params: Parameters<CheckpointTransfer["readCheckpoints"]>[0],
  ): Promise<readonly CheckpointParts[]> {
    return this.#reader.ascending(params.threadId, params.after, params.limit);
  }

  async writeCheckpoints(checkpoints: readonly CheckpointParts[]): Promise<void> {
    await writeCheckpoints(this.#database, checkpoints, this.#sealing, this.#values);
  }

  #leaseOf(config: RunnableConfig): RunLease | undefined {
    return this.#fenced ? leaseOf(config.configurable) : undefined;
  }
}

function listsOf({ channels, header }: CheckpointParts): ReadonlyMap<string, StoredList> {
  const lists = new Map<string, StoredList>();
  for (const { channel, data } of channels) {
    if (typeof data === "string" || data instanceof Uint8Array) continue;
    lists.set(channel, { version: String(versionOf(header.channel_versions, channel)), texts: data });
  }
  return lists;
}

const NO_ALIASES = new Map<string, never>();
const NOTHING = { parentOf: () => undefined, value: () => undefined, writes: () => [] };
