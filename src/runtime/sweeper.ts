import { ALL_ROWS } from "../core/auth.js";
import type { Clock, Timer } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";

/** How many threads one round removes, so that a round never holds up traffic. */
const THREADS_PER_ROUND = 200;
/** Pause before the next round when this one has left something. */
const BACKLOG_PAUSE_MS = 50;

/**
 * Removes what has outlived its use: expired event logs, threads of finished stateless runs; and ends logs that a crash left.
 * Every process has one; what another one has done already is nothing to do.
 */
export interface Sweeper {
  /** End the logs that a crash left, at once. Never rejects: the next round does it again. */
  reconcile(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

export function createSweeper(
  deps: {
    readonly store: MetadataStore;
    readonly eventLog: EventLog;
    /** One round of each reconciler, by what it looks after. */
    readonly reconcilers: Readonly<Record<string, () => Promise<void>>>;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  options: {
    readonly everyMs: number;
    /** How long the thread of a resumable stateless run stays after its end, as its events do. */
    readonly temporaryThreadTtlMs: number;
  },
): Sweeper {
  const { store, eventLog, logger } = deps;
  let timer: Timer | null = null;
  let sweeping: Promise<void> = Promise.resolve();

  /** What fails must not keep the rest from being done: the event log may be away while the store is not. */
  const attempt = async (what: string, step: () => Promise<unknown>): Promise<void> => {
    try {
      await step();
    } catch (error) {
      logger.error({ err: error }, `sweeping failed: ${what}`);
    }
  };

  /** @returns whether there may be more. */
  const removeThreads = async (): Promise<boolean> => {
    const threads = await store.runs.abandonedTemporaryThreads({
      limit: THREADS_PER_ROUND,
      endedBeforeMs: options.temporaryThreadTtlMs,
    });
    for (const threadId of threads) {
      await store.threads.delete({ threadId, access: ALL_ROWS });
      await eventLog.dropThread(threadId);
    }
    return threads.length === THREADS_PER_ROUND;
  };

  const reconcile = async (): Promise<void> => {
    for (const [what, round] of Object.entries(deps.reconcilers)) await attempt(what, round);
  };

  const sweep = async (): Promise<boolean> => {
    let hasMore = false;
    await attempt("expired event logs", () => eventLog.sweep());
    await attempt("threads of stateless runs", async () => (hasMore = await removeThreads()));
    await reconcile();
    return hasMore;
  };

  const schedule = (delayMs: number): void => {
    timer = deps.clock.setTimer(() => {
      sweeping = sweep().then((hasMore) => {
        if (timer !== null) schedule(hasMore ? Math.min(BACKLOG_PAUSE_MS, options.everyMs) : options.everyMs);
      });
    }, delayMs);
  };

  return {
    reconcile,
    start() {
      if (timer === null) schedule(options.everyMs);
    },
    async stop() {
      timer?.cancel();
      timer = null;
      await sweeping;
    },
  };
}
