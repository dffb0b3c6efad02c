import {
  compareWritesSortKeys,
  maxChannelVersion,
  TASKS,
  WRITES_IDX_MAP,
  writesSortKey,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
} from "@langchain/langgraph-checkpoint";
import { configOf } from "./saver-config.js";
import type { CheckpointSerde, Encoded } from "./serde.js";

/** A checkpoint without its channel values, as JSON. */
export interface CheckpointHeader {
  readonly v: number;
  readonly ts: string;
  readonly channel_versions: ChannelVersions;
  readonly versions_seen: Record<string, ChannelVersions>;
}

/** One pending write as it is kept. */
export interface StoredWrite {
  readonly taskId: string;
  /** Position in the task's writes; negative for the special channels, which are replaced instead of kept. */
  readonly idx: number;
  readonly taskPath: string;
  readonly channel: string;
  readonly data: Encoded;
}

/** Everything that is kept of one checkpoint. */
export interface CheckpointParts {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly id: string;
  readonly parentId: string | undefined;
  readonly header: CheckpointHeader;
  readonly metadata: CheckpointMetadata;
  /** Keys of the metadata that were sealed where it comes from; absent where nothing is. */
  readonly sealedKeys?: readonly string[];
  readonly channels: Iterable<{ readonly channel: string; readonly data: Encoded }>;
  readonly writes: readonly StoredWrite[];
  /** Writes of the parent: only read for checkpoints of versions before 4. */
  readonly parentWrites: () => readonly StoredWrite[];
}

/** The header of a checkpoint. */
export function headerText(checkpoint: Checkpoint): string {
  const { v, ts, channel_versions, versions_seen } = checkpoint;
  return JSON.stringify({ v, ts, channel_versions: channel_versions ?? {}, versions_seen: versions_seen ?? {} });
}

/** A channel's version, whatever its name; `undefined` for one that was never written. */
export function versionOf(versions: ChannelVersions, channel: string): string | number | undefined {
  return Object.hasOwn(versions, channel) ? versions[channel] : undefined;
}

/** LangGraph's index of a write in its task. */
export function writeIndex(channel: string, position: number): number {
  return (Object.hasOwn(WRITES_IDX_MAP, channel) ? WRITES_IDX_MAP[channel] : undefined) ?? position;
}

/** In the order in which live execution applies the writes of a superstep. */
export function inWriteOrder(writes: readonly StoredWrite[]): readonly StoredWrite[] {
  if (writes.length < 2) return writes;
  return writes.toSorted((a, b) =>
    compareWritesSortKeys(writesSortKey(a.taskPath, a.taskId, a.idx), writesSortKey(b.taskPath, b.taskId, b.idx)),
  );
}

/** Read pending writes. */
export async function decodeWrites(
  serde: CheckpointSerde,
  writes: readonly StoredWrite[],
): Promise<CheckpointPendingWrite[]> {
  const pending: CheckpointPendingWrite[] = [];
  for (const { taskId, channel, data } of writes) {
    const value = serde.decode(data);
    pending.push([taskId, channel, value instanceof Promise ? await value : value]);
  }
  return pending;
}

/** A tuple as LangGraph takes it, of fresh objects. */
export async function toTuple(serde: CheckpointSerde, parts: CheckpointParts): Promise<CheckpointTuple> {
  const { threadId, checkpointNs, id, parentId, header } = parts;
  const values: Record<string, unknown> = {};
  for (const { channel, data } of parts.channels) {
    const value = serde.decode(data);
    setOwn(values, channel, value instanceof Promise ? await value : value);
  }
  const checkpoint: Checkpoint = {
    v: header.v,
    id,
    ts: header.ts,
    channel_values: values,
    channel_versions: header.channel_versions,
    versions_seen: header.versions_seen,
  };
  if (header.v < 4 && parentId !== undefined) await migratePendingSends(serde, checkpoint, parts.parentWrites());
  const tuple: CheckpointTuple = {
    config: configOf(threadId, checkpointNs, id),
    checkpoint,
    metadata: parts.metadata,
    pendingWrites: parts.writes.length === 0 ? [] : await decodeWrites(serde, inWriteOrder(parts.writes)),
  };
  if (parentId !== undefined) tuple.parentConfig = configOf(threadId, checkpointNs, parentId);
  return tuple;
}

/**
 * Before version 4 of the checkpoint format, Sends to run next were the parent's pending writes: make them the checkpoint's
 * own value.
 */
export async function migratePendingSends(
  serde: CheckpointSerde,
  checkpoint: Checkpoint,
  parentWrites: readonly StoredWrite[],
): Promise<void> {
  const sends = inWriteOrder(parentWrites).filter(({ channel }) => channel === TASKS);
  const versions = Object.values(checkpoint.channel_versions);
  checkpoint.channel_values[TASKS] = (await decodeWrites(serde, sends)).map(([, , value]) => value);
  checkpoint.channel_versions[TASKS] = versions.length > 0 ? maxChannelVersion(...versions) : 1;
}

/** Like assignment, also for a channel named `__proto__`. */
export function setOwn(record: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") record[key] = value;
  else Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
}
