import type { Checkpointer, CheckpointsKept, PruneReport, ThreadStorage } from "../core/checkpointer.js";
import { isDelta } from "./checkpoint-metadata.js";
import { keptIds, type LineageCheckpoint } from "./kept-checkpoints.js";
import {
  metadataOf,
  openedCheckpoint,
  type CheckpointCollections,
  type CheckpointDocument,
} from "./mongodb-documents.js";
import type { Sealing } from "./sealing.js";

/** Ids in one condition. */
const IDS_AT_ONCE = 1_000;
const FACTS = { thread_id: 1, checkpoint_ns: 1, checkpoint_id: 1, parent_checkpoint_id: 1, metadata: 1 } as const;

type Retrying = <T>(work: () => Promise<T>) => Promise<T>;

/** What of one namespace stays. */
interface Kept {
  readonly checkpointNs: string;
  readonly ids: ReadonlySet<string>;
  readonly all: readonly string[];
  /** The largest id when it was looked at: what is newer stays as well. */
  readonly newest: string;
}

/** What a checkpoint holds, without its values. */
interface Content {
  readonly v: number;
  readonly stored: ReadonlySet<string>;
  readonly known: ReadonlySet<string>;
}

const UNKNOWN: Content = { v: 4, stored: new Set(), known: new Set() };

/**
 * As `Checkpointer.prune` says. A checkpoint is one document and goes whole; then its pending writes, and with them those that
 * a crash before left behind.
 */
export async function pruneThread(
  collections: CheckpointCollections,
  retrying: Retrying,
  sealing: Sealing,
  params: Parameters<Checkpointer["prune"]>[0],
): Promise<PruneReport> {
  const { checkpoints, writes } = collections;
  const { threadId, dryRun } = params;
  const sum = { checkpoints: 0, writes: 0, values: 0, bytes: 0 };
  const mayGoOn = async (): Promise<boolean> => dryRun || params.mayRemove === undefined || params.mayRemove();
  for (const { checkpointNs, ids, all, newest } of await lineagesOf(collections, retrying, sealing, params)) {
    const lineage = { thread_id: threadId, checkpoint_ns: checkpointNs };
    const doomed = all.filter((id) => !ids.has(id));
    for (let start = 0; start < doomed.length; start += IDS_AT_ONCE) {
      const condition = { ...lineage, checkpoint_id: { $in: doomed.slice(start, start + IDS_AT_ONCE) } };
      if (!(await mayGoOn())) return sum;
      for await (const { checkpoint, metadata } of checkpoints.find(condition, {
        projection: { checkpoint: 1, metadata: 1 },
      })) {
        sum.checkpoints += 1;
        sum.bytes += checkpoint.byteLength + metadata.byteLength;
      }
      if (!dryRun) await retrying(() => checkpoints.deleteMany(condition));
    }
    const rest = { ...lineage, checkpoint_id: { $lt: newest, $nin: [...ids] } };
    if (!(await mayGoOn())) return sum;
    for await (const { value } of writes.find(rest, { projection: { value: 1 } })) {
      sum.writes += 1;
      sum.bytes += value.byteLength;
    }
    if (!dryRun) await retrying(() => writes.deleteMany(rest));
  }
  return sum;
}

/** A condition that the checkpoints of a thread and the writes fulfil that stay when it is pruned. */
export async function keptCondition(
  collections: CheckpointCollections,
  retrying: Retrying,
  sealing: Sealing,
  params: { readonly threadId: string; readonly keep: CheckpointsKept },
) {
  const lineages = await lineagesOf(collections, retrying, sealing, params);
  const kept = lineages.map(({ checkpointNs, ids }) => ({
    checkpoint_ns: checkpointNs,
    checkpoint_id: { $in: [...ids] },
  }));
  return { thread_id: params.threadId, ...(kept.length > 0 && { $or: kept }) };
}

