import type { Checkpointer } from "../core/checkpointer.js";
import type { EventLog } from "../core/event-log.js";
import { isStillIdle } from "../core/idle-thread.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { removeThreadRecords } from "../core/thread-records.js";

/** Threads whose rows go in one step: where the database works in this process, nothing else happens meanwhile. */
const THREADS_PER_ROUND = 10;

export interface ThreadExpiryDeps {
  readonly store: Pick<MetadataStore, "expiredThreads" | "deliveries" | "records" | "threads">;
  readonly checkpointer: Pick<Checkpointer, "deleteThread" | "prune">;
  readonly eventLog: Pick<EventLog, "dropThread">;
  readonly logger: Logger;
}

/** The right to sweep. */
export interface Lease {
  /** Whether to go on. */
  holds(): Promise<boolean>;
  /** Done: nobody else begins before it is time again. */
  rest(everyMs: number): Promise<void>;
}

/** Rounds over expired threads, until there are no more or the limit is reached. What fails is logged, and does not hold up the rest. */
export function createThreadExpiry(deps: ThreadExpiryDeps, pause: () => Promise<void>) {
  const { logger } = deps;
  const { expiredThreads } = deps.store;

  /** Everything but the rows, which are gone. The id is free afterwards. */
  const finishRemovals = async (held: Lease, failed: Set<string>): Promise<number> => {
    const noted = await expiredThreads.removed({ limit: THREADS_PER_ROUND + failed.size });
    let done = 0;
    for (const threadId of noted.filter((id) => !failed.has(id))) {
      if (!(await held.holds())) break;
      try {
        await deps.checkpointer.deleteThread(threadId);
        await deps.eventLog.dropThread(threadId);
        await deps.store.deliveries.deleteThread({ threadId });
        await removeThreadRecords(deps.store.records, threadId);
        await expiredThreads.forget({ threadIds: [threadId] });
        done += 1;
      } catch (error) {
        failed.add(threadId);
        logger.error({ err: error, threadId }, "an expired thread could not be removed completely");
      }
      await turn();
    }
    return done;
  };

  const removeThreads = async (held: Lease, limit: number): Promise<number> => {
    const failed = new Set<string>();
    let done = 0;
    for (let isLast = false; done < limit && (await held.holds());) {
      const finished = await finishRemovals(held, failed);
      done += finished;
      if (finished === 0 && isLast) break;
      const round = Math.min(THREADS_PER_ROUND, limit - done);
      isLast = round <= 0 || (await expiredThreads.remove({ limit: round })) === 0;
      if (!isLast) await pause();
    }
    return done;
  };

  const pruneThreads = async (held: Lease, limit: number): Promise<number> => {
    const seen = new Set<string>();
    let done = 0;
    while (done < limit && (await held.holds())) {
      const found = await expiredThreads.toPrune({ limit: Math.min(THREADS_PER_ROUND, limit - done) + seen.size });
      const fresh = found.filter(({ threadId }) => !seen.has(threadId));
      if (fresh.length === 0) break;
      for (const thread of fresh) {
        if (!(await held.holds())) break;
        try {
          let isIdle = true;
          const mayRemove = async (): Promise<boolean> => (isIdle = await isStillIdle(deps.store, thread));
          const { threadId } = thread;
          await deps.checkpointer.prune({ threadId, keep: { kind: "latest" }, dryRun: false, mayRemove });
          if (isIdle) {
            await expiredThreads.pruned(thread);
            done += 1;
          } else seen.add(threadId);
        } catch (error) {
          seen.add(thread.threadId);
          logger.error({ err: error, threadId: thread.threadId }, "an expired thread could not be pruned");
        }
        await turn();
      }
      await pause();
    }
    return done;
  };

  return { removeThreads, pruneThreads };
}

/** Storages that work in this process answer without giving others a turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
