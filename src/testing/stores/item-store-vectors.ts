import type { FoundItem, ItemStore, ItemVector } from "../../core/item-store.js";
import type { JsonObject } from "../../core/json.js";
import { ALL, owner, type StoreSuite, type WithStore } from "./suite.js";

/** Dimensions that a store under test is opened with: `DriverContext.vectors`. */
export const ITEM_DIMS = 4;

const FINGERPRINT = { fingerprint: "embedder 1", paths: null };

const vector = (...values: number[]): Float32Array =>
  Float32Array.from({ length: ITEM_DIMS }, (_, i) => values[i] ?? 0);
const one = (...values: number[]): readonly ItemVector[] => [{ path: "text", values: vector(...values) }];

/** Vectors: kept with the item, compared by cosine, never across what filters and access leave. */
export function vectorCases({ vitest: { it, expect } }: StoreSuite<ItemStore>, withStore: WithStore<ItemStore>): void {
  const east = vector(1);
  const put = async (store: ItemStore, key: string, vectors: readonly ItemVector[] | undefined, value?: JsonObject) =>
    store.put({
      namespace: ["n"],
      key,
      value: value ?? { key },
      access: ALL,
      ...(vectors && { vectors }),
      embedding: FINGERPRINT,
    });
  const search = (store: ItemStore, query: Partial<Parameters<ItemStore["search"]>[0]> = {}) =>
    store.search({ namespacePrefix: [], limit: 100, offset: 0, access: ALL, nearest: east, ...query });
  const keys = (found: readonly FoundItem[]): string[] => found.map(({ key }) => key);

  it(
    "finds the most similar first, with cosine scores",
    withStore(async ({ store }) => {
      await put(store, "opposite", one(-3));
      await put(store, "same", one(0.001));
      await put(store, "across", one(0, 5));
      await put(store, "half", one(2, 2));
      await put(store, "zero", one());
      await put(store, "none", undefined);
      const found = await search(store);
      expect(keys(found).slice(0, 2)).toEqual(["same", "half"]);
      expect(keys(found).slice(2, 4).sort()).toEqual(["across", "zero"]);
      expect(keys(found).slice(4)).toEqual(["opposite"]);
      const scores = found.map(({ score }) => score ?? Number.NaN);
      for (const [n, score] of [1, Math.SQRT1_2, 0, 0, -1].entries()) expect(scores[n]).toBeCloseTo(score, 5);
      expect(found[0]).toMatchObject({ namespace: ["n"], key: "same", value: { key: "same" } });
      expect((await search(store, { nearest: vector() })).map(({ score }) => score)).toEqual([0, 0, 0, 0, 0]);
      // Without a query nothing has a score, and everything is found.
      const all = await store.search({ namespacePrefix: [], limit: 100, offset: 0, access: ALL });
      expect(all).toHaveLength(6);
      expect(all.some((item) => "score" in item)).toBe(false);
    }),
  );

  it(
    "counts the best vector of an item, once",
    withStore(async ({ store }) => {
      const both = [...one(-1), { path: "title", values: vector(1, 1) }];
      await put(store, "two", both);
      await put(store, "one", one(1));
      await put(store, "far", one(-1, 1));
      expect(keys(await search(store))).toEqual(["one", "two", "far"]);
      expect(keys(await search(store, { limit: 1, offset: 1 }))).toEqual(["two"]);
      expect(keys(await search(store, { limit: 5, offset: 2 }))).toEqual(["far"]);
    }),
  );

  it(
    "finds the best of items that have very many vectors",
    withStore(async ({ store }) => {
      for (let n = 0; n < 5; n += 1) {
        const vectors = Array.from({ length: 250 }, (_, at) => ({ path: `p${at}`, values: vector(-1, at + n) }));
        await put(store, `k${n}`, [...vectors, { path: "best", values: vector(10 - n, n) }]);
      }
      expect(keys(await search(store, { namespacePrefix: ["n"], limit: 3 }))).toEqual(["k0", "k1", "k2"]);
      expect(keys(await search(store, { namespacePrefix: ["n"], limit: 9, offset: 3 }))).toEqual(["k3", "k4"]);
    }),
  );

  it(
    "replaces vectors with a put, and forgets them with a delete",
    withStore(async ({ store }) => {
      await put(store, "a", [...one(1), { path: "title", values: vector(0, 1) }]);
      await put(store, "a", one(0, 0, 1));
      expect((await search(store))[0]?.score).toBeCloseTo(0, 5);
      expect((await search(store, { nearest: vector(0, 1) }))[0]?.score).toBeCloseTo(0, 5);
      await put(store, "a", undefined);
      expect(await search(store)).toEqual([]);
      await put(store, "a", one(1));
      await store.delete({ namespace: ["n"], key: "a", access: ALL });
      expect(await search(store)).toEqual([]);
      await put(store, "a", undefined);
      expect(await search(store)).toEqual([]);
    }),
  );

  it(
    "pages through a prefix of whole labels, in one order",
    withStore(async ({ store, clock }) => {
      for (let n = 0; n < 30; n += 1) {
        const namespace = n % 3 === 0 ? ["a"] : n % 3 === 1 ? ["a", "b"] : ["ab"];
        const vectors = one(Math.cos(n / 10), Math.sin(n / 10));
        await store.put({ namespace, key: `k${n}`, value: { n }, access: ALL, vectors });
        clock.advance(1);
      }
      const pages: string[] = [];
      for (let offset = 0; offset < 24; offset += 6) {
        pages.push(...keys(await search(store, { namespacePrefix: ["a"], limit: 6, offset })));
      }
      expect(pages).toEqual(
        Array.from({ length: 30 }, (_, n) => n)
          .filter((n) => n % 3 !== 2)
          .map((n) => `k${n}`),
      );
      expect(keys(await search(store, { namespacePrefix: ["a", "b"], limit: 2 }))).toEqual(["k1", "k4"]);
      expect(await search(store, { namespacePrefix: ["b"] })).toEqual([]);
      expect(await search(store, { limit: 0 })).toEqual([]);
    }),
  );

  it(
    "keeps equal scores in one order over pages",
    withStore(async ({ store }) => {
      for (let n = 0; n < 12; n += 1) await put(store, `k${n}`, one(1, 1));
      const whole = keys(await search(store));
      const paged: string[] = [];
      for (let offset = 0; offset < 12; offset += 5) paged.push(...keys(await search(store, { limit: 5, offset })));
      expect(paged).toEqual(whole);
      expect(new Set(whole).size).toBe(12);
    }),
  );

  it(
    "gives as many as were asked for of those that filter and access leave",
    withStore(async ({ store }) => {
      for (let n = 0; n < 40; n += 1) {
        const name = n % 10 === 9 ? "me" : "you";
        await put(store, `k${n}`, one(Math.cos(n / 20), Math.sin(n / 20)), { owner: name, n });
      }
      const mine = await search(store, { access: owner("me"), limit: 3 });
      expect(keys(mine)).toEqual(["k9", "k19", "k29"]);
      expect(keys(await search(store, { access: owner("me"), limit: 3, offset: 2 }))).toEqual(["k29", "k39"]);
      expect(keys(await search(store, { filter: { owner: "me", n: { $gt: 10 } }, limit: 2 }))).toEqual(["k19", "k29"]);
      const other = { kind: "match", where: { namespace: { $contains: "other" } } } as const;
      expect(await search(store, { access: other })).toEqual([]);
    }),
  );

  it(
    "never compares what another model made, if it is told which one asks",
    withStore(async ({ store }) => {
      const by = async (key: string, fingerprint: string | null, values: readonly ItemVector[], owned = "me") =>
        store.put({
          namespace: ["n"],
          key,
          value: { owner: owned },
          access: ALL,
          vectors: values,
          ...(fingerprint !== null && { embedding: { fingerprint, paths: null } }),
        });
      await by("stale", "old", one(1));
      await by("unknown", null, one(1));
      await by("current", "new", one(1, 1));
      await by("far", "new", one(-1));
      await by("hidden", "new", one(1), "you");
      const current = { fingerprint: "new", access: owner("me") };
      expect(keys(await search(store, current))).toEqual(["current", "far"]);
      expect(keys(await search(store, { ...current, namespacePrefix: ["n"], limit: 1 }))).toEqual(["current"]);
      expect(keys(await search(store, { ...current, limit: 1, offset: 1 }))).toEqual(["far"]);
      expect(keys(await search(store, { fingerprint: "none" }))).toEqual([]);
      expect(await search(store)).toHaveLength(5);
      // One that is embedded anew is found from then on, also by who has compared the others already.
      const [stale] = (await search(store, { fingerprint: "old" })).slice(0, 1);
      expect(stale?.key).toBe("stale");
      const { namespace, key, updatedAt } = stale as FoundItem;
      const embedding = { fingerprint: "new", paths: null };
      expect(await store.embed({ namespace, key, updatedAt, vectors: one(1), embedding })).toBe(true);
      expect(keys(await search(store, current))).toEqual(["stale", "current", "far"]);
      expect(await search(store, { fingerprint: "old" })).toEqual([]);
      await by("far", "old", one(-1));
      expect(keys(await search(store, current))).toEqual(["stale", "current"]);
    }),
  );

  it(
    "hides expired items, sweeps their vectors and refreshes what it returns",
    withStore(async ({ store, clock }) => {
      for (const [n, key] of ["a", "b", "c"].entries()) {
        await store.put({ namespace: ["n"], key, value: {}, access: ALL, ttlMs: 100, vectors: one(1, n) });
      }
      clock.advance(60);
      expect(keys(await search(store, { limit: 1, refreshTtl: true }))).toEqual(["a"]);
      clock.advance(60);
      expect(keys(await search(store))).toEqual(["a"]);
      expect(await store.sweepExpired({ limit: 10 })).toBe(2);
      await put(store, "b", undefined);
      expect(keys(await search(store))).toEqual(["a"]);
    }),
  );

  it(
    "refuses vectors of other dims, and numbers that are none",
    withStore(async ({ store }) => {
      const short = [{ path: "text", values: Float32Array.of(1, 2) }];
      await expect(put(store, "a", short)).rejects.toMatchObject({ code: "ITEM_INVALID" });
      await expect(put(store, "a", one(Number.NaN))).rejects.toMatchObject({ code: "ITEM_INVALID" });
      await expect(put(store, "a", one(Number.POSITIVE_INFINITY))).rejects.toMatchObject({ code: "ITEM_INVALID" });
      await expect(search(store, { nearest: Float32Array.of(1) })).rejects.toMatchObject({ code: "ITEM_INVALID" });
      expect(await store.get({ namespace: ["n"], key: "a", access: ALL })).toEqual({ kind: "missing" });
    }),
  );
}

