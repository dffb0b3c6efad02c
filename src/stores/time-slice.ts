import { setImmediate } from "node:timers/promises";

/** How long a long query works before it lets other requests run. */
const SLICE_MS = 4;

/**
 * Cuts a long synchronous loop into slices, so that a search over a large table does not block the event loop. Ask
 * `isOver()` now and then, and `await next()` when it says so.
 */
export interface TimeSlice {
  isOver(): boolean;
  next(): Promise<void>;
}

/** A slice that starts now. */
export function startTimeSlice(): TimeSlice {
  let endsAt = performance.now() + SLICE_MS;
  return {
    isOver: () => performance.now() >= endsAt,
    async next() {
      await setImmediate();
      endsAt = performance.now() + SLICE_MS;
    },
  };
}
