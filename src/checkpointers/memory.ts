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
import type { Checkpointer, CheckpointsKept, Saver } from "../core/checkpointer.js";
import {
  isDelta,
  matchesFilter,
  metadataText,
  readMetadata,
  removableIds,
  runIdOf,
  splitMetadata,
} from "./checkpoint-metadata.js";
import { deltaChannelHistory } from "./delta-history.js";
import { blobOf, indexOfWrite, Lineage, type ChannelBlob, type MemoryCheckpoint } from "./memory-lineage.js";
import { prune, pruneLineages, storageOfLineages } from "./memory-retention.js";
import { beforeId, configOf, listKey, putKey, readKey, writesKey } from "./saver-config.js";
import { CheckpointSerde, type Encoded } from "./serde.js";
import {
  headerText,
  toTuple,
  versionOf,
  writeIndex,
  type CheckpointHeader,
  type StoredWrite,
} from "./stored-checkpoint.js";

/** Task paths name nodes; only those made by code in the thousands are kept each for itself. */
const MAX_TASK_PATHS = 1000;

/** Open the memory checkpointer: everything is gone when the process ends. */
export function createMemoryCheckpointer(): Checkpointer {
  const saver = new HeddleMemorySaver();
  return {
    saver: saver as Saver,
    durable: false,
    // Nothing outlives the process, so nobody takes over.
    fenced: false,
    deleteRun: async (params) => saver.deleteRun(params),
    deleteThread: (threadId) => saver.deleteThread(threadId),
    copyThread: async ({ fromThreadId, toThreadId, keep }) => saver.copyThread(fromThreadId, toThreadId, keep),
    prune: async ({ threadId, ...how }) => prune(saver.lineages(threadId), how),
    storage: async (threadId) => storageOfLineages(saver.lineages(threadId)),
    close: async () => saver.clear(),
  };
}

/**
 * Checkpoints in memory, serialised when they are put: a graph that changes its state afterwards does not change what was
 * saved. Against the stock `MemorySaver` (@langchain/langgraph-checkpoint 1.2.2): a channel's value is kept once per
 * version; reads are by index; bytes in pending writes, `task_path`, nested filters, `limit: 0` and any string as an id
 * are right; a list across namespaces is newest first.
 */
export class HeddleMemorySaver extends BaseCheckpointSaver {
  declare serde: CheckpointSerde;
  /** By thread, then the lineages of its namespaces; the root's first. */
  readonly #threads = new Map<string, Lineage[]>();
  readonly #taskPaths = new Map<string, string>();

  constructor() {
    super(new CheckpointSerde());
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const key = readKey(config);
    if (key === undefined) return undefined;
    const lineage = this.#lineage(key.threadId, key.checkpointNs);
    const row = key.checkpointId === undefined ? lineage?.latest() : lineage?.get(key.checkpointId);
    return lineage && row && this.#tuple(key.threadId, lineage, row);
  }

