import type { MetadataStore } from "../../core/metadata-store.js";
import { type StoreSuite, withStoreOf } from "./suite.js";

const SWEEP = { name: "sweep", leaseMs: 10_000 } as const;

/** The contract of `MetadataStore.chores`. */
export function testChoreStore(suite: StoreSuite<MetadataStore>): void {
  const { describe, it, expect } = suite.vitest;
  const withStore = withStoreOf(suite);
  describe(`ChoreStore: ${suite.name}`, () => {
    it(
      "gives a chore to one worker, until its lease runs out",
      withStore(async ({ store: { chores }, clock }) => {
        expect(await chores.claim({ ...SWEEP, workerId: "a" })).toBe(true);
        expect(await chores.claim({ ...SWEEP, workerId: "b" })).toBe(false);
        clock.advance(SWEEP.leaseMs - 1);
        expect(await chores.claim({ ...SWEEP, workerId: "b" })).toBe(false);
        clock.advance(1);
        expect(await chores.claim({ ...SWEEP, workerId: "b" })).toBe(true);
        expect(await chores.claim({ ...SWEEP, workerId: "a" })).toBe(false);
      }),
    );

    it(
      "lets its holder hold it longer, and give it back",
      withStore(async ({ store: { chores }, clock }) => {
        await chores.claim({ ...SWEEP, workerId: "a" });
        clock.advance(SWEEP.leaseMs - 1);
        expect(await chores.claim({ ...SWEEP, workerId: "a" })).toBe(true);
        clock.advance(SWEEP.leaseMs - 1);
        expect(await chores.claim({ ...SWEEP, workerId: "b" })).toBe(false);
        expect(await chores.claim({ ...SWEEP, leaseMs: 0, workerId: "a" })).toBe(true);
        expect(await chores.claim({ ...SWEEP, workerId: "b" })).toBe(true);
      }),
    );

    it(
      "tells chores apart by their names, whatever they are",
      withStore(async ({ store: { chores } }) => {
        for (const name of ["sweep", "Sweep", "sweep ", "$set", "a.b", "ü\u0000'\"", ""]) {
          expect(await chores.claim({ name, leaseMs: 1000, workerId: "a" }), name).toBe(true);
          expect(await chores.claim({ name, leaseMs: 1000, workerId: "b" }), name).toBe(false);
        }
      }),
    );

    it(
      "gives it to one of many that ask at the same time",
      withStore(async ({ store: { chores } }) => {
        const workers = Array.from({ length: 20 }, (_, n) => `worker-${n}`);
        const claimed = await Promise.all(workers.map((workerId) => chores.claim({ ...SWEEP, workerId })));
        expect(claimed.filter(Boolean)).toHaveLength(1);
        const winner = workers[claimed.indexOf(true)] ?? "";
        const again = await Promise.all(workers.map((workerId) => chores.claim({ ...SWEEP, workerId })));
        expect(again.filter(Boolean)).toHaveLength(1);
        expect(workers[again.indexOf(true)]).toBe(winner);
      }),
    );
  });
}
