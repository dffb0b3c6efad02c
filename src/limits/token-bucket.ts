import type { StoreClock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import type { Admission, RequestLimiter } from "../core/limits.js";
import { ADMITTED } from "../core/limits.js";

/** How fast a bucket fills, and how much it holds. */
export interface BucketRate {
  /** Tokens per second; may be a fraction. */
  readonly perSecond: number;
  /** Tokens of a full bucket: so many requests may come at once. At least 1. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: EpochMs;
}

/** A full bucket is as good as none: they are looked through after so many requests. */
const SWEEP_EVERY = 4_096;
/** Callers that are counted at once. Beyond, those that were quiet for longest are forgotten, and start with a full bucket. */
const MAX_BUCKETS = 100_000;

/** Token buckets in the memory of this process. */
export function createTokenBuckets(
  rate: BucketRate,
  options: { readonly clock: StoreClock; readonly maxBuckets?: number },
): RequestLimiter & { readonly size: number } {
  const { clock, maxBuckets = MAX_BUCKETS } = options;
  const perMs = rate.perSecond / 1000;
  const buckets = new Map<string, Bucket>();
  let untilSweep = SWEEP_EVERY;
  // The clock may be set back.
  const filled = ({ tokens, at }: Bucket, now: EpochMs): number =>
    Math.min(rate.burst, tokens + Math.max(0, now - at) * perMs);

  const sweep = (now: EpochMs): void => {
    untilSweep = SWEEP_EVERY;
    for (const [key, bucket] of buckets) if (filled(bucket, now) >= rate.burst) buckets.delete(key);
  };

  return {
    get size() {
      return buckets.size;
    },
    take(key): Admission {
      const now = clock.now();
      untilSweep -= 1;
      if (untilSweep <= 0) sweep(now);
      const bucket = buckets.get(key);
      const tokens = bucket === undefined ? rate.burst : filled(bucket, now);
      // Moved to the end: the first ones of the map are those that were quiet for longest.
      buckets.delete(key);
      if (buckets.size >= maxBuckets) {
        const [oldest] = buckets.keys();
        if (oldest !== undefined) buckets.delete(oldest);
      }
      if (tokens < 1) {
        buckets.set(key, { tokens, at: now });
        return { admitted: false, retryAfterMs: Math.ceil((1 - tokens) / perMs) };
      }
      buckets.set(key, { tokens: tokens - 1, at: now });
      return ADMITTED;
    },
    async close() {
      buckets.clear();
    },
  };
}
