import type { AnyBulkWriteOperation } from "mongodb";
import type { CheckpointsKept } from "../core/checkpointer.js";
import { isDelta, readMetadata, removableIds, runIdOf } from "./checkpoint-metadata.js";
import {
  checkpointFields,
  documentId,
  metadataOf,
  nameOf,
  openedCheckpoint,
  openedMetadata,
  openedWrite,
  searchable,
  writeFields,
  type CheckpointCollections,
  type CheckpointDocument,
  type WriteDocument,
} from "./mongodb-documents.js";

import { keptCondition } from "./mongodb-retention.js";
import { PLACES, renamed, secretKeysOf, type Sealing } from "./sealing.js";

/** Written in one go while copying. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_DOCUMENTS = 50;
/** Ids in one deletion. */
const DELETED_IDS = 1_000;

/** Runs an idempotent operation until the server has answered. */
type Retrying = <T>(work: () => Promise<T>) => Promise<T>;

/** Checkpoints first: writes that a crash leaves behind belong to nothing. */
export async function deleteThread(
  { checkpoints, writes }: CheckpointCollections,
  retrying: Retrying,
  threadId: string,
): Promise<void> {
  await retrying(() => checkpoints.deleteMany({ thread_id: threadId }));
  await retrying(() => writes.deleteMany({ thread_id: threadId }));
}

/** Remove a run's checkpoints and writes, in all namespaces, where no survivor is rebuilt from them. */
export async function deleteRun(
  { checkpoints, writes }: CheckpointCollections,
  retrying: Retrying,
  params: { readonly threadId: string; readonly runId: string; readonly strays?: boolean },
): Promise<void> {
  const { threadId, runId, strays = false } = params;
  const projection = { checkpoint_ns: 1, checkpoint_id: 1, parent_checkpoint_id: 1, metadata: 1 };
  const rows = await retrying(async () => {
    const found = [];
    for await (const document of checkpoints.find({ thread_id: threadId }, { projection })) {
      const { metadata, text } = metadataOf(document);
      found.push({
        checkpointNs: document.checkpoint_ns,
        id: document.checkpoint_id,
        parentId: document.parent_checkpoint_id ?? undefined,
        delta: isDelta(text),
        doomed: runIdOf(metadata) === runId,
      });
    }
    return found;
  });
  for (const [checkpointNs, lineage] of Map.groupBy(rows, (row) => row.checkpointNs)) {
    const doomed = [...removableIds(lineage)];
    for (let start = 0; start < doomed.length; start += DELETED_IDS) {
      const ids = doomed.slice(start, start + DELETED_IDS);
      const condition = { thread_id: threadId, checkpoint_ns: checkpointNs, checkpoint_id: { $in: ids } };
      await retrying(() => checkpoints.deleteMany(condition));
      await retrying(() => writes.deleteMany(condition));
    }
  }
  if (strays) await deleteStrays({ checkpoints, writes }, retrying, threadId);
}

/** Writes are looked at before checkpoints: what comes meanwhile has its checkpoint. */
async function deleteStrays(
  { checkpoints, writes }: CheckpointCollections,
  retrying: Retrying,
  threadId: string,
): Promise<void> {
  const projection = { checkpoint_ns: 1, checkpoint_id: 1 };
  const addresses = (collection: CheckpointCollections["checkpoints"] | CheckpointCollections["writes"]) =>
    retrying(async () => {
      const found = new Map<string, { readonly checkpoint_ns: string; readonly checkpoint_id: string }>();
      for await (const { checkpoint_ns, checkpoint_id } of collection.find({ thread_id: threadId }, { projection })) {
        found.set(JSON.stringify([checkpoint_ns, checkpoint_id]), { checkpoint_ns, checkpoint_id });
      }
      return found;
    });
  const written = await addresses(writes);
  if (written.size === 0) return;
  const there = await addresses(checkpoints);
  const oldest = [...there.values()].reduce<string | null>(
    (found, { checkpoint_id: id }) => (found === null || id < found ? id : found),
    null,
  );
  for (const [key, address] of written) {
    if (there.has(key) || (oldest !== null && address.checkpoint_id >= oldest)) continue;
    await retrying(() => writes.deleteMany({ thread_id: threadId, ...address }));
  }
}

/**
 * Copy a thread over another, oldest checkpoints first and writes before them: there are no transactions, and what a crash
 * leaves is the thread as it once was.
 */
