import type { Clock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";

/** A clock that stands still until it is told. */
export interface FakeClock extends Clock {
  /** Move on by `ms`, and call the timers that become due, in order of their time. */
  advance(ms: number): void;
  /** Timers that are set and not yet due. */
  readonly pendingTimers: number;
}

/** @param startAt first value of `now()`. Default 2026-01-01T00:00:00Z. */
export function fakeClock(startAt: EpochMs = Date.UTC(2026, 0, 1)): FakeClock {
  let now = startAt;
  const timers = new Set<{ readonly dueAt: EpochMs; readonly fn: () => void }>();
  const nextDue = (until: EpochMs) =>
    [...timers].filter((timer) => timer.dueAt <= until).sort((a, b) => a.dueAt - b.dueAt)[0];
  return {
    now: () => now,
    setTimer(fn, delayMs) {
      const timer = { dueAt: now + Math.max(delayMs, 0), fn };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance(ms) {
      const until = now + ms;
      for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
        timers.delete(timer);
        now = timer.dueAt;
        timer.fn();
      }
      now = until;
    },
    get pendingTimers() {
      return timers.size;
    },
  };
}