/** Scans, and vectors that are made again. */
export function embeddingCases(
  { vitest: { it, expect } }: StoreSuite<ItemStore>,
  withStore: WithStore<ItemStore>,
): void {
  it(
    "scans what has no current vectors, and takes those that are made again",
    withStore(async ({ store, clock }) => {
      const put = (key: string, fingerprint: string | null, paths: readonly string[] | null = null) =>
        store.put({
          namespace: ["n", key],
          key,
          value: { text: key },
          access: ALL,
          ttlMs: 1_000,
          ...(fingerprint !== null && { embedding: { fingerprint, paths }, vectors: one(0, 1) }),
        });
      await put("current", "new");
      await put("old", "old", ["title", "text"]);
      await put("unknown", null);
      await put("unwanted", "old", []);
      const scan = async (staleFor?: string, limit = 1) => {
        const found: { key: string; paths: readonly string[] | null | undefined; updatedAt: number }[] = [];
        let after: string | null = null;
        do {
          const page: Awaited<ReturnType<ItemStore["scan"]>> = await store.scan({
            namespacePrefix: ["n"],
            ...(staleFor !== undefined && { staleFor }),
            limit,
            after,
            access: ALL,
          });
          for (const { item, embedding } of page.items) {
            found.push({ key: item.key, paths: embedding?.paths, updatedAt: item.updatedAt });
          }
          after = page.next;
        } while (after !== null);
        return found.sort((a, b) => (a.key < b.key ? -1 : 1));
      };
      expect((await scan()).map(({ key }) => key)).toEqual(["current", "old", "unknown", "unwanted"]);
      expect(await scan("new", 2)).toMatchObject([
        { key: "old", paths: ["title", "text"] },
        { key: "unknown", paths: undefined },
        { key: "unwanted", paths: [] },
      ]);
      const updatedAt = clock.now();
      clock.advance(500);
      const renewed = { namespace: ["n", "old"], key: "old", updatedAt, vectors: one(1) };
      const embedding = { fingerprint: "new", paths: ["title", "text"] };
      expect(await store.embed({ ...renewed, updatedAt: updatedAt - 1, embedding })).toBe(false);
      expect(await store.embed({ ...renewed, embedding })).toBe(true);
      expect(await store.embed({ ...renewed, vectors: one(-1), embedding })).toBe(false);
      expect((await scan("new")).map(({ key }) => key)).toEqual(["unknown", "unwanted"]);
      expect(await store.get({ namespace: ["n", "old"], key: "old", access: ALL })).toMatchObject({
        item: { value: { text: "old" }, updatedAt },
      });
      const [nearest] = await store.search({
        namespacePrefix: ["n", "old"],
        limit: 1,
        offset: 0,
        access: ALL,
        nearest: vector(1),
      });
      expect(nearest?.score).toBeCloseTo(1, 5);
      clock.advance(500);
      expect(await scan()).toEqual([]);
    }),
  );

  it(
    "scans many items in pages: each that stays once, whatever is put and deleted meanwhile",
    withStore(async ({ store }) => {
      const namespaces = [["a"], ["a", "b"], ["ab"], ["a", "b", "c"], ["a "]];
      const embedding = { fingerprint: "new", paths: null };
      for (let n = 0; n < 230; n += 1) {
        const namespace = namespaces[n % 20 === 3 ? 3 : n % 2] ?? [];
        const current = n % 5 === 0 ? { embedding } : {};
        await store.put({ namespace, key: `k${n}`, value: { n }, access: ALL, ...current });
      }
      for (const namespace of [["ab"], ["a "]]) await store.put({ namespace, key: "no", value: {}, access: ALL });
      const scan = async (limit: number, between: (page: number) => Promise<unknown> = async () => {}) => {
        const found: number[] = [];
        let after: string | null = null;
        for (let page = 0; page === 0 || after !== null; page += 1) {
          const query = { namespacePrefix: ["a"], staleFor: "new", limit, after, access: ALL };
          const scanned: Awaited<ReturnType<ItemStore["scan"]>> = await store.scan(query);
          for (const { item } of scanned.items) found.push(item.value["n"] as number);
          after = scanned.next;
          await between(page);
        }
        return found.sort((a, b) => a - b);
      };
      const stale = Array.from({ length: 230 }, (_, n) => n).filter((n) => n % 5 !== 0);
      expect(await scan(1_000)).toEqual(stale);
      const rewrite = (page: number) =>
        store.put({ namespace: ["a"], key: "k10", value: { n: 10, page }, access: ALL, embedding });
      const withGone = await scan(17, async (page) => {
        await rewrite(page);
        await store.delete({ namespace: ["a", "b"], key: `k${page}`, access: ALL });
      });
      expect(new Set(withGone).size).toBe(withGone.length);
      expect(withGone.filter((n) => n > 20)).toEqual(stale.filter((n) => n > 20));
    }),
  );

  it(
    "scans by prefix and access",
    withStore(async ({ store }) => {
      for (const [namespace, key, name] of [
        [["a"], "1", "me"],
        [["a", "b"], "2", "you"],
        [["ab"], "3", "me"],
      ] as const) {
        await store.put({ namespace, key, value: { owner: name }, access: ALL });
      }
      const scan = async (namespacePrefix: readonly string[], access = ALL) =>
        (await store.scan({ namespacePrefix, limit: 10, after: null, access })).items.map(({ item }) => item.key);
      expect((await scan(["a"])).sort()).toEqual(["1", "2"]);
      expect((await scan([], owner("me"))).sort()).toEqual(["1", "3"]);
      expect(await scan(["b"])).toEqual([]);
    }),
  );
}
