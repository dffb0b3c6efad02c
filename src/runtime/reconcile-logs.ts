import { ALL_ROWS } from "../core/auth.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { lastEvent } from "../core/run-event.js";
import { removeRunLeftovers } from "../core/run-leftovers.js";
import { type RunRef, TERMINAL_RUN_STATUSES } from "../core/run.js";
import { batches } from "./batches.js";

/** A run that ended more recently may have a worker that is about to seal its log. */
const SETTLE_MS = 5_000;
/** Runs that are gone, not ended, are looked for in the first of so many rounds: that ships whole rows. */
const ROUNDS_PER_FULL_LOOK = 12;
/** A run that is gone is named again within this time, unless its log is, too. */
const FORGET_MS = 3_600_000;

/**
 * Ends the logs of runs that had ended, or were deleted, when their process died before it could say so. Logs of other runs
 * wait for their next attempt. Several processes may do this at once: a log is sealed once. The log that a deleted run left
 * unsealed also says that nobody has removed what its worker wrote last: its checkpoints go first.
 * @returns one round: a look at the logs that are not sealed, as many as the log names at once
 */
export function createLogReconciler(deps: {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly checkpointer: Checkpointer;
  readonly clock: Clock;
  readonly logger: Logger;
}): () => Promise<void> {
  const { store, eventLog, clock } = deps;
  /** Runs without a row, and since when they were known to have none. */
  const goneSince = new Map<string, number>();
  let rounds = 0;

  const seal = async (ref: RunRef, run: Parameters<typeof lastEvent>[1]): Promise<void> => {
    await eventLog.seal(ref, [lastEvent(ref.runId, run)]);
  };

  const sealEnded = async (refs: readonly RunRef[]): Promise<void> => {
    const ended = await store.runs.list({ ...pageOf(refs), status: TERMINAL_RUN_STATUSES });
    for (const { runId, threadId } of ended) {
      // Both times are the store's.
      const explained = await store.runs.explain({ runId, access: ALL_ROWS });
      if (explained === null || explained.now - explained.run.updatedAt < SETTLE_MS) continue;
      await seal({ runId, threadId }, explained.run);
    }
  };

  const sealGone = async (refs: readonly RunRef[]): Promise<void> => {
    const there = new Set((await store.runs.list(pageOf(refs))).map((run) => run.runId));
    for (const ref of refs) {
      const since = goneSince.get(ref.runId) ?? clock.now();
      if (there.has(ref.runId)) {
        goneSince.delete(ref.runId);
        continue;
      }
      goneSince.set(ref.runId, since);
      if (clock.now() - since < SETTLE_MS) continue;
      await removeRunLeftovers(deps, ref);
      await seal(ref, null);
      goneSince.delete(ref.runId);
    }
  };

  return async () => {
    const unsealed = await eventLog.unsealed();
    const isFull = rounds % ROUNDS_PER_FULL_LOOK === 0;
    rounds += 1;
    for (const refs of batches(unsealed)) await sealEnded(refs);
    const candidates = isFull ? unsealed : unsealed.filter((ref) => goneSince.has(ref.runId));
    for (const refs of batches(candidates)) await sealGone(refs);
    // Sealed or dropped by others: no log names them any more.
    for (const [runId, since] of goneSince) if (clock.now() - since > FORGET_MS) goneSince.delete(runId);
  };
}

function pageOf(refs: readonly RunRef[]) {
  return { runIds: refs.map((ref) => ref.runId), limit: refs.length, offset: 0, access: ALL_ROWS };
}
