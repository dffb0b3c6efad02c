import { afterEach, describe, expect, it } from "vitest";
import { toJsonText } from "../../src/core/json.js";
import type { RunEvent, RunEventKind } from "../../src/core/run-event.js";
import type { RunRef } from "../../src/core/run.js";
import type { EventStorage, LogWrite } from "../../src/streaming/event-storage.js";
import { eventBytes } from "../../src/streaming/run-buffer.js";
import { newRun, range } from "../../src/testing/event-log/fixture.js";
import { type FakeClock, fakeClock } from "../../src/testing/fake-clock.js";
import type { StoredEventLogSuite } from "./stored-event-log-suite.js";

export const MAX_SEQ = 2_147_483_647;

export function eventAt(seq: number, kind: RunEventKind = "state", text = `e${seq}`): RunEvent {
  return { seq, event: "values", data: toJsonText(text), kind };
}

/** A write of events `from` … `before`, by a writer that has seen the log unless it is the first. */
export function writeOf(
  run: RunRef,
  params: Partial<LogWrite> & { readonly events?: readonly RunEvent[] } = {},
): LogWrite {
  const events = params.events ?? [];
  const firstSeq = events[0]?.seq ?? 0;
  return {
    run,
    resumable: false,
    lasting: false,
    leaseToken: 1,
    storedSeq: firstSeq === 0 ? null : firstSeq,
    nextSeq: (events.at(-1)?.seq ?? -1) + 1,
    bytes: events.reduce((sum, event) => sum + eventBytes(event), 0),
    evicted: { tokensTo: -1, statesTo: -1 },
    sealForMs: null,
    ...params,
    events,
  };
}

/** Opens a place as so many processes do, on one clock (default 1), and closes it after the case. */
export function withStorages(place: StoredEventLogSuite["place"]) {
  const opened: EventStorage[] = [];
  afterEach(async () => {
    for (const storage of opened.splice(0)) await storage.close();
  });
  return async (count = 1): Promise<{ readonly clock: FakeClock; readonly storages: readonly EventStorage[] }> => {
    const clock = fakeClock();
    const openStorage = await place();
    const storages: EventStorage[] = [];
    for (let i = 0; i < count; i += 1) storages.push(await openStorage(clock));
    opened.push(...storages);
    return { clock, storages };
  };
}

/** All that a storage has of a log, if it is not too much for one answer. */
export function readAll(storage: EventStorage, run: RunRef): Promise<readonly RunEvent[]> {
  return storage.read({ run, fromSeq: 0, beforeSeq: MAX_SEQ, maxBytes: 1e9 });
}

