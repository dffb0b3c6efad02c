import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RunEvent } from "../../../src/core/run-event.js";
import { toJsonText } from "../../../src/core/json.js";
import type { RunLease, RunRef } from "../../../src/core/run.js";
import { systemClock } from "../../../src/runtime/system-clock.js";
import type { EventStorage, LogWrite } from "../../../src/streaming/event-storage.js";
import { openRedisEventStorage } from "../../../src/streaming/redis-event-storage.js";
import type { EventLogContext } from "../../../src/streaming/registry.js";
import { StoredEventLog } from "../../../src/streaming/stored-event-log.js";
import { drain, mustOpen, newEvent, newEvents, newRun, range } from "../../../src/testing/event-log/fixture.js";
import { hasRedisServer, startRedis, type TestRedis } from "../../support/redis.js";

function writeOf(run: RunRef, change: Partial<LogWrite> = {}): LogWrite {
  const events: RunEvent[] = [{ seq: 0, event: "values", data: toJsonText("x"), kind: "state" }];
  return {
    run,
    resumable: false,
    lasting: false,
    leaseToken: 1,
    storedSeq: null,
    events,
    nextSeq: 1,
    bytes: 70,
    evicted: { tokensTo: -1, statesTo: -1 },
    sealForMs: null,
    ...change,
  };
}

