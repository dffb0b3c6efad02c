import { ALL_ROWS } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EventLog, RestlessLog } from "../core/event-log.js";
import type { EpochMs } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RunRef } from "../core/run.js";
import type { ThreadStatus } from "../core/thread.js";
import { batches } from "./batches.js";
import { missingEnd } from "./thread-log.js";

/** A thread that has just become idle, or has just been deleted, may have a worker that is about to say so. */
const SETTLE_MS = 5_000;
/** Threads that are gone are looked for among all that have a log in the first of so many rounds, a page at a time. */
const ROUNDS_PER_PAGE = 12;
/** A log that is found again within this time was not dealt with. */
const FORGET_MS = 3_600_000;

/**
 * Puts logs of threads to rest whose run has ended when its process died before it could, and drops those whose threads are gone:
 * a deletion may have been interrupted, or a worker that did not know of it may have begun the log again. Logs of threads with
 * runs in flight wait for their next attempt. Several processes may do this at once.
 * @returns one round
 */
export function createThreadLogReconciler(deps: {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly clock: Clock;
}): () => Promise<void> {
  const { store, eventLog, clock } = deps;
  /** Threads whose log is to be dropped, or put to rest, and since when that is known. */
  const goneSince = new Map<string, EpochMs>();
  const idleSince = new Map<string, EpochMs>();
  let rounds = 0;
  let page: RunRef | undefined;

  const statusOf = async (refs: readonly RunRef[]): Promise<ReadonlyMap<string, ThreadStatus>> => {
    const ids = refs.map(({ threadId }) => threadId);
    const found = await store.threads.search({
      ids,
      limit: ids.length,
      offset: 0,
      sortBy: "thread_id",
      sortOrder: "asc",
      withState: false,
      access: ALL_ROWS,
    });
    return new Map(found.rows.map(({ threadId, status }) => [threadId, status]));
  };

  /** Whether it has been so for long enough; otherwise a later round asks again. */
  const isSettled = (since: Map<string, EpochMs>, threadId: string): boolean => {
    const first = since.get(threadId) ?? clock.now();
    since.set(threadId, first);
    if (clock.now() - first < SETTLE_MS) return false;
    since.delete(threadId);
    return true;
  };

  /** What the log lacks is said before: that the run is over. */
  const rest = async (log: RestlessLog): Promise<void> => {
    const { leaseToken } = log;
    const end = await missingEnd(deps, log.threadId);
    if (end !== null) {
      await eventLog.begin(log, { leaseToken, lasting: true, resumable: true });
      eventLog.append(log, [end]);
    }
    await eventLog.rest(log, { leaseToken });
  };

  const dropGone = async (refs: readonly RunRef[], there: ReadonlyMap<string, ThreadStatus>): Promise<void> => {
    for (const ref of refs) {
      if (there.has(ref.threadId)) goneSince.delete(ref.threadId);
      else if (isSettled(goneSince, ref.threadId)) await eventLog.drop(ref);
    }
  };

  const restIdle = async (logs: readonly RestlessLog[], there: ReadonlyMap<string, ThreadStatus>): Promise<void> => {
    for (const log of logs) {
      const status = there.get(log.threadId);
      if (status === undefined || status === "busy") idleSince.delete(log.threadId);
      else if (isSettled(idleSince, log.threadId)) await rest(log);
    }
  };

  const nextPage = async (): Promise<readonly RunRef[]> => {
    const refs = await eventLog.lasting(page);
    const isOver = refs.length === 0 && page !== undefined;
    page = refs.at(-1);
    return isOver ? nextPage() : refs;
  };

  return async () => {
    for (const logs of batches(await eventLog.restless())) {
      const there = await statusOf(logs);
      await restIdle(logs, there);
      await dropGone(logs, there);
    }
    // Those that were found gone are looked at again in every round.
    const known = [...goneSince.keys()].map((threadId) => ({ runId: threadId, threadId }));
    const candidates = rounds % ROUNDS_PER_PAGE === 0 ? [...known, ...(await nextPage())] : known;
    rounds += 1;
    for (const refs of batches(candidates)) await dropGone(refs, await statusOf(refs));
    for (const since of [goneSince, idleSince]) {
      for (const [threadId, first] of since) if (clock.now() - first > FORGET_MS) since.delete(threadId);
    }
  };
}