export async function copyThread(
  collections: CheckpointCollections,
  retrying: Retrying,
  sealing: Sealing,
  params: { readonly fromThreadId: string; readonly toThreadId: string; readonly keep?: CheckpointsKept },
): Promise<void> {
  const { fromThreadId, toThreadId, keep } = params;
  if (fromThreadId === toThreadId) return;
  const { checkpoints, writes } = collections;
  const condition =
    keep === undefined
      ? { thread_id: fromThreadId }
      : await keptCondition(collections, retrying, sealing, { threadId: fromThreadId, keep });
  if ((await retrying(() => checkpoints.findOne(condition, { projection: { _id: 1 } }))) === null) return;
  await deleteThread(collections, retrying, toThreadId);
  await inBatches(
    () => writes.find(condition).sort({ checkpoint_id: 1 }),
    ({ value }) => value.byteLength,
    (batch) => retrying(() => writes.bulkWrite(batch.map((document) => copyOfWrite(document, toThreadId, sealing)))),
  );
  const [from, to] = [JSON.stringify(fromThreadId), JSON.stringify(toThreadId)];
  await inBatches(
    () => checkpoints.find(condition).sort({ checkpoint_id: 1 }),
    ({ checkpoint }) => checkpoint.byteLength,
    (batch) =>
      retrying(() =>
        checkpoints.bulkWrite(
          batch.map((document) => {
            if (sealing.enabled) return sealedCopyOfCheckpoint(document, toThreadId, sealing);
            const text = metadataOf(document).text.replaceAll(from, to);
            return copyOfCheckpoint(document, toThreadId, text);
          }),
        ),
      ),
  );
}

/** Ids of threads that have checkpoints, in order, at most `limit`. One short look at an index for each. */
export async function threadIds(
  { checkpoints }: CheckpointCollections,
  retrying: Retrying,
  params: { readonly after: string | null; readonly limit: number },
): Promise<readonly string[]> {
  const ids: string[] = [];
  let { after } = params;
  while (ids.length < params.limit) {
    const condition = after === null ? {} : { thread_id: { $gt: after } };
    const options = { projection: { _id: 0, thread_id: 1 }, sort: { thread_id: 1 } } as const;
    const next = await retrying(() => checkpoints.findOne(condition, options));
    if (next === null) break;
    ids.push((after = next.thread_id));
  }
  return ids;
}

function copyOfWrite(
  document: WriteDocument,
  threadId: string,
  sealing: Sealing,
): AnyBulkWriteOperation<WriteDocument> {
  const { _id, thread_id: _, ...stored } = document;
  const { checkpoint_ns, checkpoint_id, task_id, idx } = stored;
  // What is sealed opens only under its thread's id.
  const place = PLACES.write(threadId, checkpoint_ns, checkpoint_id, task_id, idx);
  const kept = sealing.enabled ? { ...stored, ...writeFields(sealing, openedWrite(sealing, document), place) } : stored;
  const id = documentId(threadId, checkpoint_ns, checkpoint_id, task_id, idx);
  return { replaceOne: { filter: { _id: id }, replacement: { thread_id: threadId, ...kept }, upsert: true } };
}

function copyOfCheckpoint(
  document: CheckpointDocument,
  threadId: string,
  metadata: string,
): AnyBulkWriteOperation<CheckpointDocument> {
  const { _id, thread_id: _, ...kept } = document;
  const id = documentId(threadId, kept.checkpoint_ns, kept.checkpoint_id);
  const replacement = {
    thread_id: threadId,
    ...kept,
    metadata: Buffer.from(metadata),
    metadata_search: searchable(readMetadata(metadata)),
  };
  return { replaceOne: { filter: { _id: id }, replacement, upsert: true } };
}

function sealedCopyOfCheckpoint(
  document: CheckpointDocument,
  threadId: string,
  sealing: Sealing,
): AnyBulkWriteOperation<CheckpointDocument> {
  const of = { ...nameOf(document), threadId };
  const { data } = openedCheckpoint(sealing, document);
  const { metadata, sealedKeys } = openedMetadata(sealing, document);
  const moved = renamed(metadata, document.thread_id, threadId);
  const secretKeys = secretKeysOf({ metadata, ...(sealedKeys !== undefined && { sealedKeys }) });
  const stored = sealing.sealMetadata(moved, secretKeys, PLACES.metadata(threadId, of.checkpointNs, of.id));
  return copyOfCheckpoint(
    { ...document, ...checkpointFields(sealing, of, data.toString()) },
    threadId,
    JSON.stringify(stored),
  );
}

async function inBatches<T>(
  read: () => AsyncIterable<T>,
  bytesOf: (document: T) => number,
  write: (batch: readonly T[]) => Promise<unknown>,
): Promise<void> {
  let batch: T[] = [];
  let bytes = 0;
  for await (const document of read()) {
    batch.push(document);
    bytes += bytesOf(document);
    if (bytes < BATCH_BYTES && batch.length < BATCH_DOCUMENTS) continue;
    await write(batch);
    [batch, bytes] = [[], 0];
  }
  if (batch.length > 0) await write(batch);
}
