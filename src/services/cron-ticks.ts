import { setImmediate as nextTurn } from "node:timers/promises";
import type { EpochMs } from "../core/json.js";
import type { Schedule } from "./cron-schedule.js";

/** What becomes of ticks that nobody was there for. */
export type MissedTicks = "skip" | "once" | "all";

export interface TickPolicy {
  /** `skip` drops them, `once` starts one run for all of them, `all` one for each of the latest `maxMissed`. */
  readonly missed: MissedTicks;
  readonly maxMissed: number;
  /** A tick that is older has been missed. */
  readonly missedAfterMs: number;
}

export interface TickDecision {
  /** The tick that a run is started for now; `null`: none. */
  readonly tick: EpochMs | null;
  /** The one after; it may be due already. */
  readonly next: EpochMs | null;
  /** Ticks were dropped. */
  readonly dropped: boolean;
}

/** Five fields tick no more often. */
const SHORTEST_MS = 60_000;
/** Ticks that are looked for in one go: croner 11.0.1 takes some 0.1 ms for each. */
const LOOKED_FOR = 16;

/**
 * Which tick of a cron that is due is started now, one at a time, oldest first.
 * @param params.nextRunAt the tick that its row names, not later than `now`
 * @param params.isKept with `all`: it was found before that this tick is one of the latest
 */
export async function decideTick(
  schedule: Schedule,
  params: {
    readonly nextRunAt: EpochMs;
    readonly now: EpochMs;
    readonly endTime: EpochMs | null;
    readonly policy: TickPolicy;
    readonly isKept?: boolean;
  },
): Promise<TickDecision> {
  const { nextRunAt, now, endTime, policy } = params;
  const onTimeFrom = now - policy.missedAfterMs;
  const nextOf = (at: EpochMs): EpochMs | null => until(schedule.after(at), endTime);
  if (nextRunAt >= onTimeFrom) return { tick: nextRunAt, next: nextOf(nextRunAt), dropped: false };
  // Past its end a cron starts nothing, not even what was missed before.
  if (endTime !== null && endTime < onTimeFrom) return { tick: null, next: null, dropped: true };
  if (policy.missed === "skip") {
    const first = nextOf(onTimeFrom - 1000);
    if (first === null || first > now) return { tick: null, next: first, dropped: true };
    return { tick: first, next: nextOf(first), dropped: true };
  }
  const tick = params.isKept === true ? nextRunAt : await oldestKept(schedule, { nextRunAt, now, endTime, policy });
  return { tick, next: nextOf(tick), dropped: tick !== nextRunAt };
}

/** The oldest of the latest ticks that are started belatedly. */
async function oldestKept(
  schedule: Schedule,
  {
    nextRunAt,
    now,
    endTime,
    policy,
  }: {
    readonly nextRunAt: EpochMs;
    readonly now: EpochMs;
    readonly endTime: EpochMs | null;
    readonly policy: TickPolicy;
  },
): Promise<EpochMs> {
  const count = policy.missed === "once" ? 1 : policy.maxMissed;
  if (now - nextRunAt < (count - 1) * SHORTEST_MS) return nextRunAt;
  let oldest = endTime === null ? now : Math.min(now, endTime);
  for (let left = count; left > 0; left -= LOOKED_FOR) {
    // From the second one on, what is looked for is earlier than what was found.
    const found = schedule.latest(left === count ? oldest : oldest - 1000, Math.min(left, LOOKED_FOR));
    const last = found.at(-1);
    if (last === undefined || last <= nextRunAt) return nextRunAt;
    oldest = last;
    await nextTurn();
  }
  return oldest;
}

function until(at: EpochMs | null, endTime: EpochMs | null): EpochMs | null {
  return at === null || (endTime !== null && at > endTime) ? null : at;
}
