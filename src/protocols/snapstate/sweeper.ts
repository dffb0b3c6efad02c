import type { Clock, Timer } from "../../core/clock.js";
import type { Logger } from "../../core/logger.js";

/** How long a workflow may be over before that is told. */
const EVERY_MS = 1_000;

/** Looks at workflows that are due, about every second. */
export interface Sweeper {
  start(): void;
  /** @returns when the sweep under way has ended */
  stop(): Promise<void>;
}

export function createSweeper(deps: {
  readonly sweep: () => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}): Sweeper {
  const { sweep, clock, logger } = deps;
  let timer: Timer | null = null;
  let working: Promise<void> = Promise.resolve();
  let isRunning = false;

  const schedule = (): void => {
    // Processes should not come in step.
    if (isRunning) timer = clock.setTimer(round, EVERY_MS * (0.9 + 0.2 * Math.random()));
  };
  const round = (): void => {
    working = sweep()
      .then(
        () => undefined,
        (error: unknown) => logger.error({ err: error }, "sweeping expired workflows failed"),
      )
      .then(schedule);
  };
  return {
    start() {
      if (isRunning) return;
      isRunning = true;
      schedule();
    },
    async stop() {
      isRunning = false;
      timer?.cancel();
      await working;
    },
  };
}
