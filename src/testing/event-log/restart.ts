import {
  type EventLogSuite,
  type WithEventLog,
  drain,
  durableCase,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
  seqsOf,
} from "./fixture.js";

/** What a durable log still knows. */
export function restartCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { expect } = suite.vitest;
  const durable = durableCase(suite, withLog);

  durable("after a restart a sealed log is replayed to its end", {}, async ({ log, reopen }) => {
    const run = newRun();
    await log.begin(run, { resumable: true });
    log.append(run, newEvents(1_000));
    await log.seal(run);
    const after = await reopen();
    const seen = await drain(await mustOpen(after, run, "start"));
    expect(seen.seqs).toEqual(range(0, 1_000));
    expect(seen.data).toEqual(newEvents(1_000).map((e) => e.data));
    expect((await drain(await mustOpen(after, run, { afterSeq: 990 }))).seqs).toEqual(range(991, 1_000));
    await after.begin(run);
    expect(after.append(run, newEvents(1))).toBe(-1);
    expect(await after.unsealed()).toEqual([]);
  });

  durable(
    "after a restart the next attempt continues, also for readers that came first",
    {},
    async ({ log, reopen }) => {
      const run = newRun();
      await log.begin(run);
      log.append(run, newEvents(100));
      await log.flush(run);
      expect(await log.unsealed()).toEqual([]);
      const after = await reopen();
      expect(await after.unsealed()).toEqual([run]);
      const replaying = await mustOpen(after, run, "start");
      const joined = (await mustOpen(after, run, "now")).next();
      await after.begin(run);
      expect(await after.unsealed()).toEqual([]);
      expect(after.append(run, newEvents(2))).toBe(101);
      const read = await joined;
      expect(seqsOf(read)).toEqual([100, 101]);
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
    log.append(run, newEvents(3));
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
          range(0, 10).map((n) => newEvent(`${n} ${"x".repeat(100)}`, "token")),
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
