import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { NewRunEvent } from "../../../src/core/run-event.js";
import type { EventStorage } from "../../../src/streaming/event-storage.js";
import { openSqliteEventStorage } from "../../../src/streaming/sqlite-event-storage.js";
import { StoredEventLog, type StoredEventLogOptions } from "../../../src/streaming/stored-event-log.js";
import { drain, eventsOf, mustOpen, range, seqsOf } from "../../../src/testing/event-log/fixture.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const run = { runId: "r", threadId: "t" };
const events = (count: number): NewRunEvent[] =>
  Array.from({ length: count }, (_, i) => ({ event: "values", data: toJsonText(i), kind: "state" }));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** @param fails decides about each write; a storage that fails is real SQLite that refuses first. */
async function opened(
  options: Partial<StoredEventLogOptions> & {
    readonly fails?: () => boolean;
    readonly asynchronous?: boolean;
    /** What a write waits for before it is carried out. */
    readonly onWrite?: (batch: Parameters<EventStorage["write"]>[0]) => Promise<void> | undefined;
    /** What the answer about a log waits for on its way back. */
    readonly onHead?: () => Promise<void> | undefined;
  } = {},
) {
  const clock = fakeClock();
  const cwd = await mkdtemp(join(tmpdir(), "heddle-events-"));
  folders.push(cwd);
  const sqlite = await openSqliteEventStorage("sqlite:./events.db", { cwd, clock });
  const warnings: object[] = [];
  let writes = 0;
  const storage: EventStorage = {
    ...sqlite,
    write(batch) {
      writes += 1;
      const write = () => {
        if (options.fails?.() === true) throw new Error("disk full");
        return sqlite.write(batch);
      };
      const gate = options.onWrite?.(batch) ?? (options.asynchronous === true ? turn() : undefined);
      return gate === undefined ? write() : gate.then(write);
    },
    async head(of) {
      const head = await sqlite.head(of);
      await options.onHead?.();
      return head;
    },
  };
  const logger = { warn: (fields: object) => void warnings.push(fields) };
  const log = new StoredEventLog({ clock, ...options, storage, logger });
  return { log, clock, sqlite, warnings, writes: () => writes };
}

