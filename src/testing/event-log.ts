import type * as FastCheck from "fast-check";
import type * as Vitest from "vitest";
import type { CursorRead, EventCursor, EventLog, EventLogOptions } from "../core/event-log.js";
import { type JsonText, toJsonText } from "../core/json.js";
import type { NewRunEvent, RunEventKind } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { type FakeClock, fakeClock } from "./fake-clock.js";

/** A log under test. */
export interface OpenedEventLog {
  readonly log: EventLog;
  /** Durable logs: open the same storage once more, as after the process was killed. The suite closes both. */
  readonly reopen?: () => Promise<EventLog>;
}

export interface EventLogSuite {
  readonly name: string;
  readonly vitest: Pick<typeof Vitest, "describe" | "it" | "expect">;
  readonly fc: typeof FastCheck;
  /** A fresh, empty log. */
  open(options: EventLogOptions & { readonly clock: FakeClock }): Promise<OpenedEventLog>;
}

/** What the cases of the suite share. */
export interface EventLogFixture extends OpenedEventLog {
  readonly clock: FakeClock;
}

export type WithEventLog = (
  options: Omit<EventLogOptions, "clock">,
  test: (fixture: EventLogFixture) => Promise<void>,
) => () => Promise<void>;

/** The contract of {@link EventLog}. Durable logs (those that can be reopened) run the restart cases too. */
export function testEventLog(suite: EventLogSuite): void {
  suite.vitest.describe(`EventLog: ${suite.name}`, () => {
    const withLog: WithEventLog = (options, test) => async () => {
      const clock = fakeClock();
      const opened = await suite.open({ ...options, clock });
      const reopened: EventLog[] = [];
      const reopen = opened.reopen;
      try {
        await test({
          log: opened.log,
          clock,
          ...(reopen === undefined
            ? {}
            : {
                async reopen() {
                  const log = await reopen();
                  reopened.push(log);
                  return log;
                },
              }),
        });
      } finally {
        for (const log of [opened.log, ...reopened]) await log.close();
      }
    };
    positionCases(suite, withLog);
    waitingCases(suite, withLog);
    evictionCases(suite, withLog);
    lifetimeCases(suite, withLog);
    randomCases(suite, withLog);
    restartCases(suite, withLog);
  });
}

let runs = 0;

function newRun(threadId?: string): RunRef {
  runs += 1;
  return { runId: `run-${runs}`, threadId: threadId ?? `thread-${runs}` };
}

function event(text: string, kind: RunEventKind = "state"): NewRunEvent {
  return { event: kind === "token" ? "messages" : "values", data: toJsonText(text), kind };
}

function events(count: number, kind: RunEventKind = "state", from = 0): NewRunEvent[] {
  return Array.from({ length: count }, (_, index) => event(`e${from + index}`, kind));
}

interface Transcript {
  readonly seqs: readonly number[];
  readonly data: readonly JsonText[];
  readonly gaps: readonly Extract<CursorRead, { kind: "gap" }>[];
}

/** Read until the end, or until `count` events were read. */
async function drain(cursor: EventCursor, count = Number.POSITIVE_INFINITY): Promise<Transcript> {
  const seqs: number[] = [];
  const data: JsonText[] = [];
  const gaps: Extract<CursorRead, { kind: "gap" }>[] = [];
  while (seqs.length < count) {
    const read = await cursor.next();
    if (read.kind === "end") break;
    if (read.kind === "gap") gaps.push(read);
    else {
      seqs.push(...read.events.map((e) => e.seq));
      data.push(...read.events.map((e) => e.data));
    }
  }
  return { seqs, data, gaps };
}

function range(from: number, before: number): number[] {
  return Array.from({ length: Math.max(before - from, 0) }, (_, index) => from + index);
}

async function mustOpen(log: EventLog, run: RunRef, position: Parameters<EventLog["open"]>[1]): Promise<EventCursor> {
  const cursor = await log.open(run, position);
  if (cursor === null) throw new Error(`No log of ${run.runId} is kept`);
  return cursor;
}

function positionCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  it(
    "gives every event once, in order, from 0, with what was appended, and ends when sealed",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursor = await mustOpen(log, run, "start");
      expect(log.append(run, [event("a", "control"), event("b", "token")])).toBe(1);
      expect(log.append(run, [event("c")])).toBe(2);
      await log.seal(run);
      const seen = [];
      for (let read = await cursor.next(); read.kind !== "end"; read = await cursor.next()) {
        if (read.kind === "events") seen.push(...read.events);
      }
      expect(seen).toEqual([
        { seq: 0, event: "values", data: '"a"', kind: "control" },
        { seq: 1, event: "messages", data: '"b"', kind: "token" },
        { seq: 2, event: "values", data: '"c"', kind: "state" },
      ]);
      expect(await cursor.next()).toEqual({ kind: "end" });
    }),
  );

  it(
    "starts where the position says (docs/wire/langgraph-api.md §3.10)",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, events(10));
      await log.flush(run);
      const first = async (position: Parameters<EventLog["open"]>[1]) => mustOpen(log, run, position);
      const cursors = {
        start: await first("start"),
        minusOne: await first({ afterSeq: -1 }),
        after4: await first({ afterSeq: 4 }),
        newest: await first({ afterSeq: 9 }),
        tooLarge: await first({ afterSeq: 4711 }),
        garbage: await first({ afterSeq: Number.NaN }),
        fraction: await first({ afterSeq: 3.5 }),
        now: await first("now"),
      };
      log.append(run, events(2));
      await log.seal(run);
      const seen = Object.fromEntries(
        await Promise.all(Object.entries(cursors).map(async ([name, cursor]) => [name, (await drain(cursor)).seqs])),
      );
      expect(seen).toEqual({
        start: range(0, 12),
        minusOne: range(0, 12),
        after4: range(5, 12),
        newest: [10, 11],
        tooLarge: [10, 11],
        garbage: [10, 11],
        fraction: [10, 11],
        now: [10, 11],
      });
    }),
  );

  it(
    "knows no log that was not begun, and none under another thread's id",
    withLog({}, async ({ log }) => {
      const run = newRun();
      expect(await log.open(run, "start")).toBeNull();
      await log.begin(run);
      expect(await log.open(run, "start")).not.toBeNull();
      expect(await log.open({ ...run, threadId: "another" }, "start")).toBeNull();
    }),
  );

  it(
    "discards events of a log that is not open: never begun, sealed, dropped",
    withLog({}, async ({ log }) => {
      const run = newRun();
      expect(log.append(run, events(1))).toBe(-1);
      await log.begin(run);
      expect(log.append(run, events(1))).toBe(0);
      await log.begin(run);
      expect(log.append(run, events(1))).toBe(1);
      await log.seal(run);
      await log.seal(run);
      expect(log.append(run, events(1))).toBe(-1);
      expect((await drain(await mustOpen(log, run, "start"))).seqs).toEqual([0, 1]);
      await log.drop(run);
      expect(log.append(run, events(1))).toBe(-1);
      expect(await log.open(run, "start")).toBeNull();
    }),
  );

  it(
    "lets readers join and resume after the end, as often as they like",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, events(5));
      await log.seal(run);
      for (let i = 0; i < 3; i += 1) {
        expect((await drain(await mustOpen(log, run, "start"))).seqs).toEqual(range(0, 5));
        expect((await drain(await mustOpen(log, run, { afterSeq: 2 }))).seqs).toEqual([3, 4]);
        expect((await drain(await mustOpen(log, run, "now"))).seqs).toEqual([]);
      }
    }),
  );
}

function waitingCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  it(
    "wakes every waiting reader with all that was appended meanwhile",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursors = await Promise.all(range(0, 20).map(() => mustOpen(log, run, "now")));
      const reads = cursors.map((cursor) => cursor.next());
      log.append(run, events(2));
      log.append(run, events(1));
      for (const read of await Promise.all(reads)) {
        expect(read.kind === "events" && read.events.map((e) => e.seq)).toEqual([0, 1, 2]);
      }
      const ends = cursors.map((cursor) => cursor.next());
      await log.seal(run);
      expect(await Promise.all(ends)).toEqual(cursors.map(() => ({ kind: "end" })));
    }),
  );

  it(
    "a slow reader does not hold back the others, and loses nothing",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const slow = await mustOpen(log, run, "start");
      const fast = await mustOpen(log, run, "start");
      for (let i = 0; i < 50; i += 1) {
        log.append(run, events(3));
        expect((await drain(fast, 3)).seqs).toEqual(range(i * 3, i * 3 + 3));
      }
      await log.seal(run);
      expect((await drain(slow)).seqs).toEqual(range(0, 150));
    }),
  );

  it(
    "ends a reader that is closed while it waits, and only that one",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const [left, stays] = [await mustOpen(log, run, "start"), await mustOpen(log, run, "start")];
      const [leaving, staying] = [left.next(), stays.next()];
      left.close();
      left.close();
      expect(await leaving).toEqual({ kind: "end" });
      log.append(run, events(1));
      expect((await staying).kind).toBe("events");
      expect(await left.next()).toEqual({ kind: "end" });
    }),
  );

  it(
    "rejects with the signal's reason, and goes on afterwards without a loss",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursor = await mustOpen(log, run, "start");
      const reason = new Error("the client left");
      await expect(cursor.next(AbortSignal.abort(reason))).rejects.toBe(reason);
      const controller = new AbortController();
      const waiting = cursor.next(controller.signal);
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      log.append(run, events(2));
      expect((await drain(cursor, 2)).seqs).toEqual([0, 1]);
    }),
  );

  it(
    "ends waiting readers when it closes",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const waiting = (await mustOpen(log, run, "start")).next();
      await log.close();
      expect(await waiting).toEqual({ kind: "end" });
      expect(log.append(run, events(1))).toBe(-1);
    }),
  );
}

const TEXT = "x".repeat(100);

function evictionCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  const maxBytes = 32_000;

  /** One state frame per nine tokens, `count` events in all, flushed now and then. */
  async function appendMixed(log: EventLog, run: RunRef, count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      log.append(run, [event(`${i} ${TEXT}`, i % 10 === 0 ? "state" : "token")]);
      if (i % 20 === 19) await log.flush(run);
    }
    await log.flush(run);
  }

  it(
    "evicts token frames first, oldest first; a reader behind gets one gap and everything that is left",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, [event("metadata", "control")]);
      const behind = await mustOpen(log, run, "start");
      await appendMixed(log, run, 600);
      log.append(run, [event("end", "control")]);
      await log.seal(run);

      const seen = await drain(behind);
      expect(seen.gaps).toEqual([{ kind: "gap", resumeAtSeq: expect.any(Number), lost: "token" }]);
      expect(seen.seqs).toEqual([...new Set(seen.seqs)].sort((a, b) => a - b));
      const states = range(0, 60).map((i) => i * 10 + 1);
      expect(seen.seqs).toEqual(expect.arrayContaining([0, ...states, 601]));
      const tokens = seen.seqs.filter((seq) => seq !== 0 && seq !== 601 && (seq - 1) % 10 !== 0);
      expect(tokens.length).toBeGreaterThan(10);
      expect(tokens.length).toBeLessThan(540);
      const allFromFirstKept = range(tokens[0] as number, 601).filter((seq) => (seq - 1) % 10 !== 0);
      expect(tokens).toEqual(allFromFirstKept);

      const late = await drain(await mustOpen(log, run, "start"));
      expect(late).toEqual({ ...seen, gaps: [] });
      const resumed = await drain(await mustOpen(log, run, { afterSeq: 1 }));
      expect(resumed).toEqual({ seqs: seen.seqs.slice(2), data: seen.data.slice(2), gaps: seen.gaps });
    }),
  );

  it(
    "evicts state frames when no token is left, never control frames nor the newest state frame",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, [event("metadata", "control")]);
      const behind = await mustOpen(log, run, { afterSeq: 0 });
      for (let i = 0; i < 30; i += 1) {
        log.append(run, [event(`${i} ${TEXT.repeat(30)}`)]);
        log.append(run, [event("c", "control")]);
        await log.flush(run);
      }
      log.append(run, [event(TEXT.repeat(1_000))]);
      await log.seal(run);
      const seen = await drain(behind);
      expect(seen.gaps).toHaveLength(1);
      expect(seen.gaps[0]?.lost).toBe("state");
      const controls = range(1, 31).map((i) => i * 2);
      expect(seen.seqs).toEqual(expect.arrayContaining([...controls, 61]));
      expect(seen.seqs).not.toContain(1);
      expect(seen.seqs.length).toBeLessThan(50);
    }),
  );

  it(
    "a reader that keeps up loses nothing, however much is evicted behind it",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursor = await mustOpen(log, run, "start");
      const seqs: number[] = [];
      for (let i = 0; i < 300; i += 1) {
        log.append(
          run,
          range(0, 10).map((n) => event(`${i} ${n} ${TEXT}`, n === 0 ? "state" : "token")),
        );
        const seen = await drain(cursor, 10);
        expect(seen.gaps).toEqual([]);
        seqs.push(...seen.seqs);
      }
      expect(seqs).toEqual(range(0, 3_000));
    }),
  );
}

function lifetimeCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  const life = { ttlMs: 60_000, unreadTtlMs: 5_000 };

  it(
    "keeps a sealed log for ttlMs when it is resumable or was read, and for unreadTtlMs otherwise",
    withLog(life, async ({ log, clock }) => {
      const [resumable, read, unread, open] = [newRun(), newRun(), newRun(), newRun()];
      for (const run of [resumable, read, unread, open]) {
        await log.begin(run, { resumable: run === resumable });
        log.append(run, events(3));
      }
      (await mustOpen(log, read, "now")).close();
      for (const run of [resumable, read, unread]) await log.seal(run);
      const kept = async (): Promise<boolean[]> => {
        const found: boolean[] = [];
        for (const run of [resumable, read, unread, open]) {
          // Looking counts as reading: only at logs that are kept for other reasons, or that should be gone.
          const cursor = await log.open(run, "now");
          cursor?.close();
          found.push(cursor !== null);
        }
        return found;
      };
      clock.advance(5_001);
      await log.sweep();
      expect(await kept()).toEqual([true, true, false, true]);
      clock.advance(54_000);
      await log.sweep();
      expect(await kept()).toEqual([true, true, false, true]);
      clock.advance(1_000);
      await log.sweep();
      expect(await kept()).toEqual([false, false, false, true]);
    }),
  );

  it(
    "an unread log that somebody opens after the end lives on",
    withLog(life, async ({ log, clock }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, events(3));
      await log.seal(run);
      clock.advance(4_000);
      await log.sweep();
      const cursor = await mustOpen(log, run, "start");
      clock.advance(20_000);
      await log.sweep();
      expect((await drain(cursor)).seqs).toEqual([0, 1, 2]);
    }),
  );

  it(
    "spares a reader that has not read all, once; then it gets a gap and the end",
    withLog(life, async ({ log, clock }) => {
      const run = newRun();
      await log.begin(run, { resumable: true });
      log.append(run, events(3));
      await log.seal(run);
      const [early, late] = [await mustOpen(log, run, "start"), await mustOpen(log, run, "start")];
      await log.sweep();
      clock.advance(60_001);
      await log.sweep();
      expect((await drain(early)).seqs).toEqual([0, 1, 2]);
      clock.advance(60_001);
      await log.sweep();
      expect(await log.open(run, "start")).toBeNull();
      expect(await late.next()).toEqual({ kind: "gap", resumeAtSeq: 3, lost: "state" });
      expect(await late.next()).toEqual({ kind: "end" });
    }),
  );

  it(
    "sweep says how many it dropped",
    withLog({ ttlMs: 0 }, async ({ log }) => {
      const runs = range(0, 5).map(() => newRun());
      for (const run of runs) {
        await log.begin(run, { resumable: true });
        log.append(run, events(1));
      }
      expect(await log.sweep()).toBe(0);
      for (const run of runs) await log.seal(run);
      expect(await log.sweep()).toBe(5);
      expect(await log.sweep()).toBe(0);
    }),
  );

  it(
    "drops one run, or all of a thread; readers end, with a gap when something was unread",
    withLog({}, async ({ log }) => {
      const [first, second] = [newRun("shared"), newRun("shared")];
      const other = newRun();
      for (const run of [first, second, other]) {
        await log.begin(run);
        log.append(run, events(3));
        await log.flush(run);
      }
      const unread = await mustOpen(log, first, "start");
      const waiting = (await mustOpen(log, first, "now")).next();
      await log.drop(first);
      expect(await unread.next()).toEqual({ kind: "gap", resumeAtSeq: 3, lost: "state" });
      expect(await unread.next()).toEqual({ kind: "end" });
      expect(await waiting).toEqual({ kind: "end" });
      expect(await log.open(second, "start")).not.toBeNull();
      await log.dropThread("shared");
      expect(await log.open(second, "start")).toBeNull();
      expect(await log.open(other, "start")).not.toBeNull();
      await log.drop(first);
      await log.begin(first);
      expect(log.append(first, events(1))).toBe(0);
    }),
  );
}