  override async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const { threadId, checkpointNs, checkpointId } = listKey(config);
    const before = beforeId(options.before);
    let left = options.limit ?? Infinity;
    if (left <= 0) return;
    const threads = threadId === undefined ? [...this.#threads.keys()] : [threadId];
    const lineages = threads.flatMap((id) =>
      (this.#threads.get(id) ?? [])
        .filter((lineage) => checkpointNs === undefined || lineage.checkpointNs === checkpointNs)
        .map((lineage) => ({ threadId: id, lineage })),
    );
    for (const { threadId: thread, lineage, row } of newestFirst(lineages, before)) {
      if (checkpointId !== undefined && row.id !== checkpointId) continue;
      if (options.filter !== undefined && !matchesFilter(readMetadata(row.run, row.step), options.filter)) continue;
      yield await this.#tuple(thread, lineage, row);
      left -= 1;
      if (left <= 0) return;
    }
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { threadId, checkpointNs, checkpointId: parentId } = putKey(config);
    const lineage = this.#lineage(threadId, checkpointNs) ?? this.#addLineage(threadId, checkpointNs);
    const parent = parentId === undefined ? undefined : lineage.get(parentId);
    const { step, run } = splitMetadata(metadata);
    const runText = metadataText(this.serde, run);
    const newest = lineage.latest();
    lineage.put({
      id: checkpoint.id,
      parentId,
      header: headerText(checkpoint),
      step: metadataText(this.serde, step),
      run: newest?.run === runText ? newest.run : runText,
      runId: newest?.run === runText ? newest.runId : runIdOf(metadata),
      channels: this.#channels(lineage, parent, checkpoint, newVersions),
      writes: undefined,
    });
    return configOf(threadId, checkpointNs, checkpoint.id);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = "",
  ): Promise<void> {
    const { threadId, checkpointNs, checkpointId } = writesKey(config);
    const lineage = this.#lineage(threadId, checkpointNs) ?? this.#addLineage(threadId, checkpointNs);
    const stored = lineage.writesOf(checkpointId);
    const path = this.#shared(taskPath);
    const fresh: StoredWrite[] = [];
    writes.forEach(([channel, value], position) => {
      const idx = writeIndex(channel, position);
      if (idx >= 0 && indexOfWrite(stored, taskId, idx) >= 0) return;
      const write = { taskId, idx, taskPath: path, channel, data: this.serde.encode(value) };
      // The last of two errors in one call wins, too.
      const again = idx < 0 ? indexOfWrite(fresh, taskId, idx) : -1;
      if (again < 0) fresh.push(write);
      else fresh[again] = write;
    });
    lineage.addWrites(checkpointId, fresh);
  }

  override async deleteThread(threadId: string): Promise<void> {
    this.#threads.delete(threadId);
  }

  override async getDeltaChannelHistory(options: {
    config: RunnableConfig;
    channels: string[];
  }): Promise<Record<string, DeltaChannelHistory>> {
    const key = readKey(options.config);
    const lineage = key && this.#lineage(key.threadId, key.checkpointNs);
    const parentOf = (id: string): string | null | undefined => {
      const row = lineage?.get(id);
      return row === undefined ? undefined : (row.parentId ?? null);
    };
    const reader = {
      parentOf,
      value: (id: string, channel: string) => blobOf(lineage?.get(id), channel)?.data,
      writes: (id: string) => lineage?.get(id)?.writes ?? [],
    };
    return deltaChannelHistory(this.serde, reader, key?.checkpointId ?? lineage?.latest()?.id, options.channels);
  }

  deleteRun({ threadId, runId, strays = false }: Parameters<Checkpointer["deleteRun"]>[0]): void {
    const lineages = this.#threads.get(threadId) ?? [];
    for (const lineage of lineages) {
      const rows = lineage.rows.map((row) => ({
        id: row.id,
        parentId: row.parentId,
        delta: isDelta(row.step),
        doomed: row.runId === runId,
      }));
      lineage.remove(removableIds(rows));
    }
    if (!strays) return;
    const oldest = lineages.flatMap(({ rows }) => rows[0]?.id ?? []).toSorted()[0];
    if (oldest === undefined) this.#threads.delete(threadId);
    else for (const lineage of lineages) lineage.removeEarly(oldest);
  }

  /** Of all namespaces of a thread. */
  lineages(threadId: string): readonly Lineage[] {
    return this.#threads.get(threadId) ?? [];
  }

  /** @param keep default: all */
  copyThread(fromThreadId: string, toThreadId: string, keep?: CheckpointsKept): void {
    const lineages = this.#threads.get(fromThreadId);
    if (lineages === undefined || fromThreadId === toThreadId) return;
    // Writes that no checkpoint has come to are nothing to copy.
    if (lineages.every((lineage) => lineage.latest() === undefined)) return;
    const [from, to] = [JSON.stringify(fromThreadId), JSON.stringify(toThreadId)];
    const rewritten = new Map<string, string>();
    const rewrite = (text: string): string => {
      let result = rewritten.get(text);
      if (result === undefined) rewritten.set(text, (result = text.replaceAll(from, to)));
      return result;
    };
    const copies = lineages.map((lineage) => lineage.copy(rewrite));
    if (keep !== undefined) pruneLineages(copies, keep);
    this.#threads.set(toThreadId, copies);
  }

  clear(): void {
    this.#threads.clear();
  }

  /** One string for a task path that every run has. */
  #shared(taskPath: string): string {
    const known = this.#taskPaths.get(taskPath);
    if (known !== undefined) return known;
    if (this.#taskPaths.size < MAX_TASK_PATHS) this.#taskPaths.set(taskPath, taskPath);
    return taskPath;
  }

  #lineage(threadId: string, checkpointNs: string): Lineage | undefined {
    return this.#threads.get(threadId)?.find((lineage) => lineage.checkpointNs === checkpointNs);
  }

