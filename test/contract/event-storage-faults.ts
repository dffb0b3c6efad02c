import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import type { StoredEventLog } from "../../src/streaming/stored-event-log.js";
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
import { pause, quiet, withPlaces } from "./event-log-places.js";
import { altered, losing } from "./event-storages.js";
import type { StoredEventLogSuite } from "./stored-event-log-suite.js";

/** Hints are only hints (design §1, rule 6). */
export function lostHintCases(name: string, place: StoredEventLogSuite["place"]): void {
  describe(`Lost hints: ${name}`, () => {
    const open = withPlaces(place);

    it("all of them: what is written comes late, and so do the end and a drop", async (context) => {
      const { clock, process, storage } = await open();
      if ((await storage()).watch === null) context.skip("tells of nothing");
      const writer = await process();
      const reader = await process((each) => losing(each, () => true));
      const [run, dropped] = [newRun(), newRun()];
      for (const each of [run, dropped]) {
        await writer.begin(each, { leaseToken: 1 });
        await writer.flush(each);
      }
      const cursor = await mustOpen(reader, run, "start");
      const read = cursor.next();
      const end = (await mustOpen(reader, dropped, "start")).next();
      writer.append(run, newEvents(3));
      await writer.flush(run);
      await writer.drop(dropped);
      await quiet();
      expect(await Promise.race([read, end, Promise.resolve("nothing")])).toBe("nothing");
      clock.advance(15_000);
      expect(seqsOf(await read)).toEqual([0, 1, 2]);
      expect(await end).toEqual({ kind: "end" });
      const last = cursor.next();
      await writer.seal(run, newEvents(1));
      await quiet();
      clock.advance(15_000);
      expect(seqsOf(await last)).toEqual([3]);
      expect(await cursor.next()).toEqual({ kind: "end" });
    });

    it("a lost connection: everything that is read is looked at at once", async (context) => {
      const { process, storage } = await open();
      if ((await storage()).watch === null) context.skip("tells of nothing");
      let missed: (() => void) | undefined;
      const writer = await process();
      const reader = await process((each) =>
        altered(
          losing(each, () => true),
          (inner) => ({
            watch: (listener) => {
              missed = listener.onMissed;
              return (inner.watch as NonNullable<EventStorage["watch"]>).call(inner, listener);
            },
          }),
        ),
      );
      const runs = range(0, 5).map(() => newRun());
      for (const run of runs) {
        await writer.begin(run, { leaseToken: 1 });
        await writer.flush(run);
      }
      const cursors = await Promise.all(runs.map((run) => mustOpen(reader, run, "start")));
      const reads = cursors.map((cursor) => cursor.next());
      for (const run of runs) writer.append(run, newEvents(1));
      await Promise.all(runs.map((run) => writer.flush(run)));
      await quiet();
      missed?.();
      for (const read of await Promise.all(reads)) expect(seqsOf(read)).toEqual([0]);
    });

    it("half of them: nothing is missing, nothing comes twice", async (context) => {
      const { clock, process, storage } = await open();
      if ((await storage()).watch === null) context.skip("tells of nothing");
      let hints = 0;
      const isLost = (): boolean => (hints += 1) % 2 === 0;
      const logs = [
        await process(),
        await process((each) => losing(each, isLost)),
        await process((each) => losing(each, isLost)),
      ];
      const [writer, ...readers] = logs as [StoredEventLog, ...StoredEventLog[]];
      const runs = range(0, 10).map(() => newRun());
      for (const run of runs) await writer.begin(run, { leaseToken: 1 });
      await Promise.all(runs.map((run) => writer.flush(run)));
      const reading = readers.flatMap((log) => runs.map(async (run) => drain(await mustOpen(log, run, "start"))));
      for (let from = 0; from < 50; from += 5) {
        for (const run of runs) writer.append(run, newEvents(5, "token", from));
        await pause();
      }
      for (const run of runs) await writer.seal(run);
      for (const seen of await eventually(clock, Promise.all(reading))) {
        expect(seen.gaps).toEqual([]);
        expect(seen.seqs).toEqual(range(0, 50));
      }
    });
  });
}

