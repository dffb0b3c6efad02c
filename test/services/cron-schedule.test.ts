import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSchedule, requireSchedule } from "../../src/services/cron-schedule.js";

/** The next `count` ticks, as ISO texts without their seconds. */
function ticks(schedule: string, timezone: string | null, from: string, count: number): readonly string[] {
  const parsed = parseSchedule(schedule, timezone);
  const found: string[] = [];
  let at = Date.parse(from);
  for (let i = 0; i < count; i += 1) {
    const next = parsed.after(at);
    if (next === null) break;
    found.push(new Date(next).toISOString().replace(/:00\.000Z$/, "Z"));
    at = next;
  }
  return found;
}

describe("daylight saving in New York", () => {
  // 2026-03-08 02:00 → 03:00 (UTC-5 → UTC-4); 2026-11-01 02:00 → 01:00.
  const ZONE = "America/New_York";

  it("a tick in the hour that is skipped comes once, at the first moment after it", () => {
    expect(ticks("30 2 * * *", ZONE, "2026-03-07T00:00Z", 3)).toEqual([
      "2026-03-07T07:30Z",
      "2026-03-08T07:00Z",
      "2026-03-09T06:30Z",
    ]);
  });

  it("what comes all the time has no gap in spring, and no tick twice", () => {
    expect(ticks("*/15 * * * *", ZONE, "2026-03-08T06:30Z", 4)).toEqual([
      "2026-03-08T06:45Z",
      "2026-03-08T07:00Z",
      "2026-03-08T07:15Z",
      "2026-03-08T07:30Z",
    ]);
  });

  it("a single time of the hour that is repeated comes the first time only", () => {
    expect(ticks("30 1 * * *", ZONE, "2026-10-31T00:00Z", 3)).toEqual([
      "2026-10-31T05:30Z",
      "2026-11-01T05:30Z",
      "2026-11-02T06:30Z",
    ]);
  });

  it("what comes every hour comes in both of them", () => {
    expect(ticks("30 * * * *", ZONE, "2026-11-01T04:45Z", 3)).toEqual([
      "2026-11-01T05:30Z",
      "2026-11-01T06:30Z",
      "2026-11-01T07:30Z",
    ]);
  });
});

it("reads the expression in its zone, and in UTC without one", () => {
  expect(ticks("0 9 * * MON", "Asia/Tokyo", "2026-06-01T00:00Z", 1)).toEqual(["2026-06-08T00:00Z"]);
  expect(ticks("0 9 * * MON", null, "2026-06-01T00:00Z", 1)).toEqual(["2026-06-01T09:00Z"]);
  expect(ticks("0 0 29 2 *", null, "2026-06-01T00:00Z", 1)).toEqual(["2028-02-29T00:00Z"]);
});

it("a fraction of a second before a tick is before it", () => {
  const { after } = parseSchedule("* * * * *", null);
  const minute = Date.parse("2026-06-01T00:01:00Z");
  for (const beforeMs of [1, 500, 999, 1_000, 59_999]) expect(after(minute - beforeMs)).toBe(minute);
  expect(after(minute)).toBe(minute + 60_000);
  expect(after(minute + 999)).toBe(minute + 60_000);
});

it.each([
  ["* * * * * *", null, /schedule: .*5/],
  ["", null, /schedule: /],
  ["61 * * * *", null, /schedule: .*61/],
  ["every day", null, /schedule: /],
  ["*/0 * * * *", null, /schedule: /],
  ["* * * * *", "Mars/Phobos", /timezone: "Mars\/Phobos"/],
  ["0 0 31 2 *", null, /schedule: "0 0 31 2 \*" never comes/],
])("refuses %j in %j by name", (schedule, timezone, message) => {
  expect(() => requireSchedule(schedule, timezone, Date.UTC(2026, 0, 1))).toThrow(message);
});

it("always goes forward, by whole minutes, and says the same from any moment in between", () => {
  const zones = [null, "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"];
  const part = (max: number) =>
    fc.oneof(
      fc.constant("*"),
      fc.nat(max).map(String),
      fc.integer({ min: 1, max }).map((n) => `*/${n}`),
    );
  fc.assert(
    fc.property(
      fc.tuple(part(59), part(23)),
      fc.constantFrom(...zones),
      // Years with all sorts of changes.
      fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2027, 0, 1) }),
      fc.nat(1_000_000),
      ([minute, hour], zone, from, later) => {
        const { after } = parseSchedule(`${minute} ${hour} * * *`, zone);
        const next = after(from);
        expect(next).toBeGreaterThan(from);
        expect((next ?? 1) % 60_000).toBe(0);
        const between = from + (later % ((next ?? 0) - from));
        expect(after(between)).toBe(next);
      },
    ),
    { numRuns: 300 },
  );
});
