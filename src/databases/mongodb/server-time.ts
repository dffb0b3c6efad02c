import type { Db } from "mongodb";
import type { EpochMs } from "../../core/json.js";

/** A measured time is carried on by this process's monotonic clock this long; then it is measured again, beside the work. */
const MEASURE_EVERY_MS = 10_000;

/** The server's time, without a question for each use. */
export interface ServerTime {
  /** The server's clock now, exact to half a round trip. */
  now(): EpochMs;
  /** Ask the server. */
  measure(): Promise<{ readonly serverMs: EpochMs; readonly roundTripMs: number }>;
}

export function createServerTime(db: Db): ServerTime {
  let sample = { serverMs: Date.now(), atMs: -Infinity };
  let isMeasuring = false;

  const measure = async (): Promise<{ serverMs: EpochMs; roundTripMs: number }> => {
    const startedMs = performance.now();
    const { localTime } = await db.admin().command({ hello: 1 });
    const roundTripMs = performance.now() - startedMs;
    const serverMs = localTime instanceof Date ? Math.round(localTime.getTime() + roundTripMs / 2) : Date.now();
    // Monotonic: the local clock may be set meanwhile.
    sample = { serverMs, atMs: performance.now() };
    return { serverMs, roundTripMs };
  };

  return {
    measure,
    now() {
      const ageMs = performance.now() - sample.atMs;
      if (ageMs > MEASURE_EVERY_MS && !isMeasuring) {
        isMeasuring = true;
        measure()
          .catch(() => undefined)
          .finally(() => (isMeasuring = false));
      }
      return Math.round(sample.serverMs + (Number.isFinite(ageMs) ? ageMs : 0));
    },
  };
}