/** A storage that fails, hangs, or whose process dies. */
export function failingStorageCases(name: string, place: StoredEventLogSuite["place"]): void {
  describe(`Failing storage: ${name}`, () => {
    const open = withPlaces(place);

    /** Writes wait for `go`, and are lost when it was told `crash`. */
    function gated(): {
      wrap: (storage: EventStorage) => EventStorage;
      go: () => void;
      stop: () => void;
      crash: () => void;
    } {
      let waiting: (() => void)[] = [];
      let state: "open" | "closed" | "crashed" = "open";
      const wrap = (storage: EventStorage): EventStorage =>
        altered(storage, () => ({
          async write(writes) {
            if (state !== "open") await new Promise<void>((resolve) => waiting.push(resolve));
            if (state === "crashed") return new Promise(() => {});
            return storage.write(writes);
          },
        }));
      const leave = (): void => {
        for (const resolve of waiting) resolve();
        waiting = [];
      };
      return {
        wrap,
        stop: () => (state = "closed"),
        go: () => {
          state = "open";
          leave();
        },
        crash: () => {
          state = "crashed";
          leave();
        },
      };
    }

    it("no reader sees an event before it is stored", async () => {
      const { process } = await open();
      const gate = gated();
      const log = await process(gate.wrap);
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      await log.flush(run);
      const cursor = await mustOpen(log, run, "start");
      const read = cursor.next();
      gate.stop();
      log.append(run, newEvents(3));
      const sealing = log.seal(run);
      await quiet();
      expect(await Promise.race([read, Promise.resolve("nothing")])).toBe("nothing");
      gate.go();
      expect(seqsOf(await read)).toEqual([0, 1, 2]);
      await sealing;
      expect(await cursor.next()).toEqual({ kind: "end" });
    });

    it("no reader sees the end before it is stored", async () => {
      const { process } = await open();
      const gate = gated();
      const log = await process(gate.wrap);
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      log.append(run, newEvents(1));
      await log.flush(run);
      const cursor = await mustOpen(log, run, "start");
      expect(seqsOf(await cursor.next())).toEqual([0]);
      gate.stop();
      const sealing = log.seal(run);
      const end = cursor.next();
      await quiet();
      expect(await Promise.race([end, Promise.resolve("nothing")])).toBe("nothing");
      gate.go();
      expect(await end).toEqual({ kind: "end" });
      await sealing;
    });

    it.each([true, false])(
      "a worker drops what another's run kept it from writing (knowing of it: %s)",
      async (knows) => {
        const { process, clock } = await open();
        const gate = gated();
        const log = await process(gate.wrap);
        const other = await process();
        const run = newRun();
        await log.begin(run, { leaseToken: 1 });
        await log.flush(run);
        const reading = drain(await mustOpen(log, run, "start"));
        gate.stop();
        log.append(run, [newEvent("of a fenced attempt")]);
        await quiet();
        await other.begin(run, { leaseToken: 2 });
        // It learns of it while its own write is under way, and has the run back before that is over.
        if (knows) {
          await quiet();
          clock.advance(4_000);
          await quiet();
        }
        const again = log.begin(run, { leaseToken: 3 });
        gate.go();
        await again;
        expect(log.append(run, [newEvent("of the third attempt")])).toBe(0);
        await log.seal(run);
        const expected = { seqs: [0], data: ['"of the third attempt"'], gaps: [] };
        expect(await eventually(clock, reading)).toEqual(expected);
        expect(await eventually(clock, drain(await mustOpen(other, run, "start")))).toEqual(expected);
      },
    );

    it("a crash between append and storage: whoever resumes elsewhere has seen nothing that is not there", async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 6 }), async (stored, lost) => {
          const { process, clock } = await open();
          const gate = gated();
          const dying = await process(gate.wrap, { dies: true });
          const successor = await process();
          const run = newRun();
          await dying.begin(run, { leaseToken: 1 });
          await dying.flush(run);
          const cursor = await mustOpen(dying, run, "start");
          dying.append(run, newEvents(stored, "token"));
          await dying.flush(run);
          const read = stored > 0 ? seqsOf(await cursor.next()) : [];
          gate.stop();
          dying.append(run, newEvents(lost, "token", stored));
          const more = cursor.next();
          await pause();
          gate.crash();
          expect(await Promise.race([more, Promise.resolve("nothing")])).toBe("nothing");

          const resumed = await mustOpen(successor, run, { afterSeq: read.at(-1) ?? -1 });
          await successor.begin(run, { leaseToken: 2 });
          expect(successor.append(run, [newEvent("again")])).toBe(stored);
          await successor.seal(run, [newEvent("end", "control")]);
          const rest = await eventually(clock, drain(resumed));
          expect([...read, ...rest.seqs]).toEqual(range(0, stored + 2));
          expect(rest.data).toEqual(['"again"', '"end"']);
        }),
        { numRuns: 8 },
      );
    });

    it("writes that fail for a while, or whose answers are lost: each event is stored once, and read once", async () => {
      const { process, clock } = await open();
      let calls = 0;
      const log = await process((storage) =>
        altered(storage, () => ({
          async write(writes) {
            calls += 1;
            if (calls % 3 === 1) throw new Error("refused");
            const refused = await storage.write(writes);
            if (calls % 3 === 2) throw new Error("answer lost");
            return refused;
          },
        })),
      );
      const elsewhere = await process();
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      const until = async (work: () => Promise<void>): Promise<void> => {
        for (let tries = 0; tries < 10; tries += 1) {
          try {
            await work();
            return;
          } catch {
            // As the runtime does: once more.
          }
        }
        throw new Error("never");
      };
      await until(() => log.flush(run));
      const cursors = [await mustOpen(log, run, "start"), await mustOpen(elsewhere, run, "start")];
      for (let from = 0; from < 30; from += 3) {
        log.append(run, newEvents(3, "token", from));
        await until(() => log.flush(run));
      }
      await until(() => log.seal(run, [newEvent("end", "control")]));
      for (const seen of await eventually(clock, Promise.all(cursors.map((cursor) => drain(cursor))))) {
        expect(seen.seqs).toEqual(range(0, 31));
        expect(seen.data).toEqual([...newEvents(30, "token").map(({ data }) => data), '"end"']);
      }
    });
  });
}
