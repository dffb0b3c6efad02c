import { randomUUID } from "node:crypto";
import type { Filter, UpdateFilter } from "mongodb";
import { HeddleError } from "../../core/errors.js";
import { termsOf } from "../../core/filter-terms.js";
import type { EpochMs } from "../../core/json.js";
import type { CancelAction } from "../../core/run.js";
import type { ThreadTtl } from "../../core/thread.js";
import { isConnectionLost, isDuplicateKey } from "../../databases/mongodb/failures.js";
import { beingRemoved, type SettledStatus } from "../run-rules.js";
import { forgetBlobs } from "./blobs.js";
import type { EndedEntry, QueueEntry, QueueHead, RunningEntry, StoredText, ThreadDocument } from "./documents.js";
import { parseObject } from "./rows.js";
import type { Session } from "./session.js";

/** How many names of changes a document keeps: more must not happen to it while one process waits for a lost server. */
const KEPT_CHANGES = 12;
const MAX_WAIT_MS = 30_000;
const MAX_PAUSE_MS = 40;

/** All of a thread but its texts; their blobs are named. */
export const WITHOUT_TEXTS = { "values.text": 0, "interrupts.text": 0, "error.text": 0 } as const;

/** What a change sets. Status and head of the queue follow. */
export interface ThreadChange {
  readonly running?: RunningEntry | null;
  /** Of the running run, whose lease may be extended at the same time. */
  readonly cancelRunning?: CancelAction;
  readonly queue?: readonly QueueEntry[];
  /** Runs that leave the queue now. */
  readonly ended?: readonly EndedEntry[];
  readonly settledStatus?: SettledStatus;
  readonly createdAt?: EpochMs;
  readonly updatedAt?: EpochMs;
  readonly stateUpdatedAt?: EpochMs;
  readonly metadata?: string;
  readonly config?: string;
  readonly temporary?: boolean;
  readonly watched?: boolean;
  readonly ttl?: ThreadTtl | null;
  readonly values?: StoredText | null;
  readonly interrupts?: StoredText | null;
  readonly error?: StoredText | null;
}

export type Decision<T> =
  | { readonly kind: "leave"; readonly result: T }
  | {
      readonly kind: "change";
      readonly change: ThreadChange;
      /** Beyond "nobody has changed it meanwhile": a heartbeat is no such change. */
      readonly onlyIf?: Filter<ThreadDocument>;
      readonly result: T;
    }
  | { readonly kind: "insert"; readonly thread: ThreadDocument; readonly result: T };

/**
 * Read a thread, decide, write: one atomic step, because the write takes effect only on the very revision that was read. It starts
 * over when another process was faster. A write whose answer was lost is recognised by its name, so it is done once.
 * @param where the thread, or one that holds a lease
 * @param decide may be called several times
 * @returns the result that was decided for what then happened
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the server is away, or others were faster for 30 s
 */
export async function changeThread<T>(
  session: Session,
  where: { readonly threadId: string } | { readonly lease: string },
  decide: (thread: ThreadDocument | null) => Decision<T> | Promise<Decision<T>>,
): Promise<T> {
  const { threads } = session;
  const read = (filter: Filter<ThreadDocument>): Promise<ThreadDocument | null> =>
    session.retrying(() => threads.findOne(filter, { projection: WITHOUT_TEXTS }));
  if ("threadId" in where) {
    const filter = { _id: where.threadId };
    return session.inTurn(where.threadId, () => attempt(session, () => read(filter), decide));
  }
  const known = session.leases.threadOf(where.lease);
  const first = await read(known === undefined ? { "running.lease": where.lease } : { _id: known });
  if (first === null) {
    const decision = await decide(null);
    return decision.result;
  }
  let fresh: ThreadDocument | null = first;
  const readAgain = async (): Promise<ThreadDocument | null> => {
    const thread = fresh ?? (await read({ _id: first._id }));
    fresh = null;
    return thread;
  };
  return session.inTurn(first._id, () => attempt(session, readAgain, decide));
}

async function attempt<T>(
  session: Session,
  read: () => Promise<ThreadDocument | null>,
  decide: (thread: ThreadDocument | null) => Decision<T> | Promise<Decision<T>>,
): Promise<T> {
  const deadline = performance.now() + MAX_WAIT_MS;
  let unanswered: { readonly name: string; readonly result: T } | null = null;
  for (let tries = 1; ; tries += 1) {
    const thread = await read();
    if (unanswered !== null && thread?.changes.includes(unanswered.name) === true) return unanswered.result;
    const decision = await decide(thread);
    if (decision.kind === "leave") return decision.result;
    const name = randomUUID().slice(0, 8);
    try {
      if (await write(session, thread, decision, name)) return decision.result;
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
      unanswered = { name, result: decision.result };
    }
    if (performance.now() >= deadline) throw tooBusy(thread?._id);
    await pause(Math.random() * Math.min(2 ** Math.min(tries, 10), MAX_PAUSE_MS));
  }
}

