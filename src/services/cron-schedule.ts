import { Cron as Expression } from "croner";
import { HeddleError } from "../core/errors.js";
import type { EpochMs } from "../core/json.js";

/** When a cron's ticks come. */
export interface Schedule {
  /** The first tick later than `at`; `null` when there is none. */
  after(at: EpochMs): EpochMs | null;
  /** At most `count` ticks that are not later than `at`, latest first. */
  latest(at: EpochMs, count: number): readonly EpochMs[];
}

/** Longer ones say nothing more. */
const MAX_TOLD_CHARS = 200;

/**
 * A cron expression of five fields, read in a time zone. Daylight saving, as croner 11.0.1 has it (test/services/cron-schedule):
 * a tick of the hour that is skipped comes at the first moment after it, once; in the hour that is repeated an expression that
 * names single hours and minutes (`30 1 * * *`) comes the first time only, one that has a list, a range, a step or `*` for its
 * hour comes both times, for it is meant by elapsed time.
 * @param schedule also croner's `L`, `W`, `#` and `@daily`; no seconds, no years
 * @param timezone IANA name; `null` is UTC
 * @throws HeddleError `INVALID_REQUEST` that names `schedule` or `timezone`
 */
export function parseSchedule(schedule: string, timezone: string | null): Schedule {
  if (timezone !== null) requireZone(timezone);
  const expression = expressionOf(schedule, timezone);
  const after = (at: EpochMs): EpochMs | null => {
    // croner looks from the second after: a fraction of one would skip what comes at its end.
    const from = new Date(Math.floor(at / 1000) * 1000);
    return expression.nextRun(from)?.getTime() ?? null;
  };
  const latest = (at: EpochMs, count: number): readonly EpochMs[] => {
    // Runs that came before a second are meant: the one of the second itself counts, too.
    const before = new Date(Math.floor(at / 1000) * 1000 + 1000);
    return expression.previousRuns(count, before).map((tick) => tick.getTime());
  };
  return { after, latest };
}

/** As {@link parseSchedule}, of one that must come at least once. @throws HeddleError `INVALID_REQUEST` */
export function requireSchedule(schedule: string, timezone: string | null, now: EpochMs): Schedule {
  const parsed = parseSchedule(schedule, timezone);
  if (parsed.after(now) === null) throw invalid("schedule", `"${schedule}" never comes`);
  return parsed;
}

function expressionOf(schedule: string, timezone: string | null): Expression {
  try {
    return new Expression(schedule, { paused: true, mode: "5-part", timezone: timezone ?? "UTC" });
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error);
    throw invalid("schedule", `expected a cron expression of five fields: ${reason.slice(0, MAX_TOLD_CHARS)}`);
  }
}

function requireZone(timezone: string): void {
  try {
    Intl.DateTimeFormat("en", { timeZone: timezone });
  } catch {
    throw invalid("timezone", `"${timezone}" is no time zone: expected an IANA name like Europe/Berlin`);
  }
}

function invalid(field: string, problem: string): HeddleError {
  return new HeddleError("INVALID_REQUEST", { message: `${field}: ${problem}` });
}
