import type { ChoreStore } from "../core/chore.js";
import type { Clock, Timer } from "../core/clock.js";
import { isHeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";

const CHORE = "reembed-items";
/** Longer than a round, which renews it. */
const LEASE_MS = 120_000;
/** Between rounds, so that traffic comes in between. */
const PAUSE_MS = 50;
/** After a round that failed, and until somebody looks whether the process that does it still lives. */
const RETRY_MS = 60_000;
/** After the end, once: until then processes that this one replaces may have put items under the index before. */
const LAST_LOOK_MS = 600_000;
/** So often the model is asked about the same items; then they are left as they are until the next start. */
const MAX_ATTEMPTS = 10;

/** Brings the long-term store's vectors up to date after a start with another index; one process at a time. */
export interface ItemReembedder {
  start(): void;
  /** No round begins any more. @returns when the one under way has ended */
  stop(): Promise<void>;
}

/** @param deps.reembedding rounds of bounded size, until there is nothing left */
export function createItemReembedder(deps: {
  readonly reembedding: {
    round(): Promise<{ readonly embedded: number; readonly hasMore: boolean; readonly isAgain?: true }>;
    skip(): boolean;
  };
  readonly chores: ChoreStore;
  readonly workerId: string;
  readonly clock: Clock;
  readonly logger: Logger;
}): ItemReembedder {
  const { reembedding, chores, workerId, clock, logger } = deps;
  const claim = async (leaseMs: number): Promise<boolean> => chores.claim({ name: CHORE, leaseMs, workerId });
  let timer: Timer | null = null;
  let working: Promise<void> = Promise.resolve();
  let stopped = false;
  let total = 0;
  let failures = 0;
  let hasLooked = false;

  const failed = (error: unknown): number | null => {
    if (stopped) return null;
    failures += isHeddleError(error) && error.code === "EMBEDDING_FAILED" ? 1 : 0;
    if (failures < MAX_ATTEMPTS) {
      logger.warn({ err: error, failures }, "items could not be embedded anew; it is tried again");
      return RETRY_MS;
    }
    logger.error({ err: error }, "some items could not be embedded anew; they are left until the next start");
    failures = 0;
    return reembedding.skip() ? PAUSE_MS : null;
  };
  /** @returns the pause before the next round; `null`: all is done */
  const round = async (): Promise<number | null> => {
    if (!(await claim(LEASE_MS))) return RETRY_MS;
    const { embedded, hasMore, isAgain = false } = await reembedding.round();
    failures = 0;
    if (embedded > 0 && total === 0)
      logger.info({}, "The index of the long-term store has changed: embedding items anew");
    total += embedded;
    if (hasMore) return isAgain ? RETRY_MS : PAUSE_MS;
    if (total > 0) logger.info({ items: total }, "Items of the long-term store are embedded anew");
    await claim(0);
    total = 0;
    if (hasLooked) return null;
    hasLooked = true;
    return LAST_LOOK_MS;
  };
  const schedule = (delayMs: number): void => {
    timer = clock.setTimer(() => {
      working = round()
        .catch(failed)
        .then((pauseMs) => {
          if (pauseMs !== null && !stopped) schedule(pauseMs);
        });
    }, delayMs);
  };
  return {
    start: () => schedule(0),
    async stop() {
      stopped = true;
      timer?.cancel();
      await working;
    },
  };
}
