import { randomUUID } from "node:crypto";
import type { AnyBulkWriteOperation, Filter, UpdateFilter } from "mongodb";
import type { EpochMs } from "../core/json.js";
import type { RunEvent } from "../core/run-event.js";
import { inBulks } from "../databases/mongodb/bulk.js";
import { isDuplicateKey } from "../databases/mongodb/failures.js";
import type { LogWrite } from "./event-storage.js";
import {
  makeBatch,
  MAX_INLINE_BYTES,
  type Batch,
  type EventCollections,
  type HeadDocument,
} from "./mongodb-event-documents.js";
import { findHead, purge } from "./mongodb-event-logs.js";
import { eventBytes } from "./run-buffer.js";

/** Others change the same head meanwhile: readers, a successor. */
const MAX_CONFLICTS = 20;

/** A log's share, with a name for this attempt to write it. */
interface Attempt {
  readonly write: LogWrite;
  readonly writeId: string;
}

/**
 * Write logs' shares, each by one update of its head. What the writer knows of the log is the condition, so that in the
 * ordinary case one request writes all logs.
 * @returns the refused ones
 */
export async function writeLogs(
  collections: EventCollections,
  now: () => EpochMs,
  writes: readonly LogWrite[],
): Promise<readonly LogWrite[]> {
  const attempts = writes.map((write) => ({ write, writeId: randomUUID() }));
  const isLarge = ({ write }: Attempt): boolean => write.bytes > MAX_INLINE_BYTES;
  const ordinary = attempts.filter((attempt) => attempt.write.storedSeq !== null && !isLarge(attempt));
  const fresh = attempts.filter((attempt) => attempt.write.storedSeq === null && !isLarge(attempt));
  const left = [...attempts.filter(isLarge), ...(await createMany(collections, now(), fresh))];
  for (const bulk of inBulks(ordinary)) left.push(...(await growMany(collections, now(), bulk)));
  const accepted = await Promise.all(left.map((attempt) => writeOne(collections, now, attempt)));
  return left.filter((_, index) => accepted[index] === false).map(({ write }) => write);
}

/** @returns those that did not go as expected, or all when one did not: their attempt's name tells which were done. */
async function growMany(
  collections: EventCollections,
  now: EpochMs,
  attempts: readonly Attempt[],
): Promise<readonly Attempt[]> {
  if (attempts.length === 0) return [];
  const operations: AnyBulkWriteOperation<HeadDocument>[] = [];
  for (const attempt of attempts) {
    const { write } = attempt;
    const { run, leaseToken, storedSeq, sealForMs } = write;
    const filter: Filter<HeadDocument> = {
      _id: run.runId,
      threadId: run.threadId,
      nextSeq: storedSeq ?? 0,
      leaseToken: { $lte: leaseToken },
      sealedAt: null,
      lasting: write.lasting ? true : { $exists: false },
      ...(sealForMs !== null && { keepMs: { $lte: sealForMs } }),
    };
    const batches = await batchesOf(collections, null, write.events);
    const update = growth(now, attempt, { batches, lasting: write.lasting, keepMs: 0, bytes: write.bytes });
    operations.push({ updateOne: { filter, update } });
  }
  const { matchedCount } = await collections.heads.bulkWrite(operations, { ordered: false });
  return matchedCount === attempts.length ? [] : attempts;
}

/** @returns those whose log was there already */
async function createMany(
  collections: EventCollections,
  now: EpochMs,
  attempts: readonly Attempt[],
): Promise<readonly Attempt[]> {
  if (attempts.length === 0) return [];
  const documents: HeadDocument[] = [];
  for (const attempt of attempts) {
    documents.push(newHead(now, attempt, randomUUID(), await batchesOf(collections, null, attempt.write.events)));
  }
  try {
    await collections.heads.insertMany(documents, { ordered: false });
    return [];
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    return attempts;
  }
}

