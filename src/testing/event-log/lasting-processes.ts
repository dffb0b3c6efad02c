import type { EventLog } from "../../core/event-log.js";
import { sharedCase } from "./processes.js";
import { newThreadLog, runOnce, TOKEN } from "./lasting.js";
import { type EventLogSuite, type WithEventLog, drain, eventsOf, eventually, mustOpen, newEvent } from "./fixture.js";

/** Logs of threads whose runs are executed by several processes. */
export function lastingProcessCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { expect } = suite.vitest;
  const { fc } = suite;
  const shared = sharedCase(suite, withLog);

  shared(
    "readers anywhere follow a thread from run to run, and through the time when nothing is kept",
    { ttlMs: 60_000 },
    async ({ log, clock, another }) => {
      const logs = [log, await another(), await another()] as const;
      const thread = newThreadLog();
      await logs[2].begin(thread, { lasting: true });
      await logs[2].flush(thread);
      const cursors = await Promise.all(logs.map((each) => mustOpen(each, thread, "now")));
      let last: number | null = null;
      for (let run = 0; run < 6; run += 1) {
        const reads = cursors.map((cursor) => cursor.next());
        const seq = await runOnce(logs[run % 2] as EventLog, thread, TOKEN + run, [`${run}`]);
        if (last !== null) expect(seq).toBe(last + 1);
        last = seq;
        for (const read of await eventually(clock, Promise.all(reads))) {
          expect(eventsOf(read).map((event) => [event.seq, event.data])).toEqual([[seq, `"${run}"`]]);
        }
        if (run % 2 === 1) {
          clock.advance(60_001);
          await logs[2].sweep();
          expect(await logs[2].extent(thread)).toMatchObject({ nextSeq: seq + 1, evictedToSeq: seq });
        }
      }
    },
  );

  shared(
    "the next run elsewhere fences off the one before, unless that has ended; what it wrote by then stays",
    {},
    async ({ log, clock, another }) => {
      const successor = await another();
      const thread = newThreadLog();
      await log.begin(thread, { leaseToken: TOKEN, lasting: true });
      const first = log.append(thread, [newEvent("a")]);
      await log.flush(thread);
      const cursors = [await mustOpen(log, thread, "start"), await mustOpen(successor, thread, "start")];
      await successor.begin(thread, { leaseToken: TOKEN + 1, lasting: true });
      log.append(thread, [newEvent("of a zombie")]);
      await log.flush(thread);
      await log.rest(thread, { leaseToken: TOKEN });
      expect(successor.append(thread, [newEvent("b")])).toBe(first + 1);
      await successor.flush(thread);
      expect(log.append(thread, [newEvent("again")])).toBe(-1);
      for (const cursor of cursors) {
        expect((await eventually(clock, drain(cursor, 2))).data).toEqual(['"a"', '"b"']);
      }
      // It does not rest: that would be the successor's.
      expect(await log.restless()).toEqual([{ ...thread, leaseToken: TOKEN + 1 }]);
      await successor.rest(thread, { leaseToken: TOKEN + 1 });
      expect(await log.restless()).toEqual([]);
      // The first process takes it back, with what it has seen of the second.
      expect(await runOnce(log, thread, TOKEN + 2, ["c"])).toBe(first + 2);
      for (const cursor of cursors) expect((await eventually(clock, drain(cursor, 1))).data).toEqual(['"c"']);
    },
  );

  shared("a process that had the log twice, and another one in between", {}, async ({ log, clock, another }) => {
    const between = await another();
    const thread = newThreadLog();
    await log.begin(thread, { leaseToken: TOKEN, lasting: true });
    const first = log.append(thread, [newEvent("a")]);
    await log.flush(thread);
    // The first run has not ended here when the second one begins there, and the third one here.
    await between.begin(thread, { leaseToken: TOKEN + 1, lasting: true });
    expect(between.append(thread, [newEvent("b")])).toBe(first + 1);
    await between.flush(thread);
    await log.begin(thread, { leaseToken: TOKEN + 2, lasting: true });
    expect(log.append(thread, [newEvent("c")])).toBe(first + 2);
    await log.flush(thread);
    await log.rest(thread, { leaseToken: TOKEN });
    await between.rest(thread, { leaseToken: TOKEN + 1 });
    expect(log.append(thread, [newEvent("d")])).toBe(first + 3);
    await log.rest(thread, { leaseToken: TOKEN + 2 });
    for (const each of [log, between]) {
      const seen = await eventually(clock, drain(await mustOpen(each, thread, "start"), 4));
      expect(seen.data).toEqual(['"a"', '"b"', '"c"', '"d"']);
    }
  });

  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("run" as const),
        at: fc.nat(2),
        count: fc.integer({ min: 1, max: 6 }),
        ends: fc.constantFrom("at once" as const, "late" as const, "never" as const),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const), reader: fc.nat(5), at: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(50, 700, 3_000) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const) }) },
  );

  shared(
    "whatever runs where, readers that keep up and move about see every event once, in order, without a gap",
    { ttlMs: 60_000 },
    async ({ log, clock, another }) => {
      const logs: readonly EventLog[] = [log, await another(), await another()];
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
          const thread = newThreadLog();
          await log.begin(thread, { lasting: true });
          await log.flush(thread);
          const readers = await Promise.all(
            [0, 1, 2, 0, 1, 2].map(async (at) => ({
              cursor: await mustOpen(logs[at] as EventLog, thread, "now"),
              lastSeq: null as number | null,
              data: [] as string[],
            })),
          );
          const appended: string[] = [];
          let token = TOKEN;
          let late: (() => Promise<void>) | null = null;
          const readAll = (): Promise<unknown> =>
            eventually(
              clock,
              Promise.all(
                readers.map(async (reader) => {
                  while (reader.data.length < appended.length) {
                    const events = eventsOf(await reader.cursor.next());
                    for (const { seq, data } of events) {
                      if (reader.lastSeq !== null) expect(seq).toBe(reader.lastSeq + 1);
                      reader.lastSeq = seq;
                      reader.data.push(data);
                    }
                  }
                }),
              ),
            );
          for (const action of steps) {
            if (action.do === "run") {
              const writer = logs[action.at] as EventLog;
              token += 1;
              const leaseToken = token;
              await writer.begin(thread, { leaseToken, lasting: true });
              // The run before may still be about to end: that changes nothing.
              await late?.();
              late = null;
              for (let i = 0; i < action.count; i += 1) {
                const event = newEvent(`${token - TOKEN}.${i}`, i % 2 === 0 ? "token" : "state");
                expect(writer.append(thread, [event])).toBeGreaterThanOrEqual(0);
                appended.push(event.data);
              }
              await writer.flush(thread);
              const rest = (): Promise<void> => writer.rest(thread, { leaseToken });
              if (action.ends === "at once") await rest();
              if (action.ends === "late") late = rest;
            } else if (action.do === "resume") {
              const reader = readers[action.reader];
              if (reader === undefined) continue;
              await readAll();
              reader.cursor.close();
              const position = reader.lastSeq === null ? "now" : { afterSeq: reader.lastSeq };
              reader.cursor = await mustOpen(logs[action.at] as EventLog, thread, position);
            } else if (action.do === "advance") {
              clock.advance(action.ms);
            } else {
              await readAll();
              clock.advance(60_001);
              await log.sweep();
            }
          }
          await readAll();
          for (const reader of readers) expect(reader.data).toEqual(appended);
          for (const { cursor } of readers) cursor.close();
          await log.drop(thread);
        }),
        { numRuns: 20 },
      );
    },
  );
}
