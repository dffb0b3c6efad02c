import { randomUUID } from "node:crypto";
import type { EventLog } from "../../core/event-log.js";
import type { RunRef } from "../../core/run.js";
import { threadLogOf } from "../../core/thread-event.js";
import {
  type EventLogSuite,
  type WithEventLog,
  drain,
  durableCase,
  eventsOf,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
} from "./fixture.js";

const HOUR_MS = 3_600_000;
/** Greater than what 32 bits hold, as a time or more than that is. */
export const TOKEN = 1_800_000_000_000 * 1024;

/** A thread's log. */
export function newThreadLog(): RunRef {
  return threadLogOf(randomUUID());
}

/** What one run writes to its thread's log: it begins, appends so many events, and ends. @returns the last number */
export async function runOnce(log: EventLog, thread: RunRef, leaseToken: number, texts: readonly string[]) {
  await log.begin(thread, { leaseToken, lasting: true });
  const last = log.append(
    thread,
    texts.map((text) => newEvent(text)),
  );
  await log.flush(thread);
  await log.rest(thread, { leaseToken });
  return last;
}

/** Logs of threads: never sealed, written by one run after the other. */
export function lastingCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { it, expect } = suite.vitest;
  const data = (...texts: readonly string[]) => texts.map((text) => JSON.stringify(text));

  it(
    "numbers go on from run to run, and readers with them",
    withLog({}, async ({ log }) => {
      const thread = newThreadLog();
      await log.begin(thread, { lasting: true });
      const [early, behind] = [await mustOpen(log, thread, "now"), await mustOpen(log, thread, "start")];
      const first = (await runOnce(log, thread, TOKEN, ["a", "b"])) - 1;
      const seen = await drain(early, 2);
      expect(seen).toEqual({ seqs: [first, first + 1], data: data("a", "b"), gaps: [] });
      const joined = await mustOpen(log, thread, "now");
      const waiting = [early.next(), joined.next()];
      expect(await runOnce(log, thread, TOKEN + 1, ["c"])).toBe(first + 2);
      for (const read of waiting) expect(eventsOf(await read).map(({ seq }) => seq)).toEqual([first + 2]);
      expect(await runOnce(log, thread, TOKEN + 2, ["d"])).toBe(first + 3);
      expect((await drain(behind, 4)).data).toEqual(data("a", "b", "c", "d"));
      const resumed = await mustOpen(log, thread, { afterSeq: first });
      expect((await drain(resumed, 3)).data).toEqual(data("b", "c", "d"));
      expect(await log.extent(thread)).toMatchObject({ nextSeq: first + 4 });
    }),
  );

  it(
    "what a run wrote is kept for ttlMs after it, and longer when another one begins; then only the numbers stay",
    withLog({ ttlMs: 60_000 }, async ({ log, clock }) => {
      const thread = newThreadLog();
      const last = await runOnce(log, thread, TOKEN, ["a", "b", "c"]);
      const [caughtUp, behind] = [await mustOpen(log, thread, "start"), await mustOpen(log, thread, "start")];
      await drain(caughtUp, 3);
      clock.advance(50_000);
      await log.sweep();
      expect(await runOnce(log, thread, TOKEN + 1, ["d"])).toBe(last + 1);
      clock.advance(50_000);
      await log.sweep();
      expect((await drain(await mustOpen(log, thread, "start"), 4)).data).toEqual(data("a", "b", "c", "d"));
      await drain(caughtUp, 1);
      // A reader that has not read all may prolong it once.
      for (let i = 0; i < 3; i += 1) {
        clock.advance(60_001);
        await log.sweep();
      }
      expect(await log.extent(thread)).toMatchObject({ nextSeq: last + 2, evictedToSeq: last + 1 });
      const [start, resumed] = [
        await mustOpen(log, thread, "start"),
        await mustOpen(log, thread, { afterSeq: last - 2 }),
      ];
      const upToDate = await mustOpen(log, thread, { afterSeq: last + 1 });
      expect(await runOnce(log, thread, TOKEN + 2, ["e"])).toBe(last + 2);
      const next = { seqs: [last + 2], data: data("e"), gaps: [] };
      for (const cursor of [start, caughtUp, upToDate]) expect(await drain(cursor, 1)).toEqual(next);
      const gap = { kind: "gap", resumeAtSeq: last + 2, lost: "state" };
      expect(await drain(resumed, 1)).toEqual({ ...next, gaps: [gap] });
      // In memory it may still be whole.
      const whole = { seqs: range(last - 2, last + 3), data: data("a", "b", "c", "d", "e"), gaps: [] };
      expect([whole, { ...next, gaps: [gap] }]).toContainEqual(await drain(behind, 1));
    }),
  );

  it(
    "a run that begins before the one before has ended: nothing is lost, and only the last one puts it to rest",
    withLog({ ttlMs: 60_000 }, async ({ log, clock }) => {
      const thread = newThreadLog();
      await log.begin(thread, { leaseToken: TOKEN, lasting: true });
      log.append(thread, [newEvent("a")]);
      const begun = log.begin(thread, { leaseToken: TOKEN + 1, lasting: true });
      log.append(thread, [newEvent("b")]);
      await begun;
      log.append(thread, [newEvent("end of the first", "control")]);
      await log.flush(thread);
      await log.rest(thread, { leaseToken: TOKEN });
      clock.advance(90_000);
      await log.sweep();
      expect(log.append(thread, [newEvent("c")])).toBeGreaterThan(0);
      await log.rest(thread, { leaseToken: TOKEN + 1 });
      const seen = await drain(await mustOpen(log, thread, "start"), 4);
      expect(seen.data).toEqual(data("a", "b", "end of the first", "c"));
      expect(seen.gaps).toEqual([]);
    }),
  );

  it(
    "claims of one millisecond have one token: the first of them to end puts nothing to rest",
    withLog({ ttlMs: 60_000 }, async ({ log, clock }) => {
      const thread = newThreadLog();
      for (let i = 0; i < 2; i += 1) await log.begin(thread, { leaseToken: TOKEN, lasting: true });
      log.append(thread, [newEvent("a")]);
      await log.rest(thread, { leaseToken: TOKEN });
      clock.advance(90_000);
      await log.sweep();
      expect(log.append(thread, [newEvent("b")])).toBeGreaterThan(0);
      await log.rest(thread, { leaseToken: TOKEN });
      expect((await drain(await mustOpen(log, thread, "start"), 2)).data).toEqual(data("a", "b"));
      clock.advance(90_000);
      await log.sweep();
      const { nextSeq } = (await log.extent(thread)) ?? { nextSeq: -1 };
      expect(await log.extent(thread)).toMatchObject({ nextSeq, evictedToSeq: nextSeq - 1 });
    }),
  );

  it(
    "what is appended right after ends the rest",
    withLog({ ttlMs: 60_000 }, async ({ log, clock }) => {
      const thread = newThreadLog();
      await runOnce(log, thread, TOKEN, ["a"]);
      expect(log.append(thread, [newEvent("b")])).toBeGreaterThan(0);
      await log.flush(thread);
      clock.advance(60_001);
      await log.sweep();
      expect((await drain(await mustOpen(log, thread, "start"), 2)).data).toEqual(data("a", "b"));
    }),
  );

  it(
    "a run's events are kept although the last reader leaves in its middle, long after the run before",
    withLog({}, async ({ log, clock }) => {
      const thread = newThreadLog();
      await runOnce(log, thread, TOKEN, ["a"]);
      const cursor = await mustOpen(log, thread, "start");
      await drain(cursor, 1);
      for (let seconds = 0; seconds < 10; seconds += 1) clock.advance(1_000);
      await log.begin(thread, { leaseToken: TOKEN + 1, lasting: true });
      log.append(thread, [newEvent("b")]);
      await log.flush(thread);
      await drain(cursor, 1);
      cursor.close();
      for (let seconds = 0; seconds < 10; seconds += 1) clock.advance(1_000);
      await log.flush(thread);
      expect(log.append(thread, [newEvent("c")])).toBeGreaterThan(0);
      await log.rest(thread, { leaseToken: TOKEN + 1 });
      expect((await drain(await mustOpen(log, thread, "start"), 3)).data).toEqual(data("a", "b", "c"));
    }),
  );

  it(
    "is never sealed, nor named among those that ought to be",
    withLog({}, async ({ log }) => {
      const thread = newThreadLog();
      await log.begin(thread, { leaseToken: TOKEN, lasting: true });
      log.append(thread, [newEvent("a")]);
      await log.flush(thread);
      await log.seal(thread, [newEvent("end", "control")]);
      expect(log.append(thread, [newEvent("b")])).toBeGreaterThan(0);
      await log.flush(thread);
      expect(await log.unsealed()).toEqual([]);
      // It is written here.
      expect(await log.restless()).toEqual([]);
      const cursor = await mustOpen(log, thread, "start");
      expect((await drain(cursor, 2)).data).toEqual(data("a", "b"));
    }),
  );

  it(
    "evicts like any log, over all runs",
    withLog({ maxBytes: 32_000 }, async ({ log }) => {
      const thread = newThreadLog();
      const text = "x".repeat(200);
      let [first, last] = [-1, -1];
      for (let run = 0; run < 30; run += 1) {
        const leaseToken = TOKEN + run;
        await log.begin(thread, { leaseToken, lasting: true });
        last = log.append(thread, [
          newEvent(`state ${run}`),
          ...Array.from({ length: 20 }, () => newEvent(text, "token")),
        ]);
        if (run === 0) first = last - 20;
        await log.flush(thread);
        await log.rest(thread, { leaseToken });
      }
      expect(last).toBe(first + 30 * 21 - 1);
      const cursor = await mustOpen(log, thread, { afterSeq: first });
      const seen: string[] = [];
      const lost: string[] = [];
      for (let seq = first; seq < last;) {
        const read = await cursor.next();
        if (read.kind === "gap") lost.push(read.lost);
        for (const event of read.kind === "events" ? read.events : []) {
          seq = event.seq;
          seen.push(event.data);
        }
      }
      expect(lost).toEqual(["token"]);
      // Every state frame, and the newest tokens.
      for (let run = 1; run < 30; run += 1) expect(seen).toContain(JSON.stringify(`state ${run}`));
      expect(seen.length).toBeGreaterThan(29 + 20);
      expect(seen.length).toBeLessThan((30 * 21) / 2);
    }),
  );

  it(
    "one that was begun for readers is kept while somebody reads it, and for an hour",
    withLog({}, async ({ log, clock }) => {
      const [read, left, written] = [newThreadLog(), newThreadLog(), newThreadLog()];
      for (const thread of [read, left, written]) await log.begin(thread, { lasting: true });
      for (const thread of [read, left, written]) await log.flush(thread);
      await runOnce(log, written, TOKEN, ["a"]);
      const cursor = await mustOpen(log, read, "now");
      (await mustOpen(log, left, "now")).close();
      for (let minutes = 0; minutes < 50; minutes += 10) {
        await log.sweep();
        clock.advance(HOUR_MS / 6);
      }
      expect(await log.extent(left)).not.toBeNull();
      for (let hours = 0; hours < 3; hours += 1) {
        for (let minutes = 0; minutes < 60; minutes += 10) {
          await log.sweep();
          clock.advance(HOUR_MS / 6);
        }
      }
      expect(await log.extent(left)).toBeNull();
      expect(await log.extent(written)).not.toBeNull();
      const waiting = cursor.next();
      await runOnce(log, read, TOKEN, ["a"]);
      expect(eventsOf(await waiting).map((event) => event.data)).toEqual(data("a"));
    }),
  );

  it(
    "is dropped alone or with its thread; its readers end",
    withLog({}, async ({ log }) => {
      for (const drop of ["drop", "dropThread"] as const) {
        const thread = newThreadLog();
        const run = newRun(thread.threadId);
        await log.begin(run, { isNew: true });
        await log.flush(run);
        await runOnce(log, thread, TOKEN, ["a"]);
        const cursor = await mustOpen(log, thread, "now");
        if (drop === "drop") await log.drop(thread);
        else await log.dropThread(thread.threadId);
        expect(await cursor.next()).toEqual({ kind: "end" });
        expect(await log.open(thread, "start")).toBeNull();
        expect(await log.lasting()).not.toContainEqual(thread);
        if (drop === "drop") expect(await log.open(run, "start")).not.toBeNull();
        else expect(await log.open(run, "start")).toBeNull();
      }
    }),
  );

  it(
    "rest of a log that is not there, that rests, or that is no thread's does nothing",
    withLog({ ttlMs: 60_000 }, async ({ log, clock }) => {
      const [missing, resting, run] = [newThreadLog(), newThreadLog(), newRun()];
      await log.rest(missing);
      expect(await log.extent(missing)).toBeNull();
      await runOnce(log, resting, TOKEN, ["a"]);
      clock.advance(40_000);
      await log.rest(resting, { leaseToken: TOKEN });
      await log.begin(run, { leaseToken: 1 });
      log.append(run, newEvents(1));
      await log.rest(run, { leaseToken: 1 });
      clock.advance(1_000_000);
      await log.sweep();
      expect(log.append(run, newEvents(1))).toBe(1);
      await log.seal(run);
      expect((await drain(await mustOpen(log, run, "start"))).seqs).toEqual([0, 1]);
    }),
  );

  restartedCases(suite, withLog);
}

