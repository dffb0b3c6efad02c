import type { EpochMs } from "./json.js";

/** Time as the process sees it. Tests pass a fake; stores on a database use the database's own. */
export interface Clock {
  now(): EpochMs;
  /** Call `fn` once after `delayMs`. The timer never keeps the process alive. */
  setTimer(fn: () => void, delayMs: number): Timer;
}

export interface Timer {
  cancel(): void;
}

/** What a store needs of a clock: the process's, where its database has none of its own. */
export type StoreClock = Pick<Clock, "now">;
