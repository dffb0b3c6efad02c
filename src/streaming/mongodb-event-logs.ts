import type { RunRef } from "../core/run.js";
import { isDuplicateKey } from "../databases/mongodb/failures.js";
import {
  eventsOf,
  makeBatch,
  type Batch,
  type BatchDocument,
  type EventCollections,
  type HeadDocument,
  type HeadWithoutTail,
} from "./mongodb-event-documents.js";
import { NEVER } from "./lasting-logs.js";

const WITHOUT_TAIL = { tail: 0 } as const;

/** A log's head without its events, also of a dropped log. */
export async function findHead({ heads }: EventCollections, run: RunRef): Promise<HeadWithoutTail | null> {
  const head = await heads.findOne<HeadWithoutTail>({ _id: run.runId }, { projection: WITHOUT_TAIL });
  return head?.threadId === run.threadId ? head : null;
}

/** Heads that are to be read, without their events; dropped ones are left out. */
export async function findHeads({ heads }: EventCollections, runIds: readonly string[]): Promise<HeadWithoutTail[]> {
  const found = heads.find({ _id: { $in: [...runIds] } }).project<HeadWithoutTail>(WITHOUT_TAIL);
  return (await found.toArray()).filter((head) => head.deleted !== true);
}

/** A head with its newest events; `null` for a dropped log. */
export async function findWholeHead({ heads }: EventCollections, run: RunRef): Promise<HeadDocument | null> {
  const head = await heads.findOne({ _id: run.runId });
  return head === null || head.threadId !== run.threadId || head.deleted === true ? null : head;
}

/** Forget dropped logs: their events first, so that a crash in between leaves the heads, which say what to do. */
export async function purge(
  { heads, batches, parts }: EventCollections,
  dropped: readonly Pick<HeadDocument, "_id" | "logId">[],
): Promise<void> {
  if (dropped.length === 0) return;
  const logId = { $in: dropped.map((head) => head.logId) };
  await Promise.all([batches.deleteMany({ logId }), parts.deleteMany({ logId })]);
  await heads.deleteMany({ _id: { $in: dropped.map(({ _id }) => _id) }, logId });
}

/**
 * The events of a lasting log that rests have expired: delete them, and keep the head. It is told first, and marked last: after a
 * crash in between it is still due. Whoever begins to write meanwhile stops it; what is left then goes with his events.
 * @returns false when the log does not rest any more
 */
export async function empty(collections: EventCollections, { _id, logId }: HeadWithoutTail): Promise<boolean> {
  const { heads, batches, parts } = collections;
  const whole = await heads.findOne({ _id, logId });
  if (whole === null || whole.deleted === true || whole.expiresAt === null) return false;
  const head = await spill(collections, whole);
  if (head.tail.length > 0) return false;
  const { nextSeq, expiresAt } = head;
  const same = { _id, logId, nextSeq, expiresAt };
  const gone = { bytes: 0, tokensTo: nextSeq - 1, statesTo: nextSeq - 1, newestState: -1 };
  if ((await heads.updateOne(same, { $set: gone })).matchedCount === 0) return false;
  const old = { logId, last: { $lt: nextSeq } };
  const inParts = await batches.find({ ...old, parts: { $exists: true } }).toArray();
  const ids = inParts.flatMap((batch) => batch.parts ?? []);
  if (ids.length > 0) await parts.deleteMany({ _id: { $in: ids } });
  await batches.deleteMany(old);
  return (await heads.updateOne(same, { $set: { expiresAt: NEVER } })).modifiedCount === 1;
}

/**
 * Move a head's events into documents of their own, so that the head stays small. Readers find them in one of both places at
 * any time. Of two who move at the same time one comes too late: its documents repeat what the other's hold.
 * @returns the head as it is then
 */
export async function spill(collections: EventCollections, head: HeadDocument): Promise<HeadDocument> {
  const [first] = head.tail;
  const last = head.tail.at(-1);
  if (first === undefined || last === undefined) return head;
  const { heads, batches } = collections;
  for (const batch of await joined(collections, head.tail)) {
    const document: BatchDocument = { _id: `${head.logId}:${batch.first}:${batch.last}`, logId: head.logId, ...batch };
    try {
      await batches.insertOne(document);
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
  }
  const spilledSeq = last.last + 1;
  const { _id, logId, nextSeq } = head;
  // As long as nobody has written meanwhile: otherwise the next one moves it.
  const update = { $set: { tail: [], spilledSeq } };
  const { matchedCount } = await heads.updateOne({ _id, logId, nextSeq, spilledSeq: head.spilledSeq }, update);
  if (matchedCount === 1) return { ...head, tail: [], spilledSeq };
  if ((await heads.findOne({ _id, logId }, { projection: { _id: 1 } })) === null) await batches.deleteMany({ logId });
  return head;
}

/** Batches that follow each other as one, but for those in parts. */
async function joined(collections: EventCollections, tail: readonly Batch[]): Promise<readonly Batch[]> {
  const result: Batch[] = [];
  let pending: Batch[] = [];
  const flush = async (): Promise<void> => {
    if (pending.length === 0) return;
    const events = (await Promise.all(pending.map((batch) => eventsOf(collections, batch)))).flat();
    result.push(await makeBatch(collections, null, events));
    pending = [];
  };
  for (const batch of tail) {
    if (batch.parts === undefined) {
      pending.push(batch);
      continue;
    }
    await flush();
    result.push(batch);
  }
  await flush();
  return result;
}
