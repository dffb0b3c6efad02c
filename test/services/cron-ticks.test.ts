import { expect, it } from "vitest";
import { parseSchedule } from "../../src/services/cron-schedule.js";
import { decideTick, type TickPolicy } from "../../src/services/cron-ticks.js";

const at = (time: string): number => Date.parse(`2026-06-01T${time}Z`);
const SKIP: TickPolicy = { missed: "skip", maxMissed: 3, missedAfterMs: 60_000 };
const ONCE: TickPolicy = { ...SKIP, missed: "once" };
const EACH: TickPolicy = { ...SKIP, missed: "all" };
const QUARTERS = parseSchedule("*/15 * * * *", null);

const decide = (policy: TickPolicy, next: string, now: string, end: string | null = null) =>
  decideTick(QUARTERS, { nextRunAt: at(next), now: at(now), endTime: end === null ? null : at(end), policy });

it.each([SKIP, ONCE, EACH])("a tick that is a few seconds late has not been missed ($missed)", (policy) => {
  const expected = { tick: at("10:00:00"), next: at("10:15:00"), dropped: false };
  expect(decide(policy, "10:00:00", "10:00:00")).toEqual(expected);
  expect(decide(policy, "10:00:00", "10:00:59")).toEqual(expected);
});

it("skip drops what was missed", () => {
  expect(decide(SKIP, "10:00:00", "10:05:00")).toEqual({ tick: null, next: at("10:15:00"), dropped: true });
  // One of them is on time.
  expect(decide(SKIP, "10:00:00", "11:00:30")).toEqual({ tick: at("11:00:00"), next: at("11:15:00"), dropped: true });
});

it("once starts one run for all that was missed", () => {
  expect(decide(ONCE, "10:00:00", "10:05:00")).toEqual({ tick: at("10:00:00"), next: at("10:15:00"), dropped: false });
  expect(decide(ONCE, "10:00:00", "19:05:00")).toEqual({ tick: at("19:00:00"), next: at("19:15:00"), dropped: true });
});

it("all starts one for each, the oldest first, but not for more than the latest ones", () => {
  expect(decide(EACH, "10:00:00", "10:35:00")).toEqual({ tick: at("10:00:00"), next: at("10:15:00"), dropped: false });
  expect(decide(EACH, "10:00:00", "13:05:00")).toEqual({ tick: at("12:30:00"), next: at("12:45:00"), dropped: true });
  // The rest of them, one after the other.
  expect(decide(EACH, "12:45:00", "13:05:01")).toEqual({ tick: at("12:45:00"), next: at("13:00:00"), dropped: false });
});

it("nothing comes after the end, and nothing that was missed once it is over", () => {
  expect(decide(SKIP, "10:00:00", "10:00:01", "10:10:00")).toEqual({
    tick: at("10:00:00"),
    next: null,
    dropped: false,
  });
  for (const policy of [SKIP, ONCE, EACH]) {
    expect(decide(policy, "10:00:00", "19:00:00", "10:20:00")).toEqual({ tick: null, next: null, dropped: true });
  }
});

it("a year of minutes is looked back on without going through it", () => {
  const minutes = parseSchedule("* * * * *", "Europe/Berlin");
  const now = at("10:00:30");
  const startedAt = performance.now();
  const decision = decideTick(minutes, { nextRunAt: now - 365 * 86_400_000, now, endTime: null, policy: ONCE });
  expect(decision).toEqual({ tick: at("10:00:00"), next: at("10:01:00"), dropped: true });
  expect(performance.now() - startedAt).toBeLessThan(500);
});

it("what comes seldom is found a long way back", () => {
  const yearly = parseSchedule("0 0 1 1 *", null);
  const nextRunAt = Date.UTC(2020, 0, 1);
  const decision = decideTick(yearly, { nextRunAt, now: at("10:00:00"), endTime: null, policy: ONCE });
  expect(decision).toEqual({ tick: Date.UTC(2026, 0, 1), next: Date.UTC(2027, 0, 1), dropped: true });
});
