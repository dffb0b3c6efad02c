import { ALL_ROWS } from "../core/auth.js";
import type { EventLog } from "../core/event-log.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { lastEvent } from "../core/run-event.js";
import { isTerminal } from "../core/run-lifecycle.js";

/**
 * At start: end the logs of runs that had ended, or were deleted, when the process died before it could say so. Logs of
 * other runs wait for their next attempt.
 */
export async function reconcileLogs(store: MetadataStore, eventLog: EventLog): Promise<void> {
  // A log names only so many at once: the next ones come when these are sealed.
  for (let sealed = 1; sealed > 0;) {
    sealed = 0;
    for (const ref of await eventLog.unsealed()) {
      const run = await store.runs.get({ ...ref, access: ALL_ROWS });
      if (run !== null && !isTerminal(run.status)) continue;
      await eventLog.begin(ref);
      eventLog.append(ref, [lastEvent(ref.runId, run)]);
      await eventLog.seal(ref);
      sealed += 1;
    }
  }
}