/** After the process was killed, or another one took over. */
function restartedCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { expect } = suite.vitest;
  const durable = durableCase(suite, withLog);

  durable(
    "numbers of a thread go on after a restart, also when its events have expired",
    { ttlMs: 60_000 },
    async ({ log, clock, reopen }) => {
      const thread = newThreadLog();
      const last = await runOnce(log, thread, TOKEN, ["a", "b"]);
      const second = await reopen();
      const early = await mustOpen(second, thread, { afterSeq: last - 1 });
      expect((await drain(early, 1)).data).toEqual(['"b"']);
      expect(await runOnce(second, thread, TOKEN + 1, ["c"])).toBe(last + 1);
      clock.advance(60_001);
      await second.sweep();
      expect(await second.lasting()).toEqual(suite.forgetsHeads === true ? [] : [thread]);
      const third = await reopen();
      expect(await third.extent(thread)).toMatchObject({ nextSeq: last + 2, evictedToSeq: last + 1 });
      const atEnd = await mustOpen(third, thread, { afterSeq: last + 1 });
      const behind = await mustOpen(third, thread, { afterSeq: last });
      expect(await runOnce(third, thread, TOKEN + 2, ["d"])).toBe(last + 2);
      expect(await drain(atEnd, 1)).toEqual({ seqs: [last + 2], data: ['"d"'], gaps: [] });
      expect((await drain(behind, 1)).gaps).toEqual([{ kind: "gap", resumeAtSeq: last + 2, lost: "state" }]);
    },
  );

  durable(
    "a thread's log that a crash left is named, goes on with a greater token, and can be put to rest from outside",
    { ttlMs: 60_000 },
    async ({ log, clock, reopen }) => {
      const [taken, left] = [newThreadLog(), newThreadLog()];
      for (const thread of [taken, left]) {
        await log.begin(thread, { leaseToken: TOKEN, lasting: true });
        log.append(thread, [newEvent("a")]);
        await log.flush(thread);
      }
      const after = await reopen();
      expect(await after.unsealed()).toEqual([]);
      expect(await after.restless()).toHaveLength(2);
      const [first, second] = [
        { ...taken, leaseToken: TOKEN },
        { ...left, leaseToken: TOKEN },
      ];
      expect(await after.restless()).toEqual(expect.arrayContaining([first, second]));
      await after.begin(taken, { leaseToken: TOKEN + 1, lasting: true });
      expect(await after.restless()).toEqual([second]);
      await after.rest(left, { leaseToken: TOKEN - 1 });
      expect(await after.restless()).toEqual([second]);
      const last = after.append(taken, [newEvent("b")]);
      await after.flush(taken);
      await after.rest(taken, { leaseToken: TOKEN + 1 });
      await after.rest(left);
      expect(await after.restless()).toEqual([]);
      const cursor = await mustOpen(after, taken, "start");
      expect((await drain(cursor, 2)).data).toEqual(['"a"', '"b"']);
      clock.advance(60_001);
      await after.sweep();
      expect(await after.extent(taken)).toMatchObject({ nextSeq: last + 1, evictedToSeq: last });
      expect(await after.extent(left)).toMatchObject({ nextSeq: last });
    },
  );

  durable("lasting logs are named page by page", {}, async ({ log, reopen }) => {
    const threads = Array.from({ length: 5 }, () => newThreadLog());
    for (const thread of threads) await runOnce(log, thread, TOKEN, ["a"]);
    const unused = newThreadLog();
    await log.begin(unused, { lasting: true });
    await log.flush(unused);
    const after = await reopen();
    const all = suite.forgetsHeads === true ? [] : [...threads].sort((a, b) => (a.runId < b.runId ? -1 : 1));
    expect(await after.lasting()).toEqual(all);
    expect(await after.lasting(all[2])).toEqual(all.slice(3));
    expect(await after.lasting(all[4])).toEqual([]);
  });
}
