import type { EventCursor, EventLog, EventLogOptions } from "../../core/event-log.js";
import {
  type EventLogFixture,
  type EventLogSuite,
  type WithEventLog,
  drain,
  eventually,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
  seqsOf,
} from "./fixture.js";

export type SharedFixture = EventLogFixture & Required<Pick<EventLogFixture, "another">>;

/** A case for logs that several processes share. Skipped, visibly, for others. */
export function sharedCase({ vitest: { it } }: EventLogSuite, withLog: WithEventLog) {
  return (
    name: string,
    options: Omit<EventLogOptions, "clock">,
    test: (fixture: SharedFixture) => Promise<void>,
  ): void => {
    it(name, async (context) => {
      await withLog(options, async (fixture) => {
        if (fixture.another === undefined) context.skip("of one process");
        else await test({ ...fixture, another: fixture.another });
      })();
    });
  };
}

interface Reader {
  cursor: EventCursor;
  seen: number[];
}

/** Readers in other processes than the one that writes. */
export function followingCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { expect } = suite.vitest;
  const { fc, manyRuns = 500 } = suite;
  const shared = sharedCase(suite, withLog);

  shared("a reader elsewhere follows a live run to its end", {}, async ({ log, clock, another }) => {
    const elsewhere = await another();
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    await log.flush(run);
    const cursor = await mustOpen(elsewhere, run, "start");
    for (let from = 0; from < 30; from += 3) {
      const read = cursor.next();
      expect(log.append(run, newEvents(3, "state", from))).toBe(from + 2);
      expect(seqsOf(await eventually(clock, read))).toEqual(range(from, from + 3));
    }
    await log.seal(run, [newEvent("end", "control")]);
    const rest = await eventually(clock, drain(cursor));
    expect(rest).toEqual({ seqs: [30], data: ['"end"'], gaps: [] });
  });

  shared("whoever made the run reads what another process writes", {}, async ({ log, clock, another }) => {
    const worker = await another();
    const run = newRun();
    await log.begin(run, { isNew: true });
    const cursor = await mustOpen(log, run, "start");
    await worker.begin(run, { leaseToken: 1 });
    worker.append(run, newEvents(5));
    expect((await eventually(clock, drain(cursor, 5))).seqs).toEqual(range(0, 5));
    expect(log.append(run, newEvents(1))).toBe(-1);
    await worker.seal(run, newEvents(1));
    expect((await eventually(clock, drain(cursor))).seqs).toEqual([5]);
  });

  shared("a log that is nowhere stays nowhere until it is begun", {}, async ({ log, another }) => {
    const elsewhere = await another();
    const run = newRun();
    expect(await elsewhere.open(run, "start")).toBeNull();
    await log.begin(run, { leaseToken: 1 });
    await log.flush(run);
    expect(await elsewhere.open(run, "start")).not.toBeNull();
    expect(await elsewhere.open({ ...run, threadId: "another" }, "start")).toBeNull();
  });

  shared("a join elsewhere starts where it says, among what is stored by then", {}, async ({ log, clock, another }) => {
    const elsewhere = await another();
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    // Looked at once, and not again before the next join.
    await log.flush(run);
    const early = await mustOpen(elsewhere, run, "start");
    log.append(run, newEvents(10));
    await log.flush(run);
    const now = (await mustOpen(elsewhere, run, "now")).next();
    const resumed = (await mustOpen(elsewhere, run, { afterSeq: 9 })).next();
    expect((await drain(await mustOpen(elsewhere, run, { afterSeq: 4 }), 5)).seqs).toEqual(range(5, 10));
    log.append(run, newEvents(2));
    await log.flush(run);
    for (const read of [now, resumed]) expect(seqsOf(await eventually(clock, read))).toEqual([10, 11]);
    expect((await eventually(clock, drain(early, 12))).seqs).toEqual(range(0, 12));
  });

  shared(`${manyRuns} readers elsewhere that wait hold one timer`, {}, async ({ log, clock, another }) => {
    const elsewhere = await another();
    const runs = range(0, manyRuns).map(() => newRun());
    for (const run of runs) await log.begin(run, { leaseToken: 1 });
    await Promise.all(runs.map((run) => log.flush(run)));
    const before = clock.pendingTimers;
    const cursors = await Promise.all(runs.map((run) => mustOpen(elsewhere, run, "start")));
    const reads = cursors.map((cursor) => cursor.next());
    expect(clock.pendingTimers).toBeLessThanOrEqual(before + 2);
    for (const run of runs) log.append(run, newEvents(1));
    for (const read of await eventually(clock, Promise.all(reads))) expect(seqsOf(read)).toEqual([0]);
    for (const cursor of cursors) cursor.close();
  });

  shared("a log dropped elsewhere ends its readers, and its writer", {}, async ({ log, clock, another }) => {
    const elsewhere = await another();
    const [run, sibling] = [newRun("shared"), newRun("shared")];
    for (const each of [run, sibling]) {
      await log.begin(each, { leaseToken: 1 });
      log.append(each, newEvents(3));
      await log.flush(each);
    }
    const unread = await mustOpen(elsewhere, run, "start");
    const waiting = (await mustOpen(elsewhere, run, "now")).next();
    const ofSibling = (await mustOpen(elsewhere, sibling, "now")).next();
    const atWriter = (await mustOpen(log, sibling, "now")).next();
    await log.drop(run);
    expect(await eventually(clock, waiting)).toEqual({ kind: "end" });
    expect(await eventually(clock, unread.next())).toEqual({ kind: "gap", resumeAtSeq: 3, lost: "state" });
    expect(await unread.next()).toEqual({ kind: "end" });

    await elsewhere.dropThread("shared");
    expect(await ofSibling).toEqual({ kind: "end" });
    log.append(sibling, newEvents(1));
    await log.flush(sibling);
    // A read of its own that got the event before the log was known to be gone ends at the next one.
    const last = await eventually(clock, atWriter);
    expect(["end", "gap"]).toContain(last.kind);
    expect(log.append(sibling, newEvents(1))).toBe(-1);
    expect(await log.open(sibling, "start")).toBeNull();
    expect(await elsewhere.open(sibling, "start")).toBeNull();
  });

  shared(
    "a reader elsewhere that is far behind gets the gap of what was evicted",
    { maxBytes: 32_000 },
    async (fixture) => {
      const { log, clock, another } = fixture;
      const elsewhere = await another();
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      log.append(run, [newEvent("metadata", "control")]);
      await log.flush(run);
      const behind = await mustOpen(elsewhere, run, "start");
      expect(seqsOf(await eventually(clock, behind.next()))).toEqual([0]);
      for (let from = 0; from < 600; from += 20) {
        log.append(
          run,
          range(0, 20).map((n) => newEvent("x".repeat(100), n === 0 ? "state" : "token")),
        );
        await log.flush(run);
      }
      await log.seal(run);
      const seen = await eventually(clock, drain(behind));
      expect(seen.gaps).toHaveLength(1);
      expect(seen.gaps[0]?.lost).toBe("token");
      expect(seen.seqs).toEqual([...new Set(seen.seqs)].sort((a, b) => a - b));
      expect(seen.seqs).toEqual(expect.arrayContaining(range(0, 30).map((n) => n * 20 + 1)));
      const late = await drain(await mustOpen(elsewhere, run, "start"));
      expect(late.gaps).toEqual([]);
      expect(late.seqs.at(-1)).toBe(600);
    },
  );

  shared(
    "a reader elsewhere that leaves early gives the log the long life",
    { ttlMs: 60_000, unreadTtlMs: 5_000 },
    async (fixture) => {
      const { log, clock, another } = fixture;
      const elsewhere = await another();
      const [left, unread] = [newRun(), newRun()];
      for (const run of [left, unread]) {
        await log.begin(run, { leaseToken: 1 });
        log.append(run, newEvents(3));
        await log.flush(run);
      }
      (await mustOpen(elsewhere, left, "now")).close();
      // The storage is told without anybody waiting for it.
      await elsewhere.flush(left);
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const run of [left, unread]) await log.seal(run);
      clock.advance(5_001);
      await log.sweep();
      expect(await log.open(unread, "now")).toBeNull();
      expect(await log.open(left, "now")).not.toBeNull();
    },
  );

  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 20 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("join" as const),
        at: fc.nat(2),
        after: fc.integer({ min: -2, max: 60 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), reader: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("move" as const), reader: fc.nat(20), at: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.nat(400) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  );

  shared(
    "readers that move between processes with their last event id see every event once, in order, to the seal",
    {},
    async ({ log, clock, another }) => {
      const logs: readonly EventLog[] = [log, await another(), await another()];
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
          const run = newRun();
          await log.begin(run, { leaseToken: 1 });
          await log.flush(run);
          const readers: Reader[] = [];
          const pending = new Map<Reader, Promise<void>>();
          let length = 0;
          const take = async (reader: Reader): Promise<void> => {
            const read = await reader.cursor.next();
            if (read.kind === "gap") throw new Error(`A gap at ${read.resumeAtSeq}`);
            if (read.kind === "events") reader.seen.push(...read.events.map(({ seq }) => seq));
          };
          const open = (at: number, afterSeq: number) => mustOpen(logs[at % 3] as EventLog, run, { afterSeq });
          for (const action of steps) {
            const reader = "reader" in action ? readers[action.reader % Math.max(readers.length, 1)] : undefined;
            if (action.do === "append") {
              log.append(run, newEvents(action.count, length % 2 === 0 ? "state" : "token", length));
              length += action.count;
            } else if (action.do === "join") {
              await log.flush(run);
              const cursor = await open(action.at, Math.min(action.after, length - 1));
              readers.push({ cursor, seen: [Math.max(Math.min(action.after, length - 1), -1)] });
            } else if (action.do === "read" && reader !== undefined && !pending.has(reader)) {
              // One call at a time; it may wait for what comes later.
              pending.set(
                reader,
                take(reader).finally(() => pending.delete(reader)),
              );
            } else if (action.do === "move" && reader !== undefined) {
              reader.cursor.close();
              await pending.get(reader);
              reader.cursor = await open(action.at, reader.seen.at(-1) as number);
            } else if (action.do === "flush") await log.flush(run);
            else if (action.do === "advance") clock.advance(action.ms);
            else if (action.do === "turn") await new Promise((resolve) => setImmediate(resolve));
          }
          await log.seal(run, newEvents(1, "control"));
          for (const reader of readers) {
            await eventually(clock, pending.get(reader) ?? Promise.resolve());
            const { seqs, gaps } = await eventually(clock, drain(reader.cursor));
            expect(gaps).toEqual([]);
            const [joinedAfter, ...seen] = reader.seen;
            expect([...seen, ...seqs]).toEqual(range((joinedAfter as number) + 1, length + 1));
          }
          await log.drop(run);
        }),
        { numRuns: 30 },
      );
    },
  );
}
