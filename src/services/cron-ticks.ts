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

const FIRST_WINDOW_MS = 10 * 60_000;
const WINDOW_GROWTH = 8;

/**
 * Which tick of a cron that is due is started now, one at a time, oldest first.
 * @param params.nextRunAt the tick that its row names, not later than `now`
 */
export function decideTick(
  schedule: Schedule,
  params: {
    readonly nextRunAt: EpochMs;
    readonly now: EpochMs;
    readonly endTime: EpochMs | null;
    readonly policy: TickPolicy;
  },
): TickDecision {
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
  const kept = latestTicks(schedule, { from: nextRunAt, now, count: policy.missed === "once" ? 1 : policy.maxMissed });
  const tick = kept[0] ?? nextRunAt;
  return { tick, next: nextOf(tick), dropped: tick !== nextRunAt };
}

/** The last ticks until `now`, oldest first. Looks back ever further: a year of minutes is not gone through for a few of them. */
function latestTicks(
  schedule: Schedule,
  { from, now, count }: { readonly from: EpochMs; readonly now: EpochMs; readonly count: number },
): readonly EpochMs[] {
  for (let windowMs = FIRST_WINDOW_MS; ; windowMs *= WINDOW_GROWTH) {
    const start = Math.max(from - 1000, now - windowMs);
    const ticks: EpochMs[] = [];
    for (let at = schedule.after(start); at !== null && at <= now; at = schedule.after(at)) ticks.push(at);
    if (ticks.length >= count || start <= from - 1000) return ticks.slice(-count);
  }
}

function until(at: EpochMs | null, endTime: EpochMs | null): EpochMs | null {
  return at === null || (endTime !== null && at > endTime) ? null : at;
}
