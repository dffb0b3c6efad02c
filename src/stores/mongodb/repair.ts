import type { Collection, Filter } from "mongodb";
import { removeContents } from "./delivery-contents.js";
import type { RunDocument, ThreadDocument } from "./documents.js";
import type { Session } from "./session.js";

/** Ends that stand in their thread's document this long were left by a process that is gone. */
const UNSETTLED_MS = 2_000;
/** A document that nothing names after this time will never be: whoever wrote it gave up long ago. */
export const FORGOTTEN_MS = 10 * 60_000;
const ENDS_PER_CALL = 200;
const SWEEP_EVERY_MS = 60_000;
const DOCUMENTS_PER_SWEEP = 1_000;

/** How far the sweep of a collection has come: a part at a time, round and round. */
export interface Sweep {
  after: { readonly createdAt: number; readonly _id: string } | null;
}

export interface Sweeps {
  readonly runs: Sweep;
  readonly blobs: Sweep;
  readonly contents: Sweep;
  dueAt: number;
}

/** What dead processes have left half done. Idempotent, and a little at a time: called with every reaping. */
export async function repair(session: Session): Promise<void> {
  await settleEnds(session);
  const now = session.now();
  if (now < session.sweeps.dueAt) return;
  session.sweeps.dueAt = now + SWEEP_EVERY_MS;
  await sweepRuns(session);
  await sweepBlobs(session);
  await sweepContents(session);
}

/** Write ends to the runs' documents where nobody has. */
async function settleEnds(session: Session): Promise<void> {
  const found = await session.retrying(() =>
    session.threads
      .find(
        { "ended.updatedAt": { $lte: session.now() - UNSETTLED_MS } },
        { projection: { ended: 1 }, limit: ENDS_PER_CALL },
      )
      .toArray(),
  );
  await session.outbox.settle(found.map(({ _id, ended }) => ({ threadId: _id, ended })));
}

/** Remove documents of runs that never came to count, and those of threads that are gone. */
async function sweepRuns(session: Session): Promise<void> {
  const old = await nextOld(session, sweptRuns(session), session.sweeps.runs);
  const threads = await threadsOf(session, old, { uid: 1, running: 1, queue: 1, ended: 1 });
  await remove(
    session,
    sweptRuns(session),
    old.filter(({ thread }) => !threads.has(thread)),
  );
  const forgotten = old.filter(({ _id, thread }) => {
    const owner = threads.get(thread);
    if (owner === undefined) return false;
    return ![owner.running, ...owner.queue, ...owner.ended].some((entry) => entry?.runId === _id);
  });
  // One that has ended says so itself.
  await remove(session, sweptRuns(session), forgotten, { status: "inflight" });
}

/** Remove texts that no thread names. */
async function sweepBlobs(session: Session): Promise<void> {
  const old = await nextOld(session, sweptBlobs(session), session.sweeps.blobs);
  const threads = await threadsOf(session, old, {
    uid: 1,
    "values.blob": 1,
    "interrupts.blob": 1,
    "error.blob": 1,
  });
  const forgotten = old.filter(({ _id, thread }) => {
    const owner = threads.get(thread);
    const named = [owner?.values, owner?.interrupts, owner?.error];
    return !named.some((stored) => stored && "blob" in stored && stored.blob === _id);
  });
  await remove(session, sweptBlobs(session), forgotten);
}

/** Remove contents that no delivery names, and no end that is still to be written: they were written for ends that others decided. */
async function sweepContents(session: Session): Promise<void> {
  const { deliveries, threads, sweeps } = session;
  const old = await nextOld(session, sweptContents(session), sweeps.contents);
  if (old.length === 0) return;
  const ids = old.map(({ _id }) => _id);
  const named = await session.retrying(() =>
    deliveries.find({ contentId: { $in: ids } }, { projection: { contentId: 1 } }).toArray(),
  );
  const ending = await session.retrying(() =>
    threads.find({ "ended.updatedAt": { $exists: true } }, { projection: { ended: 1 } }).toArray(),
  );
  const kept = new Set([
    ...named.map(({ contentId }) => contentId),
    ...ending.flatMap(({ ended }) => ended.map(({ webhook }) => webhook?.contentId)),
  ]);
  await removeContents(
    session,
    ids.filter((id) => !kept.has(id)),
  );
}

function sweptContents({ database, deliveryContents }: Session): Collection<Swept> {
  return database.db.collection(deliveryContents.collectionName);
}

/** What runs and blobs have in common. */
interface Swept {
  readonly _id: string;
  readonly thread: string;
  readonly threadId: string;
  readonly createdAt: number;
  readonly status?: RunDocument["status"];
}

function sweptRuns({ database, runs }: Session): Collection<Swept> {
  return database.db.collection(runs.collectionName);
}

function sweptBlobs({ database, blobs }: Session): Collection<Swept> {
  return database.db.collection(blobs.collectionName);
}

async function nextOld(session: Session, collection: Collection<Swept>, sweep: Sweep): Promise<readonly Swept[]> {
  const before = session.now() - FORGOTTEN_MS;
  const { after } = sweep;
  const conditions: Filter<Swept>[] = [{ createdAt: { $lte: before } }];
  if (after !== null) {
    const { createdAt, _id } = after;
    conditions.push({ $or: [{ createdAt: { $gt: createdAt } }, { createdAt, _id: { $gt: _id } }] });
  }
  const rows = await session.retrying(() =>
    collection
      .find({ $and: conditions }, { projection: { thread: 1, threadId: 1, createdAt: 1 } })
      .sort({ createdAt: 1, _id: 1 })
      .limit(DOCUMENTS_PER_SWEEP)
      .toArray(),
  );
  const last = rows.at(-1);
  const isRound = last === undefined || rows.length < DOCUMENTS_PER_SWEEP;
  sweep.after = isRound ? null : { createdAt: last.createdAt, _id: last._id };
  return rows;
}

async function threadsOf(
  session: Session,
  rows: readonly Swept[],
  projection: Readonly<Record<string, 1>>,
): Promise<ReadonlyMap<string, ThreadDocument>> {
  if (rows.length === 0) return new Map();
  const ids = [...new Set(rows.map(({ threadId }) => threadId))];
  const found = await session.retrying(() => session.threads.find({ _id: { $in: ids } }, { projection }).toArray());
  return new Map(found.map((thread) => [thread.uid, thread]));
}

async function remove(
  session: Session,
  collection: Collection<Swept>,
  rows: readonly Swept[],
  filter: Filter<Swept> = {},
): Promise<void> {
  if (rows.length === 0) return;
  const ids = rows.map(({ _id }) => _id);
  await session.retrying(() => collection.deleteMany({ $and: [filter, { _id: { $in: ids } }] }));
}
