import type { MetadataStore } from "../../core/metadata-store.js";
import { TOMBSTONES_KEPT_MS } from "../../core/record.js";
import { at, json, PLACE, put } from "./record-places.js";
import type { StoreSuite, WithStore } from "./suite.js";

const PAGE = { order: "key", direction: "asc", limit: 100, offset: 0 } as const;

/** Times to live, the sweep, and what is left of what is gone. */
export function recordTimeCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "hides a record from the millisecond on in which it expires, swept or not, and counts on",
    withStore(async ({ store: { records }, clock }) => {
      const labels = { a: "x" };
      await put(records, { ...at("k"), value: json(1), ttlMs: 1_000, labels });
      await put(records, { ...at("stays"), value: json(1), ttlMs: 1_001, labels });
      clock.advance(999);
      expect(await records.count({ ...PLACE, labels })).toBe(2);
      clock.advance(1);
      expect(await records.get(at("k"))).toBeNull();
      expect(await records.count({ ...PLACE, labels })).toBe(1);
      expect((await records.list({ ...PLACE, ...PAGE })).map(({ key }) => key)).toEqual(["stays"]);
      expect(await records.remove(at("k"))).toEqual({ kind: "absent" });
      expect(await records.write({ ...at("k"), value: json(2), expected: 1 })).toEqual({
        kind: "conflict",
        current: 0,
      });
      const anew = await records.write({ ...at("k"), value: json(2), expected: 0 });
      expect(anew).toMatchObject({ previous: null, record: { version: 3, createdAt: clock.now(), expiresAt: null } });
      clock.advance(1);
      expect(await records.sweepExpired({ limit: 10 })).toEqual([at("stays")]);
      expect(await records.write({ ...at("stays"), value: json(2), expected: 1 })).toMatchObject({ current: 0 });
      expect((await put(records, { ...at("stays"), value: json(2), expected: 0 })).version).toBe(3);
      expect((await records.get(at("k")))?.value).toBe(json(2));
    }),
  );

  it(
    "lives as the last write says",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("longer"), value: json(1), ttlMs: 10 });
      await put(records, { ...at("ever"), value: json(1), ttlMs: 10 });
      clock.advance(5);
      await put(records, { ...at("longer"), value: json(1), ttlMs: 10 });
      await put(records, { ...at("ever"), value: json(1), ttlMs: null });
      await put(records, { ...at("none"), value: json(1), ttlMs: 0 });
      expect(await records.get(at("none"))).toBeNull();
      clock.advance(9);
      expect(await records.get(at("longer"))).not.toBeNull();
      clock.advance(1);
      expect(await records.get(at("longer"))).toBeNull();
      clock.advance(86_400_000);
      await records.sweepExpired({ limit: 10 });
      expect(await records.get(at("ever"))).not.toBeNull();
    }),
  );

  it(
    "sweeps a few at a time, oldest expiry first, of all owners, and leaves what is excepted",
    withStore(async ({ store: { records }, clock }) => {
      for (const [n, owner] of ["a", "b", "c", "d"].entries()) {
        await put(records, { ...at("k"), owner, value: json(n), ttlMs: 10 + n });
      }
      await put(records, { ...at("k"), space: "kept", value: json("kept"), ttlMs: 1 });
      await put(records, { ...at("young"), value: json(1), ttlMs: 60_000 });
      await put(records, { ...at("ever"), value: json(1) });
      clock.advance(1_000);
      const except = ["kept", "unknown"];
      const owners = async (limit: number) =>
        (await records.sweepExpired({ limit, except })).map(({ owner, ...rest }) => {
          expect(rest).toEqual({ space: PLACE.space, collection: PLACE.collection, key: "k" });
          return owner;
        });
      expect((await records.expired({ space: PLACE.space, limit: 2 })).map(({ owner }) => owner)).toEqual(["a", "b"]);
      expect(await owners(3)).toEqual(["a", "b", "c"]);
      expect(await owners(3)).toEqual(["d"]);
      expect(await owners(3)).toEqual([]);
      expect(await records.expired({ space: PLACE.space, limit: 9 })).toEqual([]);
      expect(await records.expired({ space: "kept", limit: 9 })).toMatchObject([
        { ...PLACE, space: "kept", key: "k", version: 1, value: json("kept") },
      ]);
      expect(await records.get({ ...at("k"), space: "kept" })).toBeNull();
      expect(await records.sweepExpired({ limit: 9 })).toEqual([{ ...at("k"), space: "kept" }]);
      expect(await records.count(PLACE)).toBe(2);
    }),
  );

  it(
    "remembers the version of what is gone for its time, then forgets it",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("removed"), value: json(1) });
      await records.remove(at("removed"));
      await put(records, { ...at("expired"), value: json(1), ttlMs: 1 });
      clock.advance(1);
      await records.sweepExpired({ limit: 10 });
      clock.advance(TOMBSTONES_KEPT_MS - 2);
      await records.sweepExpired({ limit: 10 });
      const stale = await records.write({ ...at("removed"), value: json("stale"), expected: 1 });
      expect(stale).toEqual({ kind: "conflict", current: 0 });
      expect((await put(records, { ...at("removed"), value: json(2) })).version).toBe(3);
      clock.advance(2);
      await records.sweepExpired({ limit: 10 });
      expect((await put(records, { ...at("expired"), value: json(2) })).version).toBe(1);
      expect((await records.get(at("removed")))?.version).toBe(3);
    }),
  );

  it(
    "keeps nothing of a disposable record that has expired, swept or not",
    withStore(async ({ store: { records }, clock }) => {
      const write = { ...at("k"), value: json(1), ttlMs: 10, disposable: true };
      await put(records, write);
      clock.advance(10);
      expect((await put(records, { ...write, expected: 0 })).version).toBe(1);
      clock.advance(10);
      expect(await records.sweepExpired({ limit: 10 })).toEqual([at("k")]);
      expect((await put(records, { ...write, expected: 0 })).version).toBe(1);
    }),
  );

  it(
    "sweeps what many sweep at once, each record once",
    withStore(async ({ store: { records }, clock }) => {
      for (let n = 0; n < 20; n += 1) {
        await put(records, { ...at(`k${n}`), value: json(n), ttlMs: 10, tracked: true });
      }
      clock.advance(10);
      const swept = await Promise.all([1, 2, 3, 4].map(() => records.sweepExpired({ limit: 10 })));
      const rest = await records.sweepExpired({ limit: 100 });
      const names = [...swept, rest].flat().map(({ key }) => key);
      expect(new Set(names).size).toBe(20);
      expect(names).toHaveLength(20);
      for (let n = 0; n < 20; n += 1) {
        expect(await records.changes({ ...at(`k${n}`), after: 1, limit: 9 })).toMatchObject([
          { version: 2, value: null },
        ]);
      }
    }),
  );
}
