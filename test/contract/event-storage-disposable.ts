import { describe, expect, it } from "vitest";
import type { RunRef } from "../../src/core/run.js";
import type { EventStorage, LogHead } from "../../src/streaming/event-storage.js";
import {
  drain,
  eventually,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
  seqsOf,
} from "../../src/testing/event-log/fixture.js";
import { pause, withPlaces } from "./event-log-places.js";
import { altered, remote } from "./event-storages.js";
import type { StoredEventLogSuite } from "./stored-event-log-suite.js";

/** A storage that may be away, and may lose everything (design §1, rule 6). */
export function disposableStorageCases(name: string, place: StoredEventLogSuite["place"]): void {
  describe(`Disposable storage: ${name}`, () => {
    const open = withPlaces(place);

    /** As Redis: disposable, and away at times. */
    function disposable() {
      let state: "there" | "refusing" | "hanging" = "there";
      const fail = async (): Promise<void> => {
        if (state === "refusing") throw new Error("away");
        if (state === "hanging") await new Promise(() => {});
      };
      const wrap = (inner: EventStorage): EventStorage => {
        const storage = remote(inner);
        return altered(storage, () => ({
          disposable: true,
          head: (run) => fail().then(() => storage.head(run)),
          heads: (runs) => fail().then(() => storage.heads(runs)),
          write: (writes) => fail().then(() => storage.write(writes)),
          read: (params) => fail().then(() => storage.read(params)),
          ...(storage.look === undefined
            ? {}
            : { look: (asked, maxBytes) => fail().then(() => storage.look?.(asked, maxBytes) ?? []) }),
          keep: (run, ms) => fail().then(() => storage.keep(run, ms)),
          delete: (run) => fail().then(() => storage.delete(run)),
          // What these cases delete is lost.
          wasDeleted: async () => false,
        }));
      };
      return { wrap, set: (next: typeof state) => (state = next) };
    }

    it.each(["refusing", "hanging"] as const)(
      "%s: runs and their local readers go on, and it gets all later",
      async (fault) => {
        const { process, clock } = await open();
        const { wrap, set } = disposable();
        const log = await process(wrap);
        const elsewhere = await process();
        const run = newRun();
        await log.begin(run, { leaseToken: 1 });
        log.append(run, newEvents(2));
        await log.flush(run);
        const cursor = await mustOpen(log, run, "start");
        const remoteCursor = await mustOpen(elsewhere, run, "start");
        expect(seqsOf(await cursor.next())).toEqual([0, 1]);
        set(fault);
        log.append(run, newEvents(3, "state", 2));
        await eventually(clock, log.flush(run));
        expect((await eventually(clock, drain(cursor, 3))).seqs).toEqual([2, 3, 4]);
        const another = newRun();
        await eventually(clock, log.begin(another, { leaseToken: 2 }));
        expect(log.append(another, newEvents(1))).toBe(0);
        const ofAnother = await eventually(clock, mustOpen(log, another, "start"));
        expect(seqsOf(await eventually(clock, ofAnother.next()))).toEqual([0]);
        await eventually(clock, log.seal(run, [newEvent("end", "control")]));
        expect(seqsOf(await eventually(clock, cursor.next()))).toEqual([5]);
        expect(await eventually(clock, cursor.next())).toEqual({ kind: "end" });
        expect(await eventually(clock, log.open(newRun(), "start"))).toBeNull();
        if (fault === "hanging") return;

        set("there");
        expect((await eventually(clock, drain(remoteCursor))).seqs).toEqual(range(0, 6));
      },
    );

    it("emptied while a run streams: it gets back what is in memory, under the same numbers", async () => {
      const { process, clock, storage } = await open();
      const { wrap } = disposable();
      const log = await process(wrap);
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      log.append(run, newEvents(20));
      await log.flush(run);
      const elsewhere = await process(wrap);
      const cursor = await mustOpen(elsewhere, run, "start");
      expect((await drain(cursor, 20)).seqs).toEqual(range(0, 20));
      await (await storage()).delete(run);
      log.append(run, newEvents(5, "state", 20));
      await eventually(clock, log.flush(run));
      expect((await eventually(clock, drain(cursor, 5))).seqs).toEqual(range(20, 25));
      expect((await drain(await mustOpen(elsewhere, run, "start"), 25)).seqs).toEqual(range(0, 25));
      // A run that writes nothing is noticed too.
      await (await storage()).delete(run);
      const each = await storage();
      let head: LogHead | null = null;
      // Slowly: a clock that outruns the storage gives its writer no chance before readers take the log for dropped.
      for (let tries = 0; tries < 400 && head === null; tries += 1) {
        clock.advance(50);
        await pause();
        head = await each.head(run);
      }
      expect(head).toMatchObject({ nextSeq: 25 });
      await log.seal(run, [newEvent("end", "control")]);
      expect((await eventually(clock, drain(cursor))).seqs).toEqual([25]);
    });

    it("a log begun while it was away replaces what it had of the run", async () => {
      const { process, clock, storage } = await open();
      const { wrap, set } = disposable();
      const first = await process(wrap);
      const run: RunRef = newRun();
      await first.begin(run, { leaseToken: 1 });
      first.append(run, newEvents(4));
      await first.flush(run);
      set("refusing");
      const log = await process(wrap);
      await eventually(clock, log.begin(run, { leaseToken: 2 }));
      log.append(run, [newEvent("anew"), newEvent("and on")]);
      const seen = await eventually(clock, drain(await mustOpen(log, run, "start"), 2));
      expect(seen.seqs).toEqual([0, 1]);
      set("there");
      await eventually(clock, log.seal(run));
      const stored = async (): Promise<readonly string[]> => {
        const each = await storage();
        for (;;) {
          if ((await each.head(run))?.sealed === true) {
            const events = await each.read({ run, fromSeq: 0, beforeSeq: 100, maxBytes: 1e9 });
            return events.map(({ data }) => data);
          }
          await pause();
        }
      };
      expect(await eventually(clock, stored())).toEqual(seen.data);
    });
  });
}
