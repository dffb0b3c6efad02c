import type { Checkpointer, CheckpointsKept, PruneReport, ThreadStorage } from "../core/checkpointer.js";
import { readMetadata } from "./checkpoint-metadata.js";
import { keptIds } from "./kept-checkpoints.js";
import { blobOf, type ChannelBlob, type Lineage, type MemoryCheckpoint } from "./memory-lineage.js";
import type { Encoded } from "./serde.js";
import { versionOf, type CheckpointHeader, type StoredWrite } from "./stored-checkpoint.js";

/** What of one lineage stays. */
interface Plan {
  readonly lineage: Lineage;
  readonly kept: ReadonlySet<string>;
  /** The largest id when it was looked at: what is newer stays as well. */
  readonly newest: string;
}

/** As `Checkpointer.prune` says, for the lineages of one thread. */
export async function prune(
  lineages: readonly Lineage[],
  { keep, dryRun, mayRemove }: Omit<Parameters<Checkpointer["prune"]>[0], "threadId">,
): Promise<PruneReport> {
  const plans = planned(lineages, keep);
  const isRefused = !dryRun && mayRemove !== undefined && !(await mayRemove());
  return carriedOut(isRefused ? [] : plans, dryRun);
}

/** {@link prune} at once, of lineages that nobody else has. */
export function pruneLineages(lineages: readonly Lineage[], keep: CheckpointsKept): void {
  carriedOut(planned(lineages, keep), false);
}

function planned(lineages: readonly Lineage[], keep: CheckpointsKept): readonly Plan[] {
  return lineages.flatMap((lineage) => {
    const newest = lineage.latest()?.id;
    return newest === undefined ? [] : [{ lineage, kept: idsKept(lineage, keep), newest }];
  });
}

function carriedOut(plans: readonly Plan[], dryRun: boolean): PruneReport {
  let [checkpoints, writes, values, bytes] = [0, 0, 0, 0];
  for (const { lineage, kept, newest } of plans) {
    const stays = ({ id }: MemoryCheckpoint): boolean => kept.has(id) || id > newest;
    const staying = new Set(lineage.rows.filter(stays).flatMap((row) => row.channels));
    const going = lineage.rows.filter((row) => !stays(row));
    const orphans = [...lineage.early].filter(([id]) => id < newest);
    const blobs = new Set(going.flatMap((row) => row.channels.filter((blob) => !staying.has(blob))));
    const goingWrites = [...going.flatMap((row) => row.writes ?? []), ...orphans.flatMap(([, early]) => early)];
    checkpoints += going.length;
    writes += goingWrites.length;
    values += blobs.size;
    bytes += sum(going, rowBytes) + sum(goingWrites, writeBytes) + sum(blobs, blobBytes);
    if (dryRun) continue;
    lineage.remove(new Set([...going.map(({ id }) => id), ...orphans.map(([id]) => id)]));
  }
  return { checkpoints, writes, values, bytes };
}

/** As `Checkpointer.storage` says. */
export function storageOfLineages(lineages: readonly Lineage[]): ThreadStorage {
  const rows = lineages.flatMap((lineage) => lineage.rows);
  const blobs = [...new Set(rows.flatMap((row) => row.channels))];
  const writes = lineages.flatMap((lineage) => [
    ...lineage.rows.flatMap((row) => row.writes ?? []),
    ...[...lineage.early.values()].flat(),
  ]);
  const byChannel = new Map<string, { readonly versions: number; readonly bytes: number }>();
  for (const [channel, own] of Map.groupBy(blobs, (blob) => blob.channel)) {
    byChannel.set(channel, { versions: own.length, bytes: sum(own, blobBytes) });
  }
  const checkpoints = { count: rows.length, bytes: sum(rows, rowBytes) };
  const channelValues = { count: blobs.length, bytes: sum(blobs, blobBytes), byChannel };
  const pendingWrites = { count: writes.length, bytes: sum(writes, writeBytes) };
  const totalBytes = checkpoints.bytes + channelValues.bytes + pendingWrites.bytes;
  return { totalBytes, checkpoints, channelValues, pendingWrites };
}

function idsKept(lineage: Lineage, keep: CheckpointsKept): ReadonlySet<string> {
  const checkpoints = lineage.rows.map((row) => {
    const header = JSON.parse(row.header) as CheckpointHeader;
    return {
      id: row.id,
      parentId: row.parentId,
      metadata: readMetadata(row.step),
      v: header.v,
      stores: (channel: string) => blobOf(row, channel) !== undefined,
      knows: (channel: string) => versionOf(header.channel_versions, channel) !== undefined,
    };
  });
  return keptIds(checkpoints, keep);
}

function rowBytes({ header, step, run }: MemoryCheckpoint): number {
  return Buffer.byteLength(header) + Buffer.byteLength(step) + Buffer.byteLength(run);
}

const blobBytes = ({ data }: ChannelBlob): number => encodedBytes(data);
const writeBytes = ({ data }: StoredWrite): number => encodedBytes(data);

function encodedBytes(data: Encoded): number {
  if (typeof data === "string") return Buffer.byteLength(data);
  if (data instanceof Uint8Array) return data.byteLength;
  return sum(data, Buffer.byteLength);
}

function sum<T>(parts: Iterable<T>, bytesOf: (part: T) => number): number {
  let total = 0;
  for (const part of parts) total += bytesOf(part);
  return total;
}
