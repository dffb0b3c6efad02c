import type { Clock } from "../core/clock.js";

/** `setTimeout` fires at once beyond this. */
const MAX_DELAY_MS = 2_147_483_647;

/** The process's own clock. Timers are at most 24.8 days long. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(fn, delayMs) {
    const timer = setTimeout(fn, Math.min(delayMs, MAX_DELAY_MS));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