  #addLineage(threadId: string, checkpointNs: string): Lineage {
    const lineage = new Lineage(checkpointNs);
    const lineages = this.#threads.get(threadId);
    if (lineages === undefined) this.#threads.set(threadId, [lineage]);
    else lineages.push(lineage);
    return lineage;
  }

  /**
   * The values of a checkpoint: new ones serialised, the others shared with the parent. A value that neither is new nor
   * the parent's is found by its version (a copied checkpoint); when a fork gave that version twice, by its content.
   * A value without a version, or whose version was never stored, is not kept, as in PostgresSaver.
   */
  #channels(
    lineage: Lineage,
    parent: MemoryCheckpoint | undefined,
    checkpoint: Checkpoint,
    newVersions: ChannelVersions,
  ): readonly ChannelBlob[] {
    const blobs: ChannelBlob[] = [];
    for (const [channel, value] of Object.entries(checkpoint.channel_values ?? {})) {
      const version = versionOf(checkpoint.channel_versions, channel);
      // Defaults that no task has written yet.
      if (version === undefined) continue;
      const inherited = blobOf(parent, channel);
      if (Object.hasOwn(newVersions, channel)) {
        blobs.push({ channel, version, data: sharing(this.serde.encode(value), inherited?.data) });
      } else if (inherited?.version === version) {
        blobs.push(inherited);
      } else {
        const known = lineage.blobs(channel, version);
        if (known.length === 0) continue;
        const data = this.serde.encode(value);
        blobs.push(known.find((blob) => sameData(blob.data, data)) ?? { channel, version, data });
      }
    }
    return blobs;
  }

  #tuple(threadId: string, lineage: Lineage, row: MemoryCheckpoint): Promise<CheckpointTuple> {
    return toTuple(this.serde, {
      threadId,
      checkpointNs: lineage.checkpointNs,
      id: row.id,
      parentId: row.parentId,
      header: JSON.parse(row.header) as CheckpointHeader,
      metadata: readMetadata(row.run, row.step),
      channels: row.channels,
      writes: row.writes ?? [],
      parentWrites: () => lineage.get(row.parentId ?? "")?.writes ?? [],
    });
  }
}

/** All checkpoints of some lineages by id descending, up to but without `before`. */
function* newestFirst(
  lineages: readonly { readonly threadId: string; readonly lineage: Lineage }[],
  before: string | undefined,
): Generator<{ readonly threadId: string; readonly lineage: Lineage; readonly row: MemoryCheckpoint }> {
  const rows = lineages.map(({ threadId, lineage }) => ({
    threadId,
    lineage,
    // Copied: puts may happen while a reader waits.
    rows: lineage.rows.slice(0, before === undefined ? undefined : lineage.firstNotBefore(before)),
  }));
  const [only] = rows;
  if (rows.length === 1 && only !== undefined) {
    for (const row of only.rows.toReversed()) yield { threadId: only.threadId, lineage: only.lineage, row };
    return;
  }
  const all = rows.flatMap(({ rows: own, ...of }) => own.map((row) => ({ ...of, row })));
  all.sort((a, b) => (a.row.id < b.row.id ? 1 : a.row.id > b.row.id ? -1 : 0));
  yield* all;
}

/** Let equal texts at the same place of a growing list be one string. */
function sharing(data: Encoded, previous: Encoded | undefined): Encoded {
  if (typeof data === "string") return data === previous ? previous : data;
  if (data instanceof Uint8Array || !Array.isArray(previous)) return data;
  const texts: readonly string[] = previous;
  return data.map((text, at) => (text === texts[at] ? texts[at] : text));
}

function sameData(a: Encoded, b: Encoded): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  return !(b instanceof Uint8Array) && a.length === b.length && a.every((text, at) => text === b[at]);
}