/** As `Checkpointer.storage` says. Values are parts of their checkpoints' documents: what is left of these is theirs. */
export async function threadStorage(
  { checkpoints, writes }: CheckpointCollections,
  retrying: Retrying,
  sealing: Sealing,
  threadId: string,
): Promise<ThreadStorage> {
  return retrying(async () => {
    const channels = new Map<string, { readonly versions: Set<string>; bytes: number }>();
    const headers = { count: 0, bytes: 0 };
    const projection = { metadata_search: 0 } as const;
    for await (const document of checkpoints.find({ thread_id: threadId }, { projection })) {
      let rest = document.checkpoint.byteLength + document.metadata.byteLength;
      const content = parsedCheckpoint(sealing, document);
      for (const [channel, value] of Object.entries(content?.channel_values ?? {})) {
        // What is sealed or written by another serializer has another size: never more than all of it.
        const bytes = Math.min(rest, Buffer.byteLength(JSON.stringify(value) ?? ""));
        const entry = channels.get(channel) ?? { versions: new Set(), bytes: 0 };
        entry.bytes += bytes;
        entry.versions.add(JSON.stringify([document.checkpoint_ns, content?.channel_versions?.[channel]]));
        channels.set(channel, entry);
        rest -= bytes;
      }
      headers.count += 1;
      headers.bytes += rest;
    }
    const pendingWrites = { count: 0, bytes: 0 };
    for await (const { value } of writes.find({ thread_id: threadId }, { projection: { value: 1 } })) {
      pendingWrites.count += 1;
      pendingWrites.bytes += value.byteLength;
    }
    const byChannel = new Map(
      [...channels].map(([name, { versions, bytes }]) => [name, { versions: versions.size, bytes }]),
    );
    const channelValues = {
      count: [...byChannel.values()].reduce((total, { versions }) => total + versions, 0),
      bytes: [...byChannel.values()].reduce((total, { bytes }) => total + bytes, 0),
      byChannel,
    };
    const totalBytes = headers.bytes + channelValues.bytes + pendingWrites.bytes;
    return { totalBytes, checkpoints: headers, channelValues, pendingWrites };
  });
}

/** The namespaces of a thread, with what stays of each. Values are read only where DeltaChannels ask for them. */
async function lineagesOf(
  { checkpoints }: CheckpointCollections,
  retrying: Retrying,
  sealing: Sealing,
  { threadId, keep }: { readonly threadId: string; readonly keep: CheckpointsKept },
): Promise<readonly Kept[]> {
  const rows = await retrying(() => checkpoints.find({ thread_id: threadId }, { projection: FACTS }).toArray());
  const found: Kept[] = [];
  for (const [checkpointNs, unsorted] of Map.groupBy(rows, (row) => row.checkpoint_ns)) {
    const lineage = unsorted.toSorted((a, b) => (a.checkpoint_id < b.checkpoint_id ? 1 : -1));
    const [newest] = lineage;
    if (newest === undefined) continue;
    const count = keep.kind === "latest" ? 1 : keep.count;
    const asked = lineage.some((row) => isDelta(metadataOf(row).text)) ? lineage : lineage.slice(0, count);
    const contents = new Map<string, Content>();
    for (let start = 0; start < asked.length; start += IDS_AT_ONCE) {
      const ids = asked.slice(start, start + IDS_AT_ONCE).map((row) => row.checkpoint_id);
      const condition = { thread_id: threadId, checkpoint_ns: checkpointNs, checkpoint_id: { $in: ids } };
      await retrying(async () => {
        for await (const document of checkpoints.find(condition, { projection: { metadata_search: 0 } })) {
          contents.set(document.checkpoint_id, contentOf(sealing, document));
        }
      });
    }
    const facts = lineage.map((row): LineageCheckpoint => {
      const content = contents.get(row.checkpoint_id) ?? UNKNOWN;
      return {
        id: row.checkpoint_id,
        parentId: row.parent_checkpoint_id ?? undefined,
        metadata: metadataOf(row).metadata,
        v: content.v,
        stores: (channel) => content.stored.has(channel),
        knows: (channel) => content.known.has(channel),
      };
    });
    const all = lineage.map((row) => row.checkpoint_id);
    found.push({ checkpointNs, ids: keptIds(facts, keep), all, newest: newest.checkpoint_id });
  }
  return found;
}

interface ParsedCheckpoint {
  readonly v?: number;
  readonly channel_values?: Readonly<Record<string, unknown>>;
  readonly channel_versions?: Readonly<Record<string, unknown>>;
}

function contentOf(sealing: Sealing, document: CheckpointDocument): Content {
  const parsed = parsedCheckpoint(sealing, document);
  if (parsed === null) return UNKNOWN;
  return {
    v: parsed.v ?? 4,
    stored: new Set(Object.keys(parsed.channel_values ?? {})),
    known: new Set(Object.keys(parsed.channel_versions ?? {})),
  };
}

/** `null` for what another serializer wrote. */
function parsedCheckpoint(sealing: Sealing, document: CheckpointDocument): ParsedCheckpoint | null {
  const { type, data } = openedCheckpoint(sealing, document);
  return type === "json" ? (JSON.parse(data.toString()) as ParsedCheckpoint) : null;
}