describe("StoredEventLog", () => {
  it("writes what is appended in one turn as one batch, after a first one at once", async () => {
    const { log, writes } = await opened();
    await log.begin(run);
    await log.flush(run);
    await log.open(run, "start");
    const before = writes();
    for (let i = 0; i < 100; i += 1) {
      log.append(run, events(1));
      await Promise.resolve();
    }
    await turn();
    await turn();
    expect(writes() - before).toBe(2);
    await log.close();
  });

  it("gathers what nobody reads, for 50 ms or until the end", async () => {
    const { log, writes, clock } = await opened();
    const other = { runId: "o", threadId: "t" };
    for (const one of [run, other]) await log.begin(one);
    for (let i = 0; i < 10; i += 1) {
      log.append(run, events(1));
      log.append(other, events(1));
      await turn();
    }
    expect(writes()).toBe(0);
    await log.seal(other);
    // With it travels what waited.
    expect(writes()).toBe(1);
    log.append(run, events(1));
    await turn();
    clock.advance(49);
    expect(writes()).toBe(1);
    clock.advance(1);
    await turn();
    expect(writes()).toBe(2);
    await log.close();
  });

  it("gives who waits for the outcome everything at the end, before that is stored, and lets others read along", async () => {
    const { log, writes, sqlite } = await opened({ asynchronous: true });
    await log.begin(run);
    const patient = await log.open(run, "start", { patient: true });
    let reads = 0;
    const read = patient?.next().then((one) => {
      reads += 1;
      return one;
    });
    log.append(run, events(3));
    for (let turns = 0; turns < 5; turns += 1) await turn();
    expect([reads, writes()]).toEqual([0, 0]);
    const eager = await log.open(run, "start");
    expect((await eager?.next())?.kind).toBe("events");
    expect(reads).toBe(0);
    const sealed = log.seal(run, events(1));
    expect(await read).toMatchObject({ kind: "events", events: [{ seq: 0 }, { seq: 1 }, { seq: 2 }, { seq: 3 }] });
    expect((await sqlite.head(run))?.sealed).toBe(false);
    expect(await patient?.next()).toEqual({ kind: "end" });
    await sealed;
    await log.close();
  });

  it("shows no reader what SQLite does not have", async () => {
    const { log, sqlite } = await opened();
    await log.begin(run);
    const cursor = await mustOpen(log, run, "start");
    for (let round = 0; round < 20; round += 1) {
      log.append(run, events(1 + (round % 3)));
      const shown = seqsOf(await cursor.next());
      expect((await sqlite.head(run))?.nextSeq).toBeGreaterThan(Math.max(...shown));
    }
    await log.close();
  });

  it("shows what SQLite can't take for a while, and stores it when it can", async () => {
    let failing = true;
    const { log, clock, sqlite, warnings } = await opened({ fails: () => failing });
    await log.begin(run);
    const cursor = await mustOpen(log, run, "start");
    log.append(run, events(3));
    expect(eventsOf(await cursor.next())).toHaveLength(3);
    await expect(log.flush(run)).rejects.toThrow("disk full");
    await expect(log.seal(run)).rejects.toThrow("disk full");
    expect(await cursor.next()).toEqual({ kind: "end" });
    clock.advance(1_000);
    expect(await sqlite.head(run)).toBeNull();
    expect(warnings.length).toBeGreaterThan(0);

    failing = false;
    clock.advance(1_000);
    expect(await sqlite.head(run)).toMatchObject({ nextSeq: 3, sealed: true });
    await log.seal(run);
    expect(await sqlite.head(run)).toMatchObject({ nextSeq: 3, sealed: true });
    cursor.close();
    clock.advance(10_000);
    expect(log.size).toBe(0);
    await log.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it("shows nothing that a storage across a network can't take, because others read there", async () => {
    let failing = true;
    const { log, clock, sqlite, warnings } = await opened({ fails: () => failing, asynchronous: true });
    await log.begin(run);
    const cursor = await mustOpen(log, run, "start");
    log.append(run, events(3));
    const first = cursor.next();
    await expect(log.flush(run)).rejects.toThrow("disk full");
    await expect(log.seal(run)).rejects.toThrow("disk full");
    clock.advance(1_000);
    for (let i = 0; i < 5; i += 1) await turn();
    expect(await Promise.race([first, Promise.resolve("nothing")])).toBe("nothing");
    expect(await sqlite.head(run)).toBeNull();
    expect(warnings.length).toBeGreaterThan(0);

    failing = false;
    clock.advance(1_000);
    expect(eventsOf(await first)).toHaveLength(3);
    expect(await cursor.next()).toEqual({ kind: "end" });
    expect(await sqlite.head(run)).toMatchObject({ nextSeq: 3, sealed: true });
    cursor.close();
    clock.advance(10_000);
    expect(log.size).toBe(0);
    await log.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it("every third write fails: each event is stored once all the same", async () => {
    let calls = 0;
    const { log, sqlite } = await opened({
      asynchronous: true,
      fails: () => {
        calls += 1;
        return calls % 3 === 0;
      },
    });
    await log.begin(run);
    for (let i = 0; i < 50; i += 1) {
      log.append(run, events(2));
      await log.flush(run).catch(() => undefined);
    }
    await log.flush(run).catch(() => log.flush(run));
    const stored = await sqlite.read({ run, fromSeq: 0, beforeSeq: 1_000, maxBytes: 1e9 });
    expect(stored.map((event) => event.seq)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    await log.close();
  });

  it("leaves memory after lingerMs, and serves later readers from the storage", async () => {
    const { log, clock } = await opened({ lingerMs: 1_000 });
    await log.begin(run, { resumable: true });
    log.append(run, events(500));
    const slow = await mustOpen(log, run, "start");
    await log.seal(run);
    expect(log.size).toBe(1);
    clock.advance(2_001);
    expect((await drain(slow)).seqs).toEqual(range(0, 500));
    slow.close();
    expect(log.size).toBe(0);
    const late = await mustOpen(log, run, { afterSeq: 497 });
    expect(seqsOf(await late.next())).toEqual([498, 499]);
    late.close();
    expect(log.size).toBe(0);
    await log.close();
  });

  it("deletes a log of many events in portions, and leaves nothing behind", async () => {
    const { log, sqlite } = await opened();
    const other = { runId: "other", threadId: "t2" };
    await log.begin(run);
    await log.begin(other);
    log.append(run, events(12_000));
    log.append(other, events(3));
    await log.flush(run);
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 0);
    await log.drop(run);
    clearInterval(counting);
    expect(turns).toBeGreaterThan(0);
    expect(await sqlite.head(run)).toBeNull();
    expect(await sqlite.read({ run: other, fromSeq: 0, beforeSeq: 10, maxBytes: 1e9 })).toHaveLength(3);
    expect(await sqlite.unsealed(10)).toEqual([other]);
    await log.close();
  });

  it("names a thousand logs that are not sealed at once, and all of them in turn", async () => {
    const { log, sqlite } = await opened();
    const refs = range(0, 2_300).map((i) => ({ runId: `r${i}`, threadId: "t" }));
    const evicted = { tokensTo: -1, statesTo: -1 };
    const rest = {
      resumable: false,
      lasting: false,
      leaseToken: 1,
      storedSeq: null,
      events: [],
      nextSeq: 0,
      bytes: 0,
      evicted,
      sealForMs: null,
    };
    await sqlite.write(refs.map((ref) => Object.assign({ run: ref }, rest)));
    const pages = [await log.unsealed(), await log.unsealed(), await log.unsealed()];
    expect(pages.map((page) => page.length)).toEqual([1_000, 1_000, 300]);
    expect(new Set(pages.flat().map(({ runId }) => runId)).size).toBe(2_300);
    expect(await log.unsealed()).toEqual(pages[0]);
    await log.close();
  });

  it("a dropped log does not come back with a write that was under way", async () => {
    const { log, sqlite } = await opened({ asynchronous: true });
    await log.begin(run);
    log.append(run, events(10));
    await Promise.resolve();
    log.append(run, events(10));
    await log.drop(run);
    for (let i = 0; i < 5; i += 1) await turn();
    expect(await sqlite.head(run)).toBeNull();
    await log.close();
  });

  it("names itself when SQLite fails", async () => {
    const { log, sqlite } = await opened();
    await log.close();
    await expect(sqlite.head(run)).rejects.toMatchObject({
      code: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining("events.db") as string,
    });
  });

  describe("a lasting log that its first reader and its first run begin at once, in one process", () => {
    const lasting = { lasting: true, resumable: true } as const;

    /** @returns the numbers that the run's events got */
    async function runWith(log: StoredEventLog): Promise<readonly number[]> {
      const seqs = [log.append(run, events(1)), log.append(run, events(1))];
      await log.flush(run);
      await log.rest(run, { leaseToken: 7 });
      return seqs;
    }

    it("is the run's, although the reader begins it while the run raises the token", async () => {
      const gate = Promise.withResolvers<void>();
      const { log } = await opened({
        onWrite: (batch) => (batch.some(({ leaseToken }) => leaseToken === 7) ? gate.promise : undefined),
      });
      const begun = log.begin(run, { ...lasting, leaseToken: 7 });
      await turn();
      expect(await log.open(run, "start")).toBeNull();
      await log.begin(run, lasting);
      const reader = await mustOpen(log, run, "start");
      gate.resolve();
      await begun;
      expect(await runWith(log)).toEqual([0, 1]);
      expect(await reader.next()).toMatchObject({ kind: "events", events: [{ seq: 0 }, { seq: 1 }] });
      await log.close();
    });

    it("stays the run's, although a reader hears late that it was not there before", async () => {
      const gate = Promise.withResolvers<void>();
      let heads = 0;
      const { log } = await opened({ onHead: () => (heads++ === 0 ? gate.promise : undefined) });
      const reading = log.open(run, "start");
      await turn();
      await log.begin(run, { ...lasting, leaseToken: 7 });
      const first = log.append(run, events(1));
      gate.resolve();
      const reader = await reading;
      expect(first).toBe(0);
      expect(await runWith(log)).toEqual([1, 2]);
      expect(await reader?.next()).toMatchObject({ kind: "events", events: [{ seq: 0 }, { seq: 1 }, { seq: 2 }] });
      await log.close();
    });

    it("is not taken into memory by who asks only how far it goes", async () => {
      const { log, clock, sqlite } = await opened();
      const other = new StoredEventLog({ clock, storage: sqlite, logger: { warn: () => {} } });
      await other.begin(run, { ...lasting, leaseToken: 7 });
      other.append(run, events(3));
      await other.flush(run);
      expect(await log.extent(run)).toEqual({ nextSeq: 3, evictedToSeq: -1, statesEvictedToSeq: -1 });
      expect(log.size).toBe(0);
      await other.close();
    });
  });
});