/** What `EventStorage` says, asked of the storage itself. */
export function storageCases(name: string, place: StoredEventLogSuite["place"]): void {
  describe(`EventStorage: ${name}`, () => {
    const open = withStorages(place);
    const openOne = async (): Promise<EventStorage> => (await open()).storages[0] as EventStorage;

    it("gives back what was written, byte for byte", async () => {
      const storage = await openOne();
      const run = newRun();
      const texts = [
        "",
        "\u0000 \u0001 \u001f",
        "ä€😀",
        '"\\u0000"',
        "\ud800 alone",
        "{},\\N",
        "a\nb\tc",
        "x".repeat(300_000),
      ];
      const kinds: readonly RunEventKind[] = ["token", "state", "control"];
      const events = texts.map((text, seq): RunEvent => {
        const { data, kind } = eventAt(seq, kinds[seq % 3], text);
        return { seq, event: seq === 0 ? "messages|a:b,{}\"'\\\u0000" : "custom", data, kind };
      });
      expect(await storage.write([writeOf(run, { events, resumable: true })])).toEqual([]);
      expect(await readAll(storage, run)).toEqual(events);
      const bytes = events.reduce((sum, event) => sum + eventBytes(event), 0);
      const evicted = { tokensTo: -1, statesTo: -1 };
      const head = {
        nextSeq: 8,
        bytes,
        resumable: true,
        sealed: false,
        lasting: false,
        resting: false,
        leaseToken: 1,
        evicted,
      };
      expect(await storage.head(run)).toEqual(head);
      expect(await storage.heads([newRun(), run])).toEqual([null, head]);
      expect(await storage.heads([])).toEqual([]);
      expect(await storage.head({ ...run, threadId: "another" })).toBeNull();
      expect(await readAll(storage, { ...run, threadId: "another" })).toEqual([]);
    });

    it("reads a range until its bytes are full, and one event at least", async () => {
      const storage = await openOne();
      const run = newRun();
      const events = range(0, 3_000).map((seq) => eventAt(seq, "token", "x".repeat(100)));
      await storage.write([writeOf(run, { events })]);
      expect(await storage.read({ run, fromSeq: 10, beforeSeq: 13, maxBytes: 1e9 })).toEqual(events.slice(10, 13));
      expect(await storage.read({ run, fromSeq: 10, beforeSeq: 10, maxBytes: 1e9 })).toEqual([]);
      expect(await storage.read({ run, fromSeq: 10, beforeSeq: MAX_SEQ, maxBytes: 0 })).toEqual(events.slice(10, 11));
      const some = await storage.read({ run, fromSeq: 10, beforeSeq: MAX_SEQ, maxBytes: 10_000 });
      expect(some).toEqual(events.slice(10, 10 + some.length));
      expect(some.length).toBeGreaterThan(30);
      expect(some.length).toBeLessThan(110);
      const seen: RunEvent[] = [];
      while (seen.length < 3_000) {
        const more = await storage.read({ run, fromSeq: seen.length, beforeSeq: MAX_SEQ, maxBytes: 1e9 });
        expect(more.length).toBeGreaterThan(0);
        seen.push(...more);
      }
      expect(seen).toEqual(events);
    });

    it("looks at several logs at once, where it can, and says what head and read say", async (context) => {
      const storage = await openOne();
      if (storage.look === undefined) context.skip("is asked one by one");
      const [long, short, sealed] = range(0, 3).map(() => newRun()) as [RunRef, RunRef, RunRef];
      const events = range(0, 3_000).map((seq) => eventAt(seq, "token", "x".repeat(100)));
      await storage.write([
        writeOf(long, { events }),
        writeOf(short, { events: events.slice(0, 3) }),
        writeOf(sealed, { events: events.slice(0, 3), sealForMs: 1_000 }),
      ]);
      const asked = [
        { run: sealed, fromSeq: 1 },
        { run: newRun(), fromSeq: 0 },
        { run: long, fromSeq: 5 },
        { run: short, fromSeq: 3 },
        { run: { ...short, threadId: "another" }, fromSeq: 0 },
        { run: sealed, fromSeq: null },
      ];
      const looked = (await storage.look?.(asked, 10_000)) ?? [];
      expect(looked.map(({ head }) => head)).toEqual(await storage.heads(asked.map(({ run }) => run)));
      expect(looked[0]?.events).toEqual(events.slice(1, 3));
      expect(looked[2]?.events).toEqual(
        await storage.read({ run: long, fromSeq: 5, beforeSeq: MAX_SEQ, maxBytes: 10_000 }),
      );
      for (const index of [1, 3, 4, 5]) expect(looked[index]?.events).toEqual([]);
    });

    it("refuses a smaller token, a sealed log, and one that has vanished; the others of the call are written", async () => {
      const storage = await openOne();
      const [taken, sealed, gone, behind, fine] = range(0, 5).map(() => newRun()) as [
        RunRef,
        RunRef,
        RunRef,
        RunRef,
        RunRef,
      ];
      const first = [eventAt(0), eventAt(1)];
      await storage.write([
        writeOf(taken, { events: first, leaseToken: 3 }),
        writeOf(sealed, { events: first, sealForMs: 60_000 }),
        writeOf(behind, { events: first }),
      ]);
      const refused = await storage.write([
        writeOf(taken, { events: [eventAt(2)], leaseToken: 2 }),
        writeOf(sealed, { events: [eventAt(2)], leaseToken: 9 }),
        writeOf(gone, { events: [eventAt(2)] }),
        writeOf(behind, { events: [eventAt(5)] }),
        writeOf(fine, { events: first }),
      ]);
      expect(new Set(refused.map(({ runId }) => runId))).toEqual(
        new Set([taken, sealed, gone, behind].map(({ runId }) => runId)),
      );
      for (const run of refused) expect([taken, sealed, gone, behind]).toContainEqual(run);
      for (const run of [taken, sealed, behind, fine]) expect(await readAll(storage, run)).toEqual(first);
      expect(await storage.head(gone)).toBeNull();
      expect(await storage.head(taken)).toMatchObject({ nextSeq: 2, leaseToken: 3 });
      expect(await storage.head(sealed)).toMatchObject({ nextSeq: 2, sealed: true, leaseToken: 1 });
    });

    it("a greater token stands from its write on, also without an event", async () => {
      const storage = await openOne();
      const run = newRun();
      await storage.write([writeOf(run, { leaseToken: 0, resumable: true })]);
      await storage.write([writeOf(run, { events: [eventAt(0)] })]);
      expect(await storage.write([writeOf(run, { leaseToken: 2 })])).toEqual([]);
      expect(await storage.head(run)).toMatchObject({ nextSeq: 1, leaseToken: 2, resumable: true });
      expect(await storage.write([writeOf(run, { events: [eventAt(1)] })])).toEqual([run]);
      expect(await storage.write([writeOf(run, { events: [eventAt(1)], leaseToken: 2 })])).toEqual([]);
      expect(await storage.head(run)).toMatchObject({ nextSeq: 2 });
    });

    it("a write that is repeated changes nothing, and counts nothing twice", async () => {
      const storage = await openOne();
      const run = newRun();
      const write = writeOf(run, { events: [eventAt(0), eventAt(1)] });
      for (let i = 0; i < 3; i += 1) expect(await storage.write([write])).toEqual([]);
      expect(await storage.head(run)).toMatchObject({ nextSeq: 2, bytes: write.bytes });
      const more = writeOf(run, { events: [eventAt(2)] });
      for (let i = 0; i < 3; i += 1) expect(await storage.write([more])).toEqual([]);
      const overlapping = writeOf(run, { events: [eventAt(2, "state", "other"), eventAt(3)] });
      expect(await storage.write([overlapping])).toEqual([]);
      const events = await readAll(storage, run);
      expect(events).toEqual(range(0, 4).map((seq) => eventAt(seq)));
      const bytes = events.reduce((sum, event) => sum + eventBytes(event), 0);
      expect(await storage.head(run)).toMatchObject({ nextSeq: 4, bytes });
    });

    it("of two instances that write with the same seal at the same time one does", async () => {
      const { storages } = await open(2);
      for (let round = 0; round < 20; round += 1) {
        const run = newRun();
        await (storages[0] as EventStorage).write([writeOf(run, { events: [eventAt(0)] })]);
        const writes = await Promise.all(
          storages.map(async (storage, index) =>
            storage.write([writeOf(run, { events: [eventAt(1, "control", `${index}`)], sealForMs: 1_000 })]),
          ),
        );
        expect(writes.filter((refused) => refused.length === 0)).toHaveLength(1);
        const events = await readAll(storages[0] as EventStorage, run);
        expect(events.map(({ data }) => data)).toEqual(['"e0"', `"${writes[0]?.length === 0 ? 0 : 1}"`]);
      }
    });

    it("writes of a loser and a winner at the same time: what is refused is nowhere, the rest has no hole", async () => {
      const { storages } = await open(2);
      const [zombie, successor] = storages as [EventStorage, EventStorage];
      const runs = range(0, 8).map(() => newRun());
      await zombie.write(runs.map((run) => writeOf(run, { events: [eventAt(0)] })));
      const writing = Array.from({ length: 10 }, async (_, step) =>
        zombie.write(runs.map((run) => writeOf(run, { events: [eventAt(step + 1)], storedSeq: 1 }))),
      );
      // The other way round: whoever locks row by row must not wait for the other in a circle.
      const raised = await successor.write(runs.toReversed().map((run) => writeOf(run, { leaseToken: 2 })));
      expect(raised).toEqual([]);
      const heads = await successor.heads(runs);
      await Promise.all(writing);
      expect(await successor.heads(runs)).toEqual(heads);
      for (const [index, run] of runs.entries()) {
        const events = await readAll(successor, run);
        expect(events.at(-1)?.seq).toBe((heads[index]?.nextSeq ?? 0) - 1);
      }
    });

    it("evicts the oldest of a kind, never the newest state event, and says how far", async () => {
      const storage = await openOne();
      const run = newRun();
      const events = range(0, 20).map((seq) => eventAt(seq, seq % 5 === 0 ? "state" : "token", "x".repeat(100)));
      await storage.write([writeOf(run, { events })]);
      const size = eventBytes(events[1] as RunEvent);
      const before = (await storage.head(run))?.bytes ?? 0;
      expect(await storage.evict({ run, kind: "token", beforeSeq: 20, bytes: size * 2.5 })).toEqual({
        freedBytes: size * 3,
        evictedToSeq: 3,
      });
      expect(await storage.head(run)).toMatchObject({
        bytes: before - size * 3,
        nextSeq: 20,
        evicted: { tokensTo: 3, statesTo: -1 },
      });
      expect((await storage.evict({ run, kind: "token", beforeSeq: 8, bytes: 1e9 })).evictedToSeq).toBe(7);
      expect((await storage.evict({ run, kind: "state", beforeSeq: 20, bytes: 1e9 })).evictedToSeq).toBe(10);
      expect(await storage.head(run)).toMatchObject({ evicted: { tokensTo: 7, statesTo: 10 } });
      expect((await readAll(storage, run)).map(({ seq }) => seq)).toEqual([8, 9, ...range(11, 20)]);
      const nothing = { freedBytes: 0, evictedToSeq: -1 };
      expect(await storage.evict({ run, kind: "state", beforeSeq: 20, bytes: 1e9 })).toEqual(nothing);
      expect(await storage.evict({ run: newRun(), kind: "token", beforeSeq: 20, bytes: 1e9 })).toEqual(nothing);
    });

    it("deletes sealed logs when their time is over, each by one of several sweepers", async () => {
      const { clock, storages } = await open(2);
      const [storage, other] = storages as [EventStorage, EventStorage];
      const [short, long, kept, keptBefore, unsealed] = range(0, 5).map(() => newRun()) as [
        RunRef,
        RunRef,
        RunRef,
        RunRef,
        RunRef,
      ];
      await storage.write([writeOf(keptBefore, { events: [eventAt(0)] }), writeOf(unsealed, { events: [eventAt(0)] })]);
      await storage.keep(keptBefore, 30_000);
      await storage.keep(newRun(), 30_000);
      await storage.write([
        writeOf(short, { events: [eventAt(0)], sealForMs: 5_000 }),
        writeOf(long, { events: [eventAt(0)], sealForMs: 60_000 }),
        writeOf(kept, { events: [eventAt(0)], sealForMs: 5_000 }),
        writeOf(keptBefore, { events: [eventAt(1)], sealForMs: 5_000 }),
      ]);
      await storage.keep(kept, 30_000);
      clock.advance(4_999);
      expect(await storage.deleteExpired(10)).toEqual([]);
      clock.advance(1);
      expect(await storage.deleteExpired(10)).toEqual([short]);
      expect(await storage.head(short)).toBeNull();
      expect(await readAll(storage, short)).toEqual([]);
      clock.advance(25_000);
      const swept = (await Promise.all([storage.deleteExpired(10), other.deleteExpired(10)])).flat();
      expect(swept).toHaveLength(2);
      expect(swept).toEqual(expect.arrayContaining([kept, keptBefore]));
      clock.advance(1e9);
      expect(await storage.deleteExpired(10)).toEqual([long]);
      expect(await storage.head(unsealed)).not.toBeNull();
      expect(await storage.unsealed(10)).toEqual([unsealed]);

      const many = range(0, 5).map(() => newRun());
      await storage.write(many.map((run) => writeOf(run, { events: [eventAt(0)], sealForMs: 1 })));
      clock.advance(1);
      expect(await storage.deleteExpired(3)).toHaveLength(3);
      expect(await storage.deleteExpired(3)).toHaveLength(2);
    });

    it("forgets a log, or all of a thread, with every event; a begun one starts anew", async () => {
      const storage = await openOne();
      const [first, second, other] = [newRun("shared"), newRun("shared"), newRun()];
      const write = (run: RunRef) => writeOf(run, { events: [eventAt(0)] });
      for (const run of [first, second, other]) await storage.write([write(run)]);
      expect(await storage.unsealed(2)).toEqual([first, second]);
      expect(await storage.unsealed(2, 1)).toEqual((await storage.unsealed(10)).slice(1, 3));
      await storage.delete(first);
      await storage.delete(first);
      await storage.delete({ ...other, threadId: "another" });
      expect(await storage.heads([first, second, other])).toEqual([null, expect.anything(), expect.anything()]);
      expect(await storage.write([writeOf(first, { events: [eventAt(1)] })])).toEqual([first]);
      await storage.deleteThread("shared");
      expect(await storage.head(second)).toBeNull();
      expect(await storage.unsealed(10)).toEqual([other]);
      await storage.write([write(first)]);
      expect(await readAll(storage, first)).toEqual([eventAt(0)]);
    });
  });
}
