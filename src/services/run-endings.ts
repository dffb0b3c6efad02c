import { ALL_ROWS } from "../core/auth.js";
import type { Clock, Timer } from "../core/clock.js";
import { HeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { type Run, type RunRef, TERMINAL_RUN_STATUSES } from "../core/run.js";

/**
 * Tells when runs have ended by looking at their rows: for whoever waits and can't rely on an event log, which may have
 * been lost. One question for all who wait, ever more seldom.
 */
export interface RunEndings {
  /**
   * Tell `onEnd` once when the run has ended: its row, or `null` when the row is gone.
   * @param options.firstLookMs when to look first; the pauses then double up to 10 s
   * @returns stop watching
   */
  watch(run: RunRef, options: { readonly firstLookMs: number; readonly onEnd: (run: Run | null) => void }): () => void;
  /**
   * As a promise, looking soon.
   * @throws the signal's reason; `SHUTTING_DOWN` when the server closes first
   */
  ended(run: RunRef, signal?: AbortSignal): Promise<Run | null>;
}

interface Watch {
  readonly run: RunRef;
  readonly onEnd: (run: Run | null) => void;
  pauseMs: number;
  dueAt: number;
  looks: number;
}

const FIRST_LOOK_MS = 50;
const MAX_PAUSE_MS = 10_000;
/** Pause after a look that failed, at most: who waits longest must not pay most. */
const RETRY_MS = 1_000;
/** Runs asked for at once. */
const BATCH = 200;
/** Rows that are gone are found by asking for those that run, which are shipped whole: not in every look of a long wait. */
const LOOKS_PER_FULL_LOOK = 4;

export function createRunEndings(deps: {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when the server closes. */
  readonly closing?: AbortSignal;
}): RunEndings {
  const { store, clock, logger, closing } = deps;
  const watches = new Set<Watch>();
  let timer: Timer | null = null;
  let timerAt = Number.POSITIVE_INFINITY;
  let looking = false;

  const tell = (run: RunRef, row: Run | null, asked: readonly Watch[]): void => {
    for (const watch of asked) {
      if (watch.run.runId === run.runId && watches.delete(watch)) watch.onEnd(row);
    }
  };

  const lookAt = async (asked: readonly Watch[]): Promise<void> => {
    const runs = [...new Map(asked.map((watch) => [watch.run.runId, watch.run])).values()];
    const page = { runIds: runs.map((run) => run.runId), limit: runs.length, offset: 0, access: ALL_ROWS };
    for (const row of await store.runs.list({ ...page, status: TERMINAL_RUN_STATUSES })) tell(row, row, asked);
    const left = asked.filter((watch) => watches.has(watch) && watch.looks % LOOKS_PER_FULL_LOOK === 0);
    if (left.length === 0) return;
    const ids = [...new Set(left.map((watch) => watch.run.runId))];
    const there = await store.runs.list({ ...page, runIds: ids, limit: ids.length });
    const rows = new Set(there.map((row) => row.runId));
    for (const { run } of left) if (!rows.has(run.runId)) tell(run, null, asked);
  };

  const look = async (): Promise<void> => {
    looking = true;
    try {
      // Those who are due soon come along: many who wait are few questions.
      const due = [...watches].filter((watch) => watch.dueAt - clock.now() <= watch.pauseMs / 2);
      for (const watch of due) watch.pauseMs = Math.min(watch.pauseMs * 2, MAX_PAUSE_MS);
      for (let from = 0; from < due.length; from += BATCH) await lookAt(due.slice(from, from + BATCH));
      for (const watch of due) {
        // Only those that were answered count: a full look that failed is made up for by the next one.
        watch.looks += 1;
        watch.dueAt = clock.now() + watch.pauseMs;
      }
    } catch (error) {
      logger.warn({ err: error }, "the rows of runs could not be looked at; trying again");
      const now = clock.now();
      for (const watch of watches) watch.dueAt = Math.max(watch.dueAt, now + Math.min(watch.pauseMs, RETRY_MS));
    } finally {
      looking = false;
      arm();
    }
  };

  const arm = (): void => {
    if (looking || closing?.aborted === true || watches.size === 0) return;
    const next = Math.min(...[...watches].map((watch) => watch.dueAt));
    if (timer !== null && timerAt <= next) return;
    timer?.cancel();
    timerAt = next;
    timer = clock.setTimer(
      () => {
        timer = null;
        void look();
      },
      Math.max(next - clock.now(), 1),
    );
  };

  const watchRun: RunEndings["watch"] = (run, { firstLookMs, onEnd }) => {
    const watch: Watch = { run, onEnd, pauseMs: firstLookMs, dueAt: clock.now() + firstLookMs, looks: 0 };
    watches.add(watch);
    // Most waits are over before the first look: then the timer that is set finds nothing to do.
    if (timer === null || watch.dueAt < timerAt) arm();
    return () => void watches.delete(watch);
  };

  return {
    watch: watchRun,
    ended: (run, signal) =>
      new Promise((resolve, reject) => {
        const stop = (): void => {
          unwatch();
          signal?.removeEventListener("abort", onAbort);
          closing?.removeEventListener("abort", onClosing);
        };
        const onAbort = (): void => {
          stop();
          reject(signal?.reason as Error);
        };
        const onClosing = (): void => {
          stop();
          reject(new HeddleError("SHUTTING_DOWN"));
        };
        const unwatch = watchRun(run, {
          firstLookMs: FIRST_LOOK_MS,
          onEnd(row) {
            stop();
            resolve(row);
          },
        });
        if (signal?.aborted === true) onAbort();
        else if (closing?.aborted === true) onClosing();
        signal?.addEventListener("abort", onAbort, { once: true });
        closing?.addEventListener("abort", onClosing, { once: true });
      }),
  };
}
