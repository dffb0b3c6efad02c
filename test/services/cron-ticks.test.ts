import fc from "fast-check";
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

it.each([SKIP, ONCE, EACH])("a tick that is a few seconds late has not been missed ($missed)", async (policy) => {
  const expected = { tick: at("10:00:00"), next: at("10:15:00"), dropped: false };
  expect(await decide(policy, "10:00:00", "10:00:00")).toEqual(expected);
  expect(await decide(policy, "10:00:00", "10:00:59")).toEqual(expected);
});

it("skip drops what was missed", async () => {
  expect(await decide(SKIP, "10:00:00", "10:05:00")).toEqual({ tick: null, next: at("10:15:00"), dropped: true });
  // One of them is on time.
  expect(await decide(SKIP, "10:00:00", "11:00:30")).toEqual({
    tick: at("11:00:00"),
    next: at("11:15:00"),
    dropped: true,
  });
});

it("once starts one run for all that was missed", async () => {
  expect(await decide(ONCE, "10:00:00", "10:05:00")).toEqual({
    tick: at("10:00:00"),
    next: at("10:15:00"),
    dropped: false,
  });
  expect(await decide(ONCE, "10:00:00", "19:05:00")).toEqual({
    tick: at("19:00:00"),
    next: at("19:15:00"),
    dropped: true,
  });
});

it("all starts one for each, the oldest first, but not for more than the latest ones", async () => {
  expect(await decide(EACH, "10:00:00", "10:35:00")).toEqual({
    tick: at("10:00:00"),
    next: at("10:15:00"),
    dropped: false,
  });
  expect(await decide(EACH, "10:00:00", "13:05:00")).toEqual({
    tick: at("12:30:00"),
    next: at("12:45:00"),
    dropped: true,
  });
  // The rest of them, one after the other.
  expect(await decide(EACH, "12:45:00", "13:05:01")).toEqual({
    tick: at("12:45:00"),
    next: at("13:00:00"),
    dropped: false,
  });
});

it("nothing comes after the end, and nothing that was missed once it is over", async () => {
  expect(await decide(SKIP, "10:00:00", "10:00:01", "10:10:00")).toEqual({
    tick: at("10:00:00"),
    next: null,
    dropped: false,
  });
  for (const policy of [SKIP, ONCE, EACH]) {
    expect(await decide(policy, "10:00:00", "19:00:00", "10:20:00")).toEqual({ tick: null, next: null, dropped: true });
  }
});

it("a year of minutes is looked back on without going through it", async () => {
  const minutes = parseSchedule("* * * * *", "Europe/Berlin");
  const now = at("10:00:30");
  const startedAt = performance.now();
  const decision = await decideTick(minutes, { nextRunAt: now - 365 * 86_400_000, now, endTime: null, policy: ONCE });
  expect(decision).toEqual({ tick: at("10:00:00"), next: at("10:01:00"), dropped: true });
  expect(performance.now() - startedAt).toBeLessThan(500);
});

it("what comes seldom is found a long way back", async () => {
  const yearly = parseSchedule("0 0 1 1 *", null);
  const nextRunAt = Date.UTC(2020, 0, 1);
  const decision = await decideTick(yearly, { nextRunAt, now: at("10:00:00"), endTime: null, policy: ONCE });
  expect(decision).toEqual({ tick: Date.UTC(2026, 0, 1), next: Date.UTC(2027, 0, 1), dropped: true });
});

it("no tick after the end is made up for", async () => {
  // 19:00 was the last one before the end, half a minute ago 19:15 came.
  expect(await decide(ONCE, "10:00:00", "19:15:30", "19:15:00")).toMatchObject({ tick: at("19:15:00"), next: null });
  expect(await decide(ONCE, "10:00:00", "19:15:30", "19:14:50")).toMatchObject({ tick: at("19:00:00"), next: null });
});

it("the latest ticks are those that a walk forwards finds, also through both changes of daylight saving", async () => {
  const schedules = ["*/10 * * * *", "30 2 * * *", "30 1 * * *", "0 * * * *", "0 1,2 * * *", "15 */3 * * MON"];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...schedules),
      fc.constantFrom("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", null),
      fc.constantFrom(
        "2026-03-08T07:00Z",
        "2026-11-01T06:00Z",
        "2026-03-29T01:00Z",
        "2026-10-25T01:00Z",
        "2026-04-04T15:00Z",
      ),
      fc.integer({ min: -7_200, max: 172_800 }),
      fc.integer({ min: 1, max: 40 }),
      async (text, zone, change, seconds, maxMissed) => {
        const schedule = parseSchedule(text, zone);
        const now = Date.parse(change) + seconds * 1000;
        const first = schedule.after(now - 4 * 86_400_000);
        if (first === null || first > now - 60_000) return;
        const ticks: number[] = [];
        for (let tick: number | null = first; tick !== null && tick <= now; tick = schedule.after(tick))
          ticks.push(tick);
        const policy = { ...EACH, maxMissed };
        const { tick } = await decideTick(schedule, { nextRunAt: first, now, endTime: null, policy });
        expect(tick).toBe(ticks.slice(-maxMissed)[0]);
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);

it("a great number of ticks is looked back on in small pieces", async () => {
  const hourly = parseSchedule("0 * * * *", "Europe/Berlin");
  const now = at("10:00:30");
  const policy = { ...EACH, maxMissed: 2_000 };
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const { tick } = await decideTick(hourly, { nextRunAt: now - 365 * 86_400_000, now, endTime: null, policy });
  isOver = true;
  expect(tick).toBe(at("10:00:00") - 1_999 * 3_600_000);
  expect(turns).toBeGreaterThan(100);
});
