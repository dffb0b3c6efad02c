import type { EventLog } from "../../core/event-log.js";
import type { RunRef } from "../../core/run.js";
import {
  type EventLogSuite,
  type WithEventLog,
  drain,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
} from "./fixture.js";

const TEXT = "x".repeat(100);

/** What goes first when a run has more than `maxBytes`. */
export function evictionCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  const maxBytes = 32_000;

  /** One state frame per nine tokens, `count` events in all, flushed now and then. */
  async function appendMixed(log: EventLog, run: RunRef, count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      log.append(run, [newEvent(`${i} ${TEXT}`, i % 10 === 0 ? "state" : "token")]);
      if (i % 20 === 19) await log.flush(run);
    }
    await log.flush(run);
  }

  it(
    "evicts token frames first, oldest first; a reader behind gets one gap and everything that is left",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, [newEvent("metadata", "control")]);
      const behind = await mustOpen(log, run, "start");
      await appendMixed(log, run, 600);
      log.append(run, [newEvent("end", "control")]);
      await log.seal(run);

      const seen = await drain(behind);
      expect(seen.gaps).toEqual([{ kind: "gap", resumeAtSeq: expect.any(Number) as number, lost: "token" }]);
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
      log.append(run, [newEvent("metadata", "control")]);
      const behind = await mustOpen(log, run, { afterSeq: 0 });
      for (let i = 0; i < 30; i += 1) {
        log.append(run, [newEvent(`${i} ${TEXT.repeat(30)}`)]);
        log.append(run, [newEvent("c", "control")]);
        await log.flush(run);
      }
      log.append(run, [newEvent(TEXT.repeat(1_000))]);
      await log.seal(run);
      const seen = await drain(behind);
      // Two where frames go while they are read.
      expect(seen.gaps.length).toBeGreaterThan(0);
      for (const gap of seen.gaps) expect(gap.lost).toBe("state");
      const controls = range(1, 31).map((i) => i * 2);
      expect(seen.seqs).toEqual(expect.arrayContaining([...controls, 61]));
      expect(seen.seqs).not.toContain(1);
      expect(seen.seqs.length).toBeLessThan(50);
    }),
  );

  it(
    "a reader from the start that is overtaken gets the gap of what was there when it came",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      const append = async (): Promise<void> => {
        for (let i = 0; i < 30; i += 1) {
          log.append(
            run,
            range(0, 20).map((n) => newEvent(`${n} ${TEXT}`, "token")),
          );
          await log.flush(run);
        }
      };
      await log.begin(run);
      await append();
      const overtaken = await mustOpen(log, run, "start");
      await append();
      await log.seal(run);
      const { seqs, gaps } = await drain(overtaken);
      expect(gaps).toEqual([{ kind: "gap", resumeAtSeq: seqs[0], lost: "token" }]);
      expect(seqs[0]).toBeGreaterThan(600);
      expect(seqs).toEqual(range(seqs[0] as number, 1_200));
    }),
  );

  it(
    "keeps the newest state frame, however many control frames follow it",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      for (const i of range(0, 600)) {
        log.append(run, [newEvent(`${i} ${TEXT}`, i < 5 ? "state" : "control")]);
        // An eviction frees more than ten events: every one is tried all the same.
        if (i < 5 || i % 10 === 9) await log.flush(run);
      }
      await log.seal(run);
      expect((await drain(await mustOpen(log, run, "start"))).seqs).toEqual(range(4, 600));
    }),
  );

  it(
    "a reader that keeps up loses nothing, however much is evicted behind it",
    withLog({ maxBytes }, async ({ log }) => {
      const run = newRun();
      await log.begin(run);
      const cursor = await mustOpen(log, run, "start");
      const seqs: number[] = [];
      for (let i = 0; i < 150; i += 1) {
        log.append(
          run,
          range(0, 10).map((n) => newEvent(`${i} ${n} ${TEXT}`, n === 0 ? "state" : "token")),
        );
        const seen = await drain(cursor, 10);
        expect(seen.gaps).toEqual([]);
        seqs.push(...seen.seqs);
      }
      expect(seqs).toEqual(range(0, 1_500));
    }),
  );
}

/** How long logs are kept, and what dropping does to readers. */
export function lifetimeCases({ vitest: { it, expect } }: EventLogSuite, withLog: WithEventLog): void {
  const life = { ttlMs: 60_000, unreadTtlMs: 5_000 };

  it(
    "keeps a sealed log for ttlMs when it is resumable or a reader left early, and for unreadTtlMs otherwise",
    withLog(life, async ({ log, clock }) => {
      const [resumable, left, unread, open, done] = [newRun(), newRun(), newRun(), newRun(), newRun()];
      for (const run of [resumable, left, unread, open, done]) {
        await log.begin(run, { resumable: run === resumable });
        log.append(run, newEvents(3));
      }
      (await mustOpen(log, left, "now")).close();
      const reader = await mustOpen(log, done, "start");
      for (const run of [resumable, left, unread, done]) await log.seal(run);
      expect((await drain(reader)).seqs).toEqual([0, 1, 2]);
      reader.close();
      const kept = async (): Promise<boolean[]> => {
        const found: boolean[] = [];
        for (const run of [resumable, left, unread, open, done]) {
          // Looking counts as reading: only at logs that are kept for other reasons, or that should be gone.
          const cursor = await log.open(run, "now");
          cursor?.close();
          found.push(cursor !== null);
        }
        return found;
      };
      clock.advance(5_001);
      await log.sweep();
      expect(await kept()).toEqual([true, true, false, true, false]);
      clock.advance(54_000);
      await log.sweep();
      expect(await kept()).toEqual([true, true, false, true, false]);
      clock.advance(1_000);
      await log.sweep();
      expect(await kept()).toEqual([false, false, false, true, false]);
    }),
  );

  it(
    "an unread log that somebody opens after the end lives on",
    withLog(life, async ({ log, clock }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, newEvents(3));
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
      log.append(run, newEvents(3));
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
        log.append(run, newEvents(1));
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
        log.append(run, newEvents(3));
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
      expect(log.append(first, newEvents(1))).toBe(0);
    }),
  );
}
