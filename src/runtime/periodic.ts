import type { Clock, Timer } from "../core/clock.js";
import type { Logger } from "../core/logger.js";

/** Tasks that are repeated until they are stopped. */
export interface Periodic {
  /**
   * Run `task` about every `everyMs`, one at a time; a failure is logged and does not end the repetition.
   * @param options.jitter part of the pause that varies, so that processes don't act in step. Default 0.
   */
  every(everyMs: number, what: string, task: () => Promise<void>, options?: { readonly jitter?: number }): void;
  /** No task starts any more. @returns when those under way have ended */
  stop(): Promise<void>;
}

export function createPeriodic(deps: { readonly clock: Clock; readonly logger: Logger }): Periodic {
  const timers = new Set<Timer>();
  const working = new Set<Promise<void>>();
  let stopped = false;
  return {
    every(everyMs, what, task, { jitter = 0 } = {}) {
      let timer: Timer;
      const schedule = (): void => {
        if (stopped) return;
        const factor = 1 + jitter * (Math.random() - 0.5);
        timer = deps.clock.setTimer(tick, Math.max(1, Math.round(everyMs * factor)));
        timers.add(timer);
      };
      const tick = (): void => {
        timers.delete(timer);
        const round = task()
          .catch((error: unknown) => deps.logger.error({ err: error }, `${what} failed`))
          .then(schedule)
          .finally(() => working.delete(round));
        working.add(round);
      };
      schedule();
    },
    async stop() {
      stopped = true;
      for (const timer of timers) timer.cancel();
      await Promise.all(working);
    },
  };
}
