import type { Clock, Timer } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";

/** How many threads one round removes, so that a round never holds up traffic. */
const THREADS_PER_ROUND = 200;
/** Pause before the next round when this one has left something. */
const BACKLOG_PAUSE_MS = 50;

/** Removes what has outlived its use: expired event logs, threads of finished stateless runs. */
export interface Sweeper {
  start(): void;
  stop(): Promise<void>;
}

export function createSweeper(
  deps: {
    readonly store: MetadataStore;
    readonly eventLog: EventLog;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  options: {
    readonly everyMs: number;
    /** How long the thread of a resumable stateless run stays after its end, as its events do. */
    readonly temporaryThreadTtlMs: number;
  },
): Sweeper {
  let timer: Timer | null = null;
  let round: Promise<void> = Promise.resolve();

  /** @returns whether there may be more. */
  const sweep = async (): Promise<boolean> => {
    await deps.eventLog.sweep();
    const threads = await deps.store.runs.abandonedTemporaryThreads({
      limit: THREADS_PER_ROUND,
      endedBeforeMs: options.temporaryThreadTtlMs,
    });
    for (const threadId of threads) {
      await deps.store.threads.delete({ threadId, access: { kind: "all" } });
      await deps.eventLog.dropThread(threadId);
    }
    return threads.length === THREADS_PER_ROUND;
  };

  const schedule = (delayMs: number): void => {
    timer = deps.clock.setTimer(() => {
      round = sweep()
        .catch((error: unknown) => {
          deps.logger.error({ err: error }, "sweeping failed");
          return false;
        })
        .then((hasMore) => {
          if (timer !== null) schedule(hasMore ? Math.min(BACKLOG_PAUSE_MS, options.everyMs) : options.everyMs);
        });
    }, delayMs);
  };

  return {
    start() {
      if (timer === null) schedule(options.everyMs);
    },
    async stop() {
      timer?.cancel();
      timer = null;
      await round;
    },
  };
}
