import { ALL_ROWS } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RunRef } from "../core/run.js";
import { threadLogToken } from "../core/thread-event.js";
import { missingEnd } from "./thread-log.js";

/** The worker of a run that ended more recently may be about to say so. */
const SETTLE_MS = 5_000;

/**
 * Ends what a crash left open in the logs of threads: the run has ended in the store, and nobody said so. A thread with runs in
 * flight is left to its next worker.
 * @returns one round: a look at the logs of threads that do not rest, as many as the log names at once
 */
export function createThreadLogReconciler(deps: {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly clock: Clock;
}): () => Promise<void> {
  const { store, eventLog } = deps;

  const reconcile = async (log: RunRef): Promise<void> => {
    const { threadId } = log;
    const page = { threadId, limit: 1, offset: 0, access: ALL_ROWS };
    if ((await store.runs.list({ ...page, status: ["pending", "running"] })).length > 0) return;
    const [newest] = await store.runs.list(page);
    // Both times are the store's.
    const explained = newest === undefined ? null : await store.runs.explain({ runId: newest.runId, access: ALL_ROWS });
    if (explained === null || explained.now - explained.run.updatedAt < SETTLE_MS) return;
    // Greater than its run's, and smaller than that of any run to come.
    const leaseToken = threadLogToken(explained.run);
    const end = await missingEnd(deps, threadId);
    if (end !== null) {
      await eventLog.begin(log, { leaseToken, lasting: true, resumable: true });
      eventLog.append(log, [end]);
      await eventLog.flush(log);
    }
    await eventLog.rest(log, { leaseToken });
  };

  return async () => {
    for (const log of await eventLog.restless()) await reconcile(log);
  };
}
