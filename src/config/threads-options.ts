import { z } from "zod";
import { MAX_TTL_MINUTES, TTL_STRATEGIES, type TtlStrategy } from "../core/thread.js";

/** `threads` of `createApp`. */
export interface ThreadsOptions {
  readonly ttl?: {
    /** What happens to a thread whose time is over: it goes, or its checkpoints do but for the newest. Default `delete`. */
    readonly strategy?: TtlStrategy;
    /** How long new threads live after they were last active; `null` and the default: for ever. */
    readonly defaultTtlMinutes?: number | null;
    /** How often expired threads are looked for, by one process at a time. Default 5. */
    readonly sweepIntervalMinutes?: number;
    /** At most so many threads each time. Default 1,000. */
    readonly sweepLimit?: number;
  };
}

/** Longest delay that Node's timers take. */
const MAX_INTERVAL_MINUTES = 35_791;

const strategy = z.enum(TTL_STRATEGIES).optional();
const ttlMinutes = z.number().positive().max(MAX_TTL_MINUTES).nullish();
const intervalMinutes = z.number().min(0.01).max(MAX_INTERVAL_MINUTES);
const limit = z.number().int().min(1).max(1_000_000);

/** `checkpointer` of `langgraph.json` (docs/wire/langgraph-api.md §5.1); its other keys are refused by name. */
export const checkpointerSection = z.object({
  /** Heddle's own. */
  compress: z.boolean().optional(),
  ttl: z
    .strictObject({
      strategy,
      default_ttl: ttlMinutes,
      sweep_interval_minutes: intervalMinutes.nullish(),
      sweep_limit: limit.nullish(),
    })
    .nullish(),
});

/** `threads` of `createApp`. */
export const threadsOptions = z.strictObject({
  ttl: z
    .strictObject({
      strategy,
      defaultTtlMinutes: ttlMinutes,
      sweepIntervalMinutes: intervalMinutes.optional(),
      sweepLimit: limit.optional(),
    })
    .optional(),
});
