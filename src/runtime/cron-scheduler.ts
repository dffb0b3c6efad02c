import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../core/clock.js";
import type { ClaimedCron, CronStore } from "../core/cron.js";
import type { Logger } from "../core/logger.js";
import { settledWithin } from "../core/settled-within.js";

/** A tick takes milliseconds; one whose process died is found again after this. */
const LEASE_MS = 10_000;
/** At least so often it looks: another process may have made a cron whose tick comes soon. */
const LOOK_MS = 2_000;
/** Crons of one claim, whose runs are started side by side. */
const CLAIMED_AT_ONCE = 20;
/** Pause after a look that failed. */
const RETRY_MS = 1_000;
/** Crons that fail, of which it is remembered how often. */
const FAILING_AT_MOST = 10_000;

/**
 * Starts the runs of crons whose tick has come. Every process that executes runs has one; the store sees to it that each tick has one
 * run. It looks when the next tick comes, by the store's time, and at least every 2 s.
 */
export interface CronScheduler {
  start(): void;
  /** Look soon: a cron was made or changed here. */
  wake(): void;
  /** No run is started any more. @returns when those under way have been */
  stop(): Promise<void>;
}

export function createCronScheduler(deps: {
  readonly crons: CronStore;
  /** @throws what says that the tick is to be tried again */
  readonly fire: (claimed: ClaimedCron) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}): CronScheduler {
  const { crons, clock, logger } = deps;
  let timer: Timer | null = null;
  let isRunning = false;
  let isAwaited = false;
  let looking: Promise<void> | null = null;

  /** By the cron's id: failures since its last run. */
  const failures = new Map<string, number>();
  /** Crons whose attempt goes on. */
  const underWay = new Set<string>();
  // Whoever makes a cron wakes this, and a timer inherits the request at hand: no run may be taken for a part of that.
  const outsideOfRequests = AsyncLocalStorage.snapshot();

  /** What fails each time is told the 1st, 2nd, 4th, 8th … time. */
  const failed = (cronId: string, error: unknown): void => {
    const times = (failures.get(cronId) ?? 0) + 1;
    if (failures.size >= FAILING_AT_MOST) failures.clear();
    failures.set(cronId, times);
    if ((times & (times - 1)) !== 0) return;
    const pause = `trying again in ${LEASE_MS / 1000} s`;
    logger.error({ err: error, cronId, failures: times }, `a cron's run could not be started; ${pause}`);
  };

  /** One that hangs keeps neither the others waiting nor is it begun anew: whoever else is there may take it. */
  const fireOne = async (claimed: ClaimedCron): Promise<void> => {
    const { cronId } = claimed.cron;
    const late = new Error(`not done within ${LEASE_MS} ms`);
    if (underWay.has(cronId)) {
      failed(cronId, late);
      return;
    }
    underWay.add(cronId);
    const attempt = deps
      .fire(claimed)
      .then(() => void failures.delete(cronId))
      .catch((error: unknown) => failed(cronId, error))
      .finally(() => underWay.delete(cronId));
    if (!(await settledWithin(clock, LEASE_MS, attempt))) failed(cronId, late);
  };

  /** @returns when to look again */
  const look = async (): Promise<number> => {
    for (;;) {
      const claimed = await crons.claimDue({ leaseMs: LEASE_MS, limit: CLAIMED_AT_ONCE });
      if (claimed.length === 0) break;
      await Promise.all(claimed.map(fireOne));
      if (!isRunning) return LOOK_MS;
      // Where the storage is in this process, thousands that are due at once would leave nobody else a turn.
      await nextTurn();
    }
    const { now, at } = await crons.nextDueAt();
    return at === null ? LOOK_MS : Math.min(Math.max(at - now, 1), LOOK_MS);
  };

  const round = async (): Promise<void> => {
    isAwaited = false;
    let pauseMs = RETRY_MS;
    try {
      pauseMs = await look();
    } catch (error) {
      logger.warn({ err: error }, "crons could not be looked at; trying again");
    } finally {
      looking = null;
      if (isRunning) schedule(isAwaited ? 1 : pauseMs);
    }
  };

  const schedule = (delayMs: number): void => {
    timer?.cancel();
    timer = clock.setTimer(() => {
      timer = null;
      looking = outsideOfRequests(round);
    }, delayMs);
  };

  return {
    start() {
      if (isRunning) return;
      isRunning = true;
      schedule(1);
    },
    wake() {
      isAwaited = true;
      if (isRunning && looking === null) schedule(1);
    },
    async stop() {
      isRunning = false;
      timer?.cancel();
      timer = null;
      await looking;
    },
  };
}