interface Reader {
  cursor: EventCursor;
  readonly seen: number[];
  /** The next event it must get. */
  expected: number;
}

function randomCases({ vitest: { it, expect }, fc }: EventLogSuite, withLog: WithEventLog): void {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 40 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("join" as const), after: fc.integer({ min: -3, max: 300 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), reader: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("resume" as const), reader: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  );

  it(
    "any number of readers that join, resume and read at random each get exactly their suffix, in order",
    withLog({}, async ({ log }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const run = newRun();
          await log.begin(run);
          const readers: Reader[] = [];
          let length = 0;
          // A position that counts from what readers may see: settled after each append.
          const settle = async () => log.flush(run);
          const readOnce = async (reader: Reader): Promise<void> => {
            if (reader.expected >= length) return;
            const read = await reader.cursor.next();
            if (read.kind !== "events") throw new Error(`Unexpected ${read.kind}`);
            for (const { seq } of read.events) {
              expect(seq).toBe(reader.expected);
              reader.expected += 1;
              reader.seen.push(seq);
            }
          };
          for (const action of steps) {
            const reader = "reader" in action ? readers[action.reader % Math.max(readers.length, 1)] : undefined;
            if (action.do === "append") {
              log.append(run, events(action.count, length % 3 === 0 ? "state" : "token", length));
              length += action.count;
            } else if (action.do === "join") {
              await settle();
              const cursor = await mustOpen(log, run, { afterSeq: action.after });
              const expected = action.after < 0 ? 0 : Math.min(action.after + 1, length);
              readers.push({ cursor, expected, seen: [] });
            } else if (action.do === "read" && reader !== undefined) {
              await readOnce(reader);
            } else if (action.do === "resume" && reader !== undefined) {
              await settle();
              reader.cursor.close();
              reader.cursor = await mustOpen(log, run, { afterSeq: reader.expected - 1 });
            } else if (action.do === "flush") {
              await log.flush(run);
            } else if (action.do === "turn") {
              await new Promise((resolve) => setImmediate(resolve));
            }
          }
          await log.seal(run);
          for (const reader of readers) {
            const rest = await drain(reader.cursor);
            expect(rest.gaps).toEqual([]);
            expect(rest.seqs).toEqual(range(reader.expected, length));
          }
          await log.drop(run);
        }),
        { numRuns: 60 },
      );
    }),
  );
}

function restartCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { it, expect } = suite.vitest;
  const durable = (
    name: string,
    options: Omit<EventLogOptions, "clock">,
    test: (fixture: Required<EventLogFixture>) => Promise<void>,
  ): void => {
    it(name, async (context) => {
      await withLog(options, async (fixture) => {
        if (fixture.reopen === undefined) context.skip("not durable");
        else await test({ ...fixture, reopen: fixture.reopen });
      })();
    });
  };

  durable("after a restart a sealed log is replayed to its end", {}, async ({ log, reopen }) => {
    const run = newRun();
    await log.begin(run, { resumable: true });
    log.append(run, events(1_000));
    await log.seal(run);
    const after = await reopen();
    const seen = await drain(await mustOpen(after, run, "start"));
    expect(seen.seqs).toEqual(range(0, 1_000));
    expect(seen.data).toEqual(events(1_000).map((e) => e.data));
    expect((await drain(await mustOpen(after, run, { afterSeq: 990 }))).seqs).toEqual(range(991, 1_000));
    await after.begin(run);
    expect(after.append(run, events(1))).toBe(-1);
    expect(await after.unsealed()).toEqual([]);
  });

  durable(
    "after a restart the next attempt continues, also for readers that came first",
    {},
    async ({ log, reopen }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, events(100));
      await log.flush(run);
      expect(await log.unsealed()).toEqual([]);
      const after = await reopen();
      expect(await after.unsealed()).toEqual([run]);
      const replaying = await mustOpen(after, run, "start");
      const joined = (await mustOpen(after, run, "now")).next();
      await after.begin(run);
      expect(await after.unsealed()).toEqual([]);
      expect(after.append(run, events(2))).toBe(101);
      const read = await joined;
      expect(read.kind === "events" && read.events.map((e) => e.seq)).toEqual([100, 101]);
      await after.seal(run);
      expect((await drain(replaying)).seqs).toEqual(range(0, 102));
    },
  );

  durable("after a restart a log that was begun and has no event is known", {}, async ({ log, reopen }) => {
    const run = newRun();
    await log.begin(run);
    await log.flush(run);
    expect(await (await reopen()).open(run, "start")).not.toBeNull();
  });

  durable("what was left open can be sealed without an attempt", {}, async ({ log, reopen }) => {
    const run = newRun();
    await log.begin(run);
    log.append(run, events(3));
    await log.flush(run);
    const after = await reopen();
    const cursor = await mustOpen(after, run, "start");
    await after.seal(run);
    expect((await drain(cursor)).seqs).toEqual([0, 1, 2]);
    expect(await after.unsealed()).toEqual([]);
  });

  durable(
    "after a restart evicted events are still known to be gone",
    { maxBytes: 32_000 },
    async ({ log, reopen }) => {
      const run = newRun();
      await log.begin(run);
      for (let i = 0; i < 100; i += 1) {
        log.append(
          run,
          events(10, "token").map((e) => ({ ...e, data: toJsonText(TEXT) })),
        );
        await log.flush(run);
      }
      await log.seal(run);
      const after = await reopen();
      const seen = await drain(await mustOpen(after, run, { afterSeq: 3 }));
      expect(seen.gaps).toHaveLength(1);
      expect(seen.gaps[0]?.lost).toBe("token");
      expect(seen.seqs).toEqual(range(seen.gaps[0]?.resumeAtSeq ?? -1, 1_000));
      expect((await drain(await mustOpen(after, run, "start"))).gaps).toEqual([]);
    },
  );

  durable("after a restart the time of sealed logs goes on", { ttlMs: 60_000 }, async ({ log, clock, reopen }) => {
    const [kept, expiring] = [newRun(), newRun()];
    await log.begin(expiring, { resumable: true });
    await log.seal(expiring);
    clock.advance(30_000);
    await log.begin(kept, { resumable: true });
    await log.seal(kept);
    const after = await reopen();
    clock.advance(30_001);
    expect(await after.sweep()).toBe(1);
    expect(await after.open(expiring, "start")).toBeNull();
    expect(await after.open(kept, "start")).not.toBeNull();
  });
}
