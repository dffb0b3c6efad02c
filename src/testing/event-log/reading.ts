import type { EventLog } from "../../core/event-log.js";
import {
  type EventLogSuite,
  type WithEventLog,
  drain,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
  seqsOf,
} from "./fixture.js";

/** Where a cursor starts, and what it then gets. */
export function positionCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  it(
    "gives every event once, in order, from 0, with what was appended, and ends when sealed",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursor = await mustOpen(log, run, "start");
      expect(log.append(run, [newEvent("a", "control"), newEvent("b", "token")])).toBe(1);
      expect(log.append(run, [newEvent("c")])).toBe(2);
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
      log.append(run, newEvents(10));
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
      log.append(run, newEvents(2));
      await log.seal(run);
      const seen: Record<string, readonly number[]> = Object.fromEntries(
        await Promise.all(
          Object.entries(cursors).map(async ([name, cursor]) => [name, (await drain(cursor)).seqs] as const),
        ),
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
      expect(log.append(run, newEvents(1))).toBe(-1);
      await log.begin(run);
      expect(log.append(run, newEvents(1))).toBe(0);
      await log.begin(run);
      expect(log.append(run, newEvents(1))).toBe(1);
      await log.seal(run);
      await log.seal(run);
      expect(log.append(run, newEvents(1))).toBe(-1);
      expect((await drain(await mustOpen(log, run, "start"))).seqs).toEqual([0, 1]);
      await log.drop(run);
      expect(log.append(run, newEvents(1))).toBe(-1);
      expect(await log.open(run, "start")).toBeNull();
    }),
  );

  it(
    "lets readers join and resume after the end, as often as they like",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, newEvents(5));
      await log.seal(run);
      for (let i = 0; i < 3; i += 1) {
        expect((await drain(await mustOpen(log, run, "start"))).seqs).toEqual(range(0, 5));
        expect((await drain(await mustOpen(log, run, { afterSeq: 2 }))).seqs).toEqual([3, 4]);
        expect((await drain(await mustOpen(log, run, "now"))).seqs).toEqual([]);
      }
    }),
  );
}

/** Readers that wait, leave, are aborted. */
export function waitingCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  it(
    "wakes every waiting reader with all that was appended meanwhile",
    withLog({}, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursors = await Promise.all(range(0, 20).map(() => mustOpen(log, run, "now")));
      const reads = cursors.map((cursor) => cursor.next());
      log.append(run, newEvents(2));
      log.append(run, newEvents(1));
      for (const read of await Promise.all(reads)) {
        expect(seqsOf(read)).toEqual([0, 1, 2]);
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
        log.append(run, newEvents(3));
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
      log.append(run, newEvents(1));
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
      log.append(run, newEvents(2));
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
      expect(log.append(run, newEvents(1))).toBe(-1);
    }),
  );
}
