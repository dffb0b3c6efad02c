import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/run-event.js";
import type { RunRef } from "../../src/core/run.js";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import { newRun, range } from "../../src/testing/event-log/fixture.js";
import { eventAt, MAX_SEQ, readAll, withStorages, writeOf } from "./event-storage-cases.js";
import type { StoredEventLogSuite } from "./stored-event-log-suite.js";

/** What `EventStorage` says of logs of threads, asked of the storage itself. */
export function lastingStorageCases(
  name: string,
  { place, forgetsHeads = false }: Pick<StoredEventLogSuite, "place" | "forgetsHeads">,
): void {
  describe(`EventStorage, lasting logs: ${name}`, () => {
    const open = withStorages(place);

    it("a lasting log is never sealed: its events expire, its head and its token of 53 bits stay", async () => {
      const { clock, storages } = await open(2);
      const [storage, other] = storages as [EventStorage, EventStorage];
      const [used, unused, woken] = range(0, 3).map(() => newRun()) as [RunRef, RunRef, RunRef];
      const leaseToken = 1_800_000_000_000 * 1024 + 1_023;
      const lasting = { lasting: true, resumable: true, leaseToken };
      await storage.write([
        writeOf(used, { ...lasting, events: [eventAt(0, "token"), eventAt(1)], sealForMs: 5_000 }),
        writeOf(unused, { ...lasting, leaseToken: 0, sealForMs: 5_000 }),
        writeOf(woken, { ...lasting, events: [eventAt(0)], sealForMs: 5_000 }),
      ]);
      const evicted = { tokensTo: -1, statesTo: -1 };
      const rest = { sealed: false, lasting: true, resting: true, resumable: true };
      expect(await storage.head(used)).toMatchObject({ ...rest, leaseToken, nextSeq: 2, evicted });
      expect(await storage.head(unused)).toMatchObject({ ...rest, leaseToken: 0, nextSeq: 0, bytes: 0 });
      expect(
        await storage.write([writeOf(woken, { ...lasting, leaseToken: leaseToken - 1, events: [eventAt(1)] })]),
      ).toEqual([woken]);
      expect(await storage.write([writeOf(woken, { ...lasting, events: [eventAt(1)] })])).toEqual([]);
      expect(await storage.head(woken)).toMatchObject({ ...rest, resting: false, nextSeq: 2 });
      expect(await storage.unsealed(10)).toEqual([]);
      expect(await storage.restless(10)).toEqual([{ ...woken, leaseToken }]);

      clock.advance(4_999);
      expect(await storage.deleteExpired(10)).toEqual([]);
      clock.advance(1);
      const swept = (await Promise.all([storage.deleteExpired(10), other.deleteExpired(10)])).flat();
      expect(swept).toHaveLength(2);
      expect(swept).toEqual(expect.arrayContaining([used, unused]));
      expect(await storage.head(unused)).toBeNull();
      const gone = { tokensTo: 1, statesTo: 1 };
      expect(await other.head(used)).toEqual({ ...rest, leaseToken, nextSeq: 2, bytes: 0, evicted: gone });
      expect(await readAll(storage, used)).toEqual([]);
      expect(await readAll(storage, woken)).toHaveLength(2);
      clock.advance(1e9);
      expect(await storage.deleteExpired(10)).toEqual([]);
      expect(await storage.restless(10)).toEqual([{ ...woken, leaseToken }]);
      const named = forgetsHeads ? [] : [used, woken].sort((a, b) => (a.runId < b.runId ? -1 : 1));
      expect(await storage.lasting(10, null)).toEqual(named);
      expect(await storage.lasting(10, named[0]?.runId ?? null)).toEqual(named.slice(1));
      expect(await storage.lasting(1, null)).toEqual(named.slice(0, 1));

      const next = writeOf(used, { ...lasting, leaseToken: leaseToken + 1, events: [eventAt(2), eventAt(3, "token")] });
      expect(await storage.write([next])).toEqual([]);
      expect(await storage.head(used)).toMatchObject({ ...rest, resting: false, nextSeq: 4, bytes: next.bytes });
      expect((await readAll(other, used)).map(({ seq }) => seq)).toEqual([2, 3]);
      await storage.write([
        writeOf(used, { ...lasting, leaseToken: leaseToken + 1, events: [eventAt(4)], sealForMs: 0 }),
      ]);
      expect(await storage.deleteExpired(10)).toEqual([used]);
      expect(await storage.head(used)).toMatchObject({ ...rest, nextSeq: 5, bytes: 0 });
      await storage.deleteThread(used.threadId);
      await storage.delete(woken);
      expect(await storage.heads([used, woken])).toEqual([null, null]);
      expect(await storage.lasting(10, null)).toEqual([]);
    });

    it("keep changes nothing of a lasting log, whether it rests or not: its rests end when they were to", async () => {
      const { clock, storages } = await open(1);
      const [storage] = storages as [EventStorage];
      const run = newRun();
      const lasting = { lasting: true, resumable: true };
      await storage.write([writeOf(run, { ...lasting, events: [eventAt(0)], sealForMs: 5_000 })]);
      await storage.keep(run, 30_000);
      expect(await storage.head(run)).toMatchObject({ resting: true });
      expect(await storage.restless(10)).toEqual([]);
      clock.advance(5_000);
      expect(await storage.deleteExpired(10)).toEqual([run]);
      await storage.write([writeOf(run, { ...lasting, leaseToken: 2, events: [eventAt(1)] })]);
      await storage.keep(run, 30_000);
      expect(await storage.head(run)).toMatchObject({ resting: false });
      await storage.write([writeOf(run, { ...lasting, leaseToken: 2, events: [eventAt(2)], sealForMs: 5_000 })]);
      clock.advance(5_000);
      expect(await storage.deleteExpired(10)).toEqual([run]);
    });

    it("large and many events of a lasting log expire whole, and come back in order after it", async () => {
      const { clock, storages } = await open(1);
      const [storage] = storages as [EventStorage];
      const run = newRun();
      const lasting = { lasting: true, resumable: true };
      let seq = 0;
      for (let round = 0; round < 3; round += 1) {
        const leaseToken = round + 1;
        for (let part = 0; part < 4; part += 1) {
          const events = range(seq, seq + 200).map((n) => eventAt(n, "token", "x".repeat(n % 50 === 0 ? 20_000 : 50)));
          const write = writeOf(run, { ...lasting, leaseToken, events, sealForMs: part === 3 ? 1_000 : null });
          expect(await storage.write([write])).toEqual([]);
          seq += 200;
        }
        const kept: RunEvent[] = [];
        for (let from = seq - 800; from < seq; from = (kept.at(-1)?.seq ?? seq) + 1) {
          kept.push(...(await storage.read({ run, fromSeq: from, beforeSeq: MAX_SEQ, maxBytes: 1e9 })));
        }
        expect(kept.map((event) => event.seq)).toEqual(range(seq - 800, seq));
        clock.advance(1_000);
        expect(await storage.deleteExpired(10)).toEqual([run]);
        expect(await readAll(storage, run)).toEqual([]);
        expect(await storage.head(run)).toMatchObject({ nextSeq: seq, bytes: 0, resting: true });
      }
    });

    it("says which lasting logs anybody has written to, where it is asked for that", async (context) => {
      const { storages } = await open(2);
      const [storage, other] = storages as [EventStorage, EventStorage];
      const changed = (since: string | null) => storage.changed?.(since);
      if (storage.changed === undefined) context.skip("is asked log by log, or tells");
      const [first, second, run] = range(0, 3).map(() => newRun()) as [RunRef, RunRef, RunRef];
      const lasting = { lasting: true, resumable: true };
      await other.write([writeOf(first, { ...lasting, events: [eventAt(0)] })]);
      const start = await changed(null);
      expect(start?.runs).toEqual([]);
      expect(await changed(start?.until ?? "")).toEqual(start);
      await other.write([
        writeOf(second, { ...lasting, events: [eventAt(0)] }),
        writeOf(run, { events: [eventAt(0)] }),
      ]);
      const once = await changed(start?.until ?? "");
      expect(once?.runs).toEqual([second]);
      await other.write([writeOf(first, { ...lasting, leaseToken: 2 })]);
      await other.write([writeOf(second, { ...lasting, events: [eventAt(1)], sealForMs: 0 })]);
      const twice = await changed(once?.until ?? "");
      expect(twice?.runs).toHaveLength(2);
      expect(twice?.runs).toEqual(expect.arrayContaining([first, second]));
      expect((await changed(twice?.until ?? ""))?.runs).toEqual([]);
      // Numbers of what is gone are not given again.
      await storage.delete(first);
      await storage.deleteExpired(10);
      await storage.delete(second);
      await other.write([writeOf(first, { ...lasting, events: [eventAt(0)] })]);
      expect((await changed(twice?.until ?? ""))?.runs).toEqual([first]);
      const many = range(0, 1_001).map(() => newRun());
      const before = await changed(null);
      await other.write(many.map((each) => writeOf(each, { ...lasting, events: [eventAt(0)] })));
      expect((await changed(before?.until ?? ""))?.runs).toBeNull();
    });
  });
}