/** @returns false when another process was faster */
async function write<T>(
  session: Session,
  thread: ThreadDocument | null,
  decision: Exclude<Decision<T>, { readonly kind: "leave" }>,
  name: string,
): Promise<boolean> {
  if (decision.kind === "insert") {
    try {
      await session.threads.insertOne({ ...decision.thread, changes: [name] });
      await refuseRemoved(session, decision.thread);
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }
  if (thread === null) throw new TypeError("a thread that is not there cannot be changed");
  const { _id, uid, rev } = thread;
  const { change, onlyIf } = decision;
  const { matchedCount } = await session.threads.updateOne(
    { ...onlyIf, _id, uid, rev },
    updateOf(thread, change, { name, now: session.now() }),
  );
  if (matchedCount === 0) return false;
  session.outbox.add({ threadId: _id, ended: change.ended ?? [] });
  forgetBlobs(session, [
    change.values === undefined ? null : thread.values,
    change.interrupts === undefined ? null : thread.interrupts,
    change.error === undefined ? null : thread.error,
  ]);
  return true;
}

/**
 * After the insert: its id was free because an expired thread has just gone, of which there may still be checkpoints.
 * @throws HeddleError `THREAD_BUSY`; the thread is gone again
 */
export async function refuseRemoved(session: Session, { _id, uid }: ThreadDocument): Promise<void> {
  if ((await session.retrying(() => session.removals.findOne({ _id }))) === null) return;
  await session.retrying(() => session.threads.deleteOne({ _id, uid }));
  throw beingRemoved(_id);
}

function updateOf(
  thread: ThreadDocument,
  { cancelRunning, ended, metadata, queue: newQueue, ...plain }: ThreadChange,
  { name, now }: { readonly name: string; readonly now: EpochMs },
): UpdateFilter<ThreadDocument> {
  const running = plain.running === undefined ? thread.running : plain.running;
  const queue = newQueue ?? thread.queue;
  const status = running !== null || queue.length > 0 ? "busy" : (plain.settledStatus ?? thread.settledStatus);
  const updatedAt = plain.updatedAt ?? (status === thread.status ? thread.updatedAt : now);
  const ttl = plain.ttl === undefined ? thread.ttl : plain.ttl;
  const step = newQueue === undefined ? {} : queueStep(thread.queue, newQueue);
  const { $set: wholeQueue, ...arrays } = step;
  const push = {
    ...arrays.$push,
    ...(ended === undefined || ended.length === 0 ? {} : { ended: { $each: [...ended] } }),
  };
  return {
    $set: {
      ...plain,
      status,
      updatedAt,
      ...expiry(thread, ttl, updatedAt),
      head: headOf(running, queue),
      changes: [...thread.changes.slice(1 - KEPT_CHANGES), name],
      ...(metadata === undefined ? {} : { metadata, terms: termsOf(parseObject(metadata)) }),
      ...(cancelRunning === undefined ? {} : { "running.cancel": cancelRunning }),
      ...wholeQueue,
    },
    $inc: { rev: 1 },
    ...(plain.ttl === null ? { $unset: { expiresAt: "" } } : {}),
    ...(Object.keys(push).length === 0 ? {} : { $push: push }),
    ...(arrays.$pop === undefined ? {} : { $pop: arrays.$pop }),
  };
}

/** A thread that was pruned expires again once it was active. */
function expiry(
  thread: ThreadDocument,
  ttl: ThreadTtl | null | undefined,
  updatedAt: EpochMs,
): { readonly expiresAt?: EpochMs } {
  if (ttl === undefined || ttl === null || (updatedAt === thread.updatedAt && ttl === thread.ttl)) return {};
  return { expiresAt: updatedAt + ttl.ttlMs };
}

interface QueueStep {
  readonly $push?: { readonly queue: QueueEntry };
  readonly $pop?: { readonly queue: -1 };
  readonly $set?: { readonly queue: readonly QueueEntry[] };
}

/** The steps that nearly all are, one more at the end and the first one gone, do not send the whole of a long queue. */
function queueStep(before: readonly QueueEntry[], after: readonly QueueEntry[]): QueueStep {
  const last = after.at(-1);
  if (last !== undefined && after.length === before.length + 1 && before.every((entry, i) => entry === after[i])) {
    return { $push: { queue: last } };
  }
  if (before.length > 0 && after.length === before.length - 1 && after.every((entry, i) => entry === before[i + 1])) {
    return { $pop: { queue: -1 } };
  }
  return after === before ? {} : { $set: { queue: after } };
}

export function headOf(running: RunningEntry | null, queue: readonly QueueEntry[]): QueueHead | null {
  const [first] = queue;
  if (running !== null || first === undefined) return null;
  const retryAt = queue.reduce((latest, entry) => Math.max(latest, entry.retryAt ?? 0), 0);
  return { dueAt: first.dueAt, runId: first.runId, retryAt: retryAt === 0 ? null : retryAt };
}

/** A thread without runs. */
export function newThread(params: {
  readonly threadId: string;
  readonly metadata: string;
  readonly config: string;
  readonly temporary: boolean;
  readonly ttl?: ThreadTtl | undefined;
  readonly now: EpochMs;
}): ThreadDocument {
  const { threadId, metadata, config, temporary, ttl, now } = params;
  return {
    _id: threadId,
    uid: randomUUID(),
    rev: 1,
    changes: [],
    createdAt: now,
    updatedAt: now,
    stateUpdatedAt: now,
    status: "idle",
    settledStatus: "idle",
    metadata,
    terms: termsOf(parseObject(metadata)),
    config,
    temporary,
    ...(ttl !== undefined && { ttl, expiresAt: now + ttl.ttlMs }),
    running: null,
    queue: [],
    head: null,
    ended: [],
    values: null,
    interrupts: null,
    error: null,
  };
}

function tooBusy(threadId: string | undefined): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `Thread ${threadId ?? "?"} could not be changed for ${MAX_WAIT_MS / 1000} s: other processes change it all the time, or MongoDB is away.`,
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