/** @returns false when it is refused. */
async function writeOne(collections: EventCollections, now: () => EpochMs, attempt: Attempt): Promise<boolean> {
  const { write, writeId } = attempt;
  const { run, leaseToken, storedSeq } = write;
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
    const head = await findHead(collections, run);
    if (head?.writeId === writeId) return true;
    if (head?.deleted === true) {
      await purge(collections, [head]);
      continue;
    }
    if (head === null) {
      if (storedSeq !== null) return false;
      if (await create(collections, now(), attempt)) return true;
      continue;
    }
    if (head.leaseToken > leaseToken || head.sealedAt !== null || head.nextSeq < (storedSeq ?? 0)) return false;
    const events = write.events.filter(({ seq }) => seq >= head.nextSeq);
    const bytes = events.length === write.events.length ? write.bytes : bytesOf(events);
    const batches = await batchesOf(collections, head.logId, events);
    const { nextSeq, keepMs, logId } = head;
    const filter = { _id: run.runId, logId, nextSeq, keepMs, leaseToken: head.leaseToken, sealedAt: null };
    const update = growth(now(), attempt, { batches, lasting: head.lasting === true, keepMs, bytes });
    if ((await collections.heads.updateOne(filter, update)).matchedCount === 1) return true;
    await forgetParts(collections, batches);
  }
  throw new Error(`The event log of run ${run.runId} is changed by too many at once`);
}

async function create(collections: EventCollections, now: EpochMs, attempt: Attempt): Promise<boolean> {
  const logId = randomUUID();
  const batches = await batchesOf(collections, logId, attempt.write.events);
  try {
    await collections.heads.insertOne(newHead(now, attempt, logId, batches));
    return true;
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    await forgetParts(collections, batches);
    return false;
  }
}

/** Parts that no head refers to. */
async function forgetParts({ parts }: EventCollections, batches: readonly Batch[]): Promise<void> {
  const ids = batches.flatMap((batch) => batch.parts ?? []);
  if (ids.length > 0) await parts.deleteMany({ _id: { $in: ids } });
}

async function batchesOf(
  collections: EventCollections,
  logId: string | null,
  events: readonly RunEvent[],
): Promise<readonly Batch[]> {
  return events.length === 0 ? [] : [await makeBatch(collections, logId, events)];
}

function growth(
  now: EpochMs,
  { write, writeId }: Attempt,
  log: {
    readonly batches: readonly Batch[];
    readonly lasting: boolean;
    readonly keepMs: number;
    readonly bytes: number;
  },
): UpdateFilter<HeadDocument> {
  const { evicted, leaseToken, nextSeq, sealForMs } = write;
  const { batches, lasting, keepMs, bytes } = log;
  return {
    $max: {
      nextSeq,
      leaseToken,
      tokensTo: evicted.tokensTo,
      statesTo: evicted.statesTo,
      newestState: newestState(write.events),
    },
    $set: {
      writeId,
      ...(lasting && { expiresAt: sealForMs === null ? null : now + sealForMs }),
      ...(!lasting && sealForMs !== null && { sealedAt: now, expiresAt: now + Math.max(sealForMs, keepMs) }),
    },
    ...(batches.length > 0 && { $inc: { bytes }, $push: { tail: { $each: [...batches] } } }),
  };
}

function newHead(now: EpochMs, attempt: Attempt, logId: string, batches: readonly Batch[]): HeadDocument {
  const { write, writeId } = attempt;
  const { run, resumable, lasting, leaseToken, nextSeq, bytes, evicted, events, sealForMs } = write;
  return {
    _id: run.runId,
    threadId: run.threadId,
    logId,
    createdAt: now,
    resumable,
    ...(lasting && { lasting }),
    leaseToken,
    nextSeq,
    bytes,
    tokensTo: evicted.tokensTo,
    statesTo: evicted.statesTo,
    newestState: newestState(events),
    spilledSeq: 0,
    tail: batches,
    sealedAt: sealForMs === null || lasting ? null : now,
    expiresAt: sealForMs === null ? null : now + sealForMs,
    keepMs: 0,
    writeId,
  };
}

function newestState(events: readonly RunEvent[]): number {
  return events.findLast(({ kind }) => kind === "state")?.seq ?? -1;
}

function bytesOf(events: readonly RunEvent[]): number {
  return events.reduce((sum, event) => sum + eventBytes(event), 0);
}