describe.skipIf(!hasRedisServer())("Redis event storage", () => {
  let server: TestRedis;
  const closers: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());
  afterEach(async () => {
    server.resume();
    for (const close of closers.splice(0).toReversed()) await close();
  });

  const open = async (uri: string): Promise<EventStorage> => {
    const storage = await openRedisEventStorage(uri, { cwd: "/" });
    closers.push(() => storage.close());
    return storage;
  };
  const openLog = async (uri: string, context: Pick<EventLogContext, "holdsLease"> = {}): Promise<StoredEventLog> => {
    const logger = { warn: () => undefined };
    const log = new StoredEventLog({
      storage: await openRedisEventStorage(uri, { cwd: "/", ...context }),
      clock: systemClock,
      logger,
    });
    closers.push(() => log.close());
    return log;
  };
  const keysOf = async (uri: string): Promise<string[]> => server.admin.keys(`${prefixOf(uri)}*`);
  const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + 15_000;
    while (!(await what())) {
      if (performance.now() > deadline) throw new Error(`not in time: ${String(what)}`);
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
  };

  it("every key of a log ends by itself: a day after its last write, soon after its end once it is sealed", async () => {
    const uri = server.uniqueUri();
    const storage = await open(uri);
    const [live, sealed] = [newRun(), newRun()];
    await storage.write([writeOf(live), writeOf(sealed, { sealForMs: 5_000 })]);
    const ttls = async (run: RunRef): Promise<number[]> => {
      const keys = (await keysOf(uri)).filter((key) => key.includes(run.runId));
      expect(keys).toHaveLength(2);
      return Promise.all(keys.map((key) => server.admin.pttl(key)));
    };
    for (const ttl of await ttls(live)) expect(Math.abs(ttl - 86_400_000)).toBeLessThan(5_000);
    for (const ttl of await ttls(sealed)) expect(Math.abs(ttl - 65_000)).toBeLessThan(5_000);
    await storage.keep(sealed, 600_000);
    for (const ttl of await ttls(sealed)) expect(Math.abs(ttl - 660_000)).toBeLessThan(5_000);
    // Sorted sets over all logs have no end; they hold what is there.
    const endless: string[] = [];
    for (const key of await keysOf(uri)) if ((await server.admin.pttl(key)) === -1) endless.push(key);
    expect(endless.map((key) => key.slice(prefixOf(uri).length)).toSorted()).toEqual([
      ":logs-expiry",
      ":logs-unsealed",
    ]);
  });

  it("what was deleted or has expired leaves nothing but a note for a minute", async () => {
    const uri = server.uniqueUri();
    const storage = await open(uri);
    const runs = [newRun("thread"), newRun("thread"), newRun("thread")] as const;
    await storage.write(runs.map((run) => writeOf(run)));
    await storage.write([writeOf(runs[0], { storedSeq: 1, events: [], sealForMs: 0 })]);
    await until(async () => (await storage.deleteExpired(10)).length === 1);
    await storage.delete(runs[1]);
    await storage.deleteThread("thread");
    const left = await keysOf(uri);
    expect(left.every((key) => key.endsWith(":deleted"))).toBe(true);
    for (const key of left) expect(await server.admin.pttl(key)).toBeGreaterThan(0);
    expect(await storage.wasDeleted?.(runs[2])).toBe(true);
    expect(await storage.wasDeleted?.(newRun())).toBe(false);
    // Begun again, it is there.
    await storage.write([writeOf(runs[2])]);
    expect(await storage.wasDeleted?.(runs[2])).toBe(false);
  });

  it("flushed in the middle of a run: the writer brings back what it has, readers of both processes go on", async () => {
    const uri = server.uniqueUri();
    const [log, elsewhere] = [await openLog(uri), await openLog(uri)];
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    log.append(run, newEvents(10));
    await log.flush(run);
    const [here, there] = [await mustOpen(log, run, "start"), await mustOpen(elsewhere, run, "start")];
    expect((await drain(there, 10)).seqs).toEqual(range(0, 10));
    await server.flush();
    log.append(run, newEvents(5, "state", 10));
    await log.seal(run, [newEvent("end", "control")]);
    expect((await drain(here)).seqs).toEqual(range(0, 16));
    expect(await drain(there)).toMatchObject({ seqs: range(10, 16), gaps: [] });
    expect((await drain(await mustOpen(elsewhere, run, "start"))).seqs).toEqual(range(0, 16));
  });

  it("flushed, and written again by a worker that had been fenced off: his successor's events replace his", async () => {
    const storage = await open(server.uniqueUri());
    const run = newRun();
    const eventOf = (seq: number, who: string): RunEvent => ({
      seq,
      event: "values",
      data: toJsonText(who),
      kind: "state",
    });
    const [zombie, successor] = [
      { leaseToken: 1, events: [0, 1, 2, 3, 4].map((seq) => eventOf(seq, "zombie")), nextSeq: 5 },
      { leaseToken: 2, events: [0, 1, 2].map((seq) => eventOf(seq, "successor")), nextSeq: 3 },
    ];
    await storage.write([writeOf(run, successor)]);
    await server.flush();
    expect(await storage.write([writeOf(run, zombie)])).toEqual([]);
    // He knows his log to be there, under his token.
    const more = { leaseToken: 2, storedSeq: 3, events: [eventOf(3, "successor")], nextSeq: 4 };
    expect(await storage.write([writeOf(run, more)])).toEqual([run]);
    const again = { ...successor, events: [...successor.events, eventOf(3, "successor")], nextSeq: 4 };
    expect(await storage.write([writeOf(run, again)])).toEqual([]);
    expect(await storage.write([writeOf(run, { ...zombie, storedSeq: 5 })])).toEqual([run]);
    expect(await storage.head(run)).toMatchObject({ nextSeq: 4, leaseToken: 2, bytes: 4 * (64 + 6 + 11) });
    const events = await storage.read({ run, fromSeq: 0, beforeSeq: 99, maxBytes: 1e6 });
    expect(events).toEqual(again.events);
  });

  it.each(["asked whose the run is", "that cannot ask"] as const)(
    "flushed while a fenced worker and its successor write: no log has events of both; workers %s",
    async (how) => {
      const uri = server.uniqueUri();
      const run = newRun();
      const context = {
        holdsLease: async ({ leaseToken }: RunLease) => leaseToken === 2,
      };
      const [first, second] = [
        await openLog(uri, how === "that cannot ask" ? {} : context),
        await openLog(uri, how === "that cannot ask" ? {} : context),
      ];
      await first.begin(run, { leaseToken: 1 });
      first.append(run, [newEvent("one")]);
      await first.flush(run);
      // Stopped, it hears nothing of its successor.
      await second.begin(run, { leaseToken: 2 });
      second.append(run, [newEvent("two")]);
      await second.flush(run);
      await server.flush();
      const zombieEvents = Array.from({ length: 5 }, () => newEvent("zombie"));
      first.append(run, zombieEvents);
      await first.flush(run);
      second.append(run, [newEvent("two")]);
      await second.flush(run);
      first.append(run, zombieEvents);
      await first.flush(run);
      await second.seal(run, [newEvent("end", "control")]);
      const elsewhere = await openLog(uri);
      const seen = await drain(await mustOpen(elsewhere, run, "start"));
      expect(seen.data.filter((data) => data !== '"one"')).toEqual(['"two"', '"two"', '"end"']);
      expect(seen.seqs.slice(-3)).toEqual([1, 2, 3]);
    },
  );

  it("flushed when the writer has let go of the beginning: who reads it gets a gap, not silence", async () => {
    const uri = server.uniqueUri();
    const logger = { warn: () => undefined };
    const storage = await openRedisEventStorage(uri, { cwd: "/" });
    const log = new StoredEventLog({ storage, clock: systemClock, logger, hotBytes: 1_000 });
    closers.push(() => log.close());
    const elsewhere = await openLog(uri);
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    for (let from = 0; from < 100; from += 10) {
      log.append(run, newEvents(10, "state", from));
      await log.flush(run);
    }
    await server.flush();
    log.append(run, newEvents(1, "state", 100));
    await log.seal(run, [newEvent("end", "control")]);
    await until(async () => (await storage.head(run))?.sealed === true);
    const seen = await drain(await mustOpen(elsewhere, run, { afterSeq: 4 }));
    const [gap] = seen.gaps;
    expect(gap).toMatchObject({ lost: "state" });
    expect(seen.seqs).toEqual(range(gap?.resumeAtSeq ?? -1, 102));
    expect(gap?.resumeAtSeq).toBeGreaterThan(5);
  });

  it.each(["stopped", "hanging"] as const)(
    "%s in the middle of a run: the run and its readers here go on; those elsewhere get all when it is back",
    async (how) => {
      const uri = server.uniqueUri();
      const [log, elsewhere] = [await openLog(uri), await openLog(uri)];
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      log.append(run, newEvents(3));
      await log.flush(run);
      const [here, there] = [await mustOpen(log, run, "start"), await mustOpen(elsewhere, run, "start")];
      expect((await drain(there, 3)).seqs).toEqual(range(0, 3));
      if (how === "stopped") await server.stop();
      else server.pause();
      const startedAt = performance.now();
      log.append(run, newEvents(3, "state", 3));
      await log.flush(run);
      await log.seal(run, [newEvent("end", "control")]);
      expect((await drain(here)).seqs).toEqual(range(0, 7));
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      const rest = drain(there);
      if (how === "stopped") await server.start();
      else server.resume();
      expect((await rest).seqs).toEqual(range(3, 7));
    },
  );

  it("says that Redis does not answer, within seconds", async () => {
    const storage = await open(server.uniqueUri());
    server.pause();
    const startedAt = performance.now();
    const asked = await Promise.allSettled([
      storage.head(newRun()),
      storage.write([writeOf(newRun())]),
      storage.read({ run: newRun(), fromSeq: 0, beforeSeq: 1, maxBytes: 1 }),
      storage.keep(newRun(), 1),
      storage.deleteThread("t"),
      storage.deleteExpired(1),
      storage.unsealed(1),
    ]);
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    for (const answer of asked) expect(answer).toMatchObject({ reason: { code: "STORAGE_UNAVAILABLE" } });
  });
});

function prefixOf(uri: string): string {
  return new URL(uri).searchParams.get("prefix") ?? "";
}
