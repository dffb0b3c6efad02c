import type { ItemStore } from "../../core/item-store.js";
import { ALL, owner, type StoreSuite, type WithStore } from "./suite.js";

/** Time to live: expired items are gone at once, reads may refresh, sweeping removes rows. */
export function expiryCases({ vitest: { it, expect } }: StoreSuite<ItemStore>, withStore: WithStore<ItemStore>): void {
  const place = { namespace: ["n"], key: "k", access: ALL };
  const every = { namespacePrefix: [], limit: 100, offset: 0, access: ALL };

  it(
    "hides an expired item from every method at once",
    withStore(async ({ store, clock }) => {
      await store.put({ ...place, value: { a: 1 }, ttlMs: 1_000 });
      await store.put({ ...place, namespace: ["n", "below"], value: { b: 1 } });
      clock.advance(999);
      expect((await store.get(place)).kind).toBe("found");
      clock.advance(1);
      expect(await store.get(place)).toEqual({ kind: "missing" });
      expect(await store.search(every)).toMatchObject([{ namespace: ["n", "below"] }]);
      expect(await store.search({ ...every, namespacePrefix: ["n"], filter: { a: 1 } })).toEqual([]);
      expect(await store.listNamespaces({ limit: 10, offset: 0, access: ALL })).toEqual([["n", "below"]]);
      const { items } = await store.scan({ namespacePrefix: [], limit: 10, after: null, access: ALL });
      expect(items).toMatchObject([{ item: { namespace: ["n", "below"] } }]);
      const embedding = { fingerprint: "new", paths: null };
      expect(await store.embed({ ...place, updatedAt: clock.now() - 1_000, vectors: [], embedding })).toBe(false);
      expect(await store.delete(place)).toEqual({ kind: "missing" });
    }),
  );

  it(
    "starts a new item in the place of an expired one, whoever may have seen that",
    withStore(async ({ store, clock }) => {
      await store.put({ ...place, value: { owner: "you" }, ttlMs: 10 });
      expect(await store.put({ ...place, value: { owner: "me" }, access: owner("me") })).toEqual({ kind: "hidden" });
      clock.advance(10);
      expect(await store.get({ ...place, access: owner("me") })).toEqual({ kind: "missing" });
      expect(await store.put({ ...place, value: { owner: "you" }, access: owner("me") })).toEqual({
        kind: "forbidden",
      });
      expect(await store.put({ ...place, value: { owner: "me" }, access: owner("me") })).toEqual({ kind: "stored" });
      const now = clock.now();
      expect(await store.get(place)).toMatchObject({ item: { createdAt: now, updatedAt: now } });
      clock.advance(1_000_000);
      expect((await store.get(place)).kind).toBe("found");
    }),
  );

  it(
    "takes the time to live of the last put, also none",
    withStore(async ({ store, clock }) => {
      const createdAt = clock.now();
      await store.put({ ...place, value: {}, ttlMs: 100 });
      clock.advance(50);
      await store.put({ ...place, value: {}, ttlMs: 100 });
      clock.advance(99);
      expect(await store.get(place)).toMatchObject({ kind: "found", item: { createdAt } });
      await store.put({ ...place, value: {}, ttlMs: null });
      clock.advance(10_000_000);
      expect((await store.get(place)).kind).toBe("found");
      await store.put({ ...place, value: {}, ttlMs: 5 });
      clock.advance(5);
      expect((await store.get(place)).kind).toBe("missing");
    }),
  );

  it(
    "refreshes what a get or a search returns, and nothing else",
    withStore(async ({ store, clock }) => {
      const updatedAt = clock.now();
      for (const key of ["got", "found", "untouched", "hidden", "beyond"]) {
        await store.put({ ...place, key, value: { owner: "me", key }, ttlMs: 100 });
      }
      await store.put({ ...place, key: "eternal", value: {} });
      clock.advance(60);
      expect((await store.get({ ...place, key: "got", refreshTtl: true })).kind).toBe("found");
      expect((await store.get({ ...place, key: "hidden", access: owner("you"), refreshTtl: true })).kind).toBe(
        "hidden",
      );
      expect((await store.get({ ...place, key: "eternal", refreshTtl: true })).kind).toBe("found");
      const search = { ...every, filter: { key: "found" }, refreshTtl: true };
      expect(await store.search(search)).toMatchObject([{ key: "found", updatedAt }]);
      expect(await store.search({ ...every, filter: { key: "beyond" }, offset: 1, refreshTtl: true })).toEqual([]);
      expect(await store.get({ ...place, key: "untouched", refreshTtl: false })).toMatchObject({ kind: "found" });
      clock.advance(60);
      const keys = (await store.search(every)).map(({ key }) => key).sort();
      expect(keys).toEqual(["eternal", "found", "got"]);
      clock.advance(40);
      expect((await store.search(every)).map(({ key }) => key)).toEqual(["eternal"]);
    }),
  );

  it(
    "sweeps expired rows by rounds, those first that expired first",
    withStore(async ({ store, clock }) => {
      for (let n = 0; n < 5; n += 1) await store.put({ ...place, key: `k${n}`, value: { n }, ttlMs: 100 - n });
      await store.put({ ...place, key: "later", value: {}, ttlMs: 1_000 });
      await store.put({ ...place, key: "eternal", value: {} });
      expect(await store.sweepExpired({ limit: 10 })).toBe(0);
      clock.advance(98);
      expect(await store.sweepExpired({ limit: 2 })).toBe(2);
      expect(await store.sweepExpired({ limit: 2 })).toBe(1);
      expect(await store.sweepExpired({ limit: 2 })).toBe(0);
      expect((await store.search(every)).map(({ key }) => key).sort()).toEqual(["eternal", "k0", "k1", "later"]);
      clock.advance(2);
      expect(await store.sweepExpired({ limit: 10 })).toBe(2);
      expect(await store.search(every)).toHaveLength(2);
    }),
  );
}
