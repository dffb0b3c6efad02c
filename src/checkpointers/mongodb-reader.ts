import type { Filter } from "mongodb";
import { matchesFilter } from "./checkpoint-metadata.js";
import {
  metadataOf,
  narrowedBy,
  type CheckpointAddress,
  type CheckpointCollections,
  type CheckpointDocument,
  type WriteDocument,
} from "./mongodb-documents.js";

/** Documents read at once: by what the ones before them had, so that long lists of large states stay small in memory. */
const BATCH_BYTES = 8 * 1024 * 1024;
const FIRST_BATCH = 8;
const MAX_BATCH = 100;

/** A checkpoint with its pending writes. */
export interface StoredCheckpoint {
  readonly document: CheckpointDocument;
  readonly writes: readonly WriteDocument[];
}

/** Which checkpoints to list, newest first. */
export interface ListQuery {
  readonly threadId: string | undefined;
  readonly checkpointNs: string | undefined;
  readonly checkpointId: string | undefined;
  readonly beforeId: string | undefined;
  readonly filter: Readonly<Record<string, unknown>> | undefined;
  readonly limit: number;
}

type Picked = Pick<CheckpointDocument, "_id" | keyof CheckpointAddress>;

/** Without the copy of the metadata that only filters need. */
const WITHOUT_SEARCH = { metadata_search: 0 } as const;
const ADDRESS = { thread_id: 1, checkpoint_ns: 1, checkpoint_id: 1 } as const;

/** The checkpoint at an address, or the newest of a namespace. */
export async function findCheckpoint(
  { checkpoints, writes }: CheckpointCollections,
  threadId: string,
  checkpointNs: string,
  checkpointId: string | undefined,
): Promise<StoredCheckpoint | null> {
  const lineage = { thread_id: threadId, checkpoint_ns: checkpointNs };
  if (checkpointId !== undefined) {
    const address = { ...lineage, checkpoint_id: checkpointId };
    const [document, stored] = await Promise.all([
      checkpoints.findOne(address, { projection: WITHOUT_SEARCH }),
      writes.find(address).toArray(),
    ]);
    return document && { document, writes: stored };
  }
  const document = await checkpoints.findOne(lineage, { projection: WITHOUT_SEARCH, sort: { checkpoint_id: -1 } });
  if (document === null) return null;
  return { document, writes: await writes.find({ ...lineage, checkpoint_id: document.checkpoint_id }).toArray() };
}

/** The writes of a checkpoint that may not exist. */
export function findWrites({ writes }: CheckpointCollections, address: CheckpointAddress): Promise<WriteDocument[]> {
  return writes.find(address).toArray();
}

/** Which checkpoints a list has. Puts that happen while it is read are not among them. */
export async function pick({ checkpoints }: CheckpointCollections, query: ListQuery): Promise<readonly Picked[]> {
  const { threadId, checkpointNs, checkpointId, beforeId, filter, limit } = query;
  const condition: Filter<CheckpointDocument> = {
    ...(threadId !== undefined && { thread_id: threadId }),
    ...(checkpointNs !== undefined && { checkpoint_ns: checkpointNs }),
    ...((checkpointId !== undefined || beforeId !== undefined) && {
      checkpoint_id: {
        ...(checkpointId !== undefined && { $eq: checkpointId }),
        ...(beforeId !== undefined && { $lt: beforeId }),
      },
    }),
    ...(filter !== undefined && narrowedBy(filter)),
  };
  const projection = filter === undefined ? ADDRESS : { ...ADDRESS, metadata: 1 };
  let cursor = checkpoints.find(condition, { projection }).sort({ checkpoint_id: -1 });
  if (filter === undefined && Number.isFinite(limit)) cursor = cursor.limit(limit);
  const picked: Picked[] = [];
  for await (const document of cursor) {
    if (filter !== undefined && !matchesFilter(metadataOf(document).metadata, filter)) continue;
    const { _id, thread_id, checkpoint_ns, checkpoint_id } = document;
    picked.push({ _id, thread_id, checkpoint_ns, checkpoint_id });
    if (picked.length >= limit) break;
  }
  return picked;
}

/** How many of a list to load next. */
export function nextBatchSize(loaded: readonly StoredCheckpoint[]): number {
  if (loaded.length === 0) return FIRST_BATCH;
  const bytes = loaded.reduce((sum, { document }) => sum + document.checkpoint.byteLength, 0);
  return Math.max(1, Math.min(MAX_BATCH, Math.floor(BATCH_BYTES / (bytes / loaded.length + 1))));
}

/** Load some of a list, in its order. What was deleted meanwhile is left out. */
export async function load(
  { checkpoints, writes }: CheckpointCollections,
  picked: readonly Picked[],
): Promise<readonly StoredCheckpoint[]> {
  const ids = picked.map(({ _id }) => _id);
  const [documents, stored] = await Promise.all([
    checkpoints.find({ _id: { $in: ids } }, { projection: WITHOUT_SEARCH }).toArray(),
    writes.find(addressing(picked)).toArray(),
  ]);
  const byId = new Map(documents.map((document) => [String(document._id), document]));
  const byAddress = Map.groupBy(stored, addressKey);
  return picked.flatMap(({ _id }) => {
    const document = byId.get(String(_id));
    return document === undefined ? [] : [{ document, writes: byAddress.get(addressKey(document)) ?? [] }];
  });
}

function addressing(picked: readonly Picked[]): Filter<WriteDocument> {
  const lineages = Map.groupBy(picked, ({ thread_id, checkpoint_ns }) => JSON.stringify([thread_id, checkpoint_ns]));
  return {
    $or: [...lineages.values()].map((members) => {
      const [{ thread_id, checkpoint_ns }] = members as [Picked, ...Picked[]];
      return { thread_id, checkpoint_ns, checkpoint_id: { $in: members.map(({ checkpoint_id }) => checkpoint_id) } };
    }),
  };
}

function addressKey({ thread_id, checkpoint_ns, checkpoint_id }: CheckpointAddress): string {
  return JSON.stringify([thread_id, checkpoint_ns, checkpoint_id]);
}
