import type { AccessFilter } from "../../core/auth.js";
import type { ItemStore } from "../../core/item-store.js";
import type { JsonObject } from "../../core/json.js";
import { expiryCases } from "./item-store-expiry.js";
import { embeddingCases, vectorCases } from "./item-store-vectors.js";
import { AWKWARD_JSON } from "./json-cases.js";
import { ALL, pushTag, type StoreSuite, type WithStore, withStoreOf } from "./suite.js";

/** The contract of an {@link ItemStore} that was opened with `vectors: { dims: ITEM_DIMS }`. */
export function testItemStore(suite: StoreSuite<ItemStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`ItemStore: ${suite.name}`, () => {
    rowCases(suite, withStore);
    accessCases(suite, withStore);
    searchCases(suite, withStore);
    namespaceCases(suite, withStore);
    expiryCases(suite, withStore);
    vectorCases(suite, withStore);
    embeddingCases(suite, withStore);
  });
}

async function put(store: ItemStore, namespace: readonly string[], key: string, value: JsonObject = {}): Promise<void> {
  await store.put({ namespace, key, value, access: ALL });
}

async function keys(store: ItemStore, query: Partial<Parameters<ItemStore["search"]>[0]> = {}): Promise<string[]> {
  const items = await store.search({ namespacePrefix: [], limit: 100, offset: 0, access: ALL, ...query });
  return items.map((item) => item.key);
}

function rowCases({ vitest: { it, expect } }: StoreSuite<ItemStore>, withStore: WithStore<ItemStore>): void {
  it(
    "puts, replaces, gets and deletes",
    withStore(async ({ store, clock }) => {
      const place = { namespace: ["users", "u1"], key: "prefs", access: ALL };
      expect(await store.get(place)).toEqual({ kind: "missing" });
      expect(await store.put({ ...place, value: AWKWARD_JSON })).toEqual({ kind: "stored" });
      const createdAt = clock.now();
      const item = { namespace: ["users", "u1"], key: "prefs", value: AWKWARD_JSON, createdAt, updatedAt: createdAt };
      expect(await store.get(place)).toEqual({ kind: "found", item });
      clock.advance(10);
      await store.put({ ...place, value: { a: 1 } });
      const replaced = { ...item, value: { a: 1 }, updatedAt: createdAt + 10 };
      expect(await store.get(place)).toEqual({ kind: "found", item: replaced });
      expect(await store.delete(place)).toEqual({ kind: "deleted" });
      expect(await store.delete(place)).toEqual({ kind: "missing" });
      expect(await store.get(place)).toEqual({ kind: "missing" });
      expect(await keys(store)).toEqual([]);
    }),
  );

  it(
    "tells namespaces and keys apart that only look alike",
    withStore(async ({ store }) => {
      const places: [string[], string][] = [
        [["a"], "b"],
        [["a", "b"], ""],
        [["ab"], ""],
        [["a", ""], "b"],
        [["a,b"], "k"],
        [['a","b'], "k"],
        [["a\u0000"], "k"],
        [["a"], "k\u0000"],
        [["a"], "k"],
        [["A"], "k"],
        [["a%"], "k"],
        [["__proto__"], "constructor"],
        [["ä"], "k"],
        [["[", "]"], "k"],
      ];
      for (const [n, [namespace, key]] of places.entries()) await put(store, namespace, key, { n });
      for (const [n, [namespace, key]] of places.entries()) {
        expect(await store.get({ namespace, key, access: ALL })).toMatchObject({
          kind: "found",
          item: { namespace, key, value: { n } },
        });
      }
      expect(await keys(store)).toHaveLength(places.length);
    }),
  );

  it(
    "hands out copies, and keeps copies",
    withStore(async ({ store }) => {
      const value = { tags: ["a"] };
      const namespace = ["n"];
      await put(store, namespace, "k", value);
      value.tags.push("changed by the caller");
      namespace.push("changed by the caller");
      for (let n = 0; n < 2; n += 1) {
        const found = await store.get({ namespace: ["n"], key: "k", access: ALL });
        if (found.kind !== "found") throw new Error(found.kind);
        expect(found.item).toMatchObject({ namespace: ["n"], value: { tags: ["a"] } });
        pushTag(found.item.value, "changed by the reader");
        (found.item.namespace as string[]).push("changed by the reader");
        const [searched] = await store.search({ namespacePrefix: [], limit: 1, offset: 0, access: ALL });
        pushTag(searched?.value, "changed by the reader");
      }
    }),
  );

  it(
    "keeps one row of 50 parallel puts to one place",
    withStore(async ({ store }) => {
      await Promise.all(Array.from({ length: 50 }, (_, n) => put(store, ["a"], "k", { n })));
      expect(await keys(store)).toEqual(["k"]);
    }),
  );
}

function accessCases({ vitest: { it, expect } }: StoreSuite<ItemStore>, withStore: WithStore<ItemStore>): void {
  const byNamespace = (label: string): AccessFilter => ({
    kind: "match",
    where: { namespace: { $contains: label } },
  });
  const byValue: AccessFilter = { kind: "match", where: { owner: "me" } };

  it(
    "applies access to value, namespace and key on every method",
    withStore(async ({ store }) => {
      await put(store, ["u1"], "k", { owner: "me", n: 1 });
      await put(store, ["u2"], "k", { owner: "you" });
      const hidden = { namespace: ["u2"], key: "k" };
      for (const access of [byNamespace("u1"), byValue]) {
        expect((await store.get({ namespace: ["u1"], key: "k", access })).kind).toBe("found");
        expect(await store.get({ ...hidden, access })).toEqual({ kind: "hidden" });
        expect(await store.put({ ...hidden, value: { owner: "me" }, access })).toEqual({ kind: "hidden" });
        expect(await store.delete({ ...hidden, access })).toEqual({ kind: "hidden" });
        expect(await store.search({ namespacePrefix: [], limit: 10, offset: 0, access })).toHaveLength(1);
        expect(await store.listNamespaces({ limit: 10, offset: 0, access })).toEqual([["u1"]]);
      }
      expect(await store.get({ ...hidden, access: ALL })).toMatchObject({ item: { value: { owner: "you" } } });
      const byKey: AccessFilter = { kind: "match", where: { key: "k", namespace: { $contains: ["u2"] } } };
      expect((await store.get({ ...hidden, access: byKey })).kind).toBe("found");
    }),
  );

  it(
    "refuses to store what the caller may not see, new or over something he sees",
    withStore(async ({ store }) => {
      const place = { namespace: ["u1"], key: "k" };
      expect(await store.put({ ...place, value: { owner: "you" }, access: byValue })).toEqual({ kind: "forbidden" });
      expect(await store.get({ ...place, access: ALL })).toEqual({ kind: "missing" });
      expect(await store.put({ ...place, value: { owner: "me" }, access: byValue })).toEqual({ kind: "stored" });
      expect(await store.put({ ...place, value: { owner: "you" }, access: byValue })).toEqual({ kind: "forbidden" });
      expect(await store.put({ ...place, value: {}, access: byNamespace("u2") })).toEqual({ kind: "hidden" });
    }),
  );

  it(
    "takes namespace and key of the place, not of the value",
    withStore(async ({ store }) => {
      await put(store, ["u2"], "k", { namespace: ["u1"], key: "other" });
      expect(await store.get({ namespace: ["u2"], key: "k", access: byNamespace("u1") })).toEqual({ kind: "hidden" });
    }),
  );
}

function searchCases({ vitest: { it, expect } }: StoreSuite<ItemStore>, withStore: WithStore<ItemStore>): void {
  it(
    "matches a prefix by whole labels",
    withStore(async ({ store }) => {
      await put(store, ["a"], "at");
      await put(store, ["a", "b"], "below");
      await put(store, ["a", "b", "c"], "far below");
      await put(store, ["ab"], "beside");
      await put(store, ["a,"], "comma");
      await put(store, ['a"'], "quote");
      await put(store, ["*"], "star");
      const found = async (...namespacePrefix: string[]): Promise<string[]> =>
        (await keys(store, { namespacePrefix })).sort();
      expect(await found("a")).toEqual(["at", "below", "far below"]);
      expect(await found("a", "b")).toEqual(["below", "far below"]);
      expect(await found("ab")).toEqual(["beside"]);
      expect(await found("b")).toEqual([]);
      expect(await found("*")).toEqual(["star"]);
      expect(await found()).toHaveLength(7);
    }),
  );

  it(
    "gives the most recently updated first, by pages",
    withStore(async ({ store, clock }) => {
      for (const key of ["a", "b", "c", "d"]) {
        await put(store, ["n", key], key);
        clock.advance(1);
      }
      await put(store, ["n", "b"], "b", { again: true });
      expect(await keys(store)).toEqual(["b", "d", "c", "a"]);
      expect(await keys(store, { namespacePrefix: ["n"], limit: 2, offset: 1 })).toEqual(["d", "c"]);
      expect(await keys(store, { offset: 4 })).toEqual([]);
      expect(await keys(store, { limit: 0 })).toEqual([]);
    }),
  );

  it(
    "stays exact when there are many items",
    withStore(async ({ store, clock }) => {
      for (let n = 0; n < 2_400; n += 1) {
        if (n % 3 === 0) clock.advance(1);
        await put(store, [n % 2 === 0 ? "even" : "odd", "x"], `k${n}`, { n, tenth: n % 10 });
      }
      const query = { namespacePrefix: ["even"], filter: { tenth: { $in: [0, 1] } }, limit: 100 };
      const first = await keys(store, query);
      const second = await keys(store, { ...query, offset: 100 });
      const third = await keys(store, { ...query, offset: 200 });
      expect([first.length, second.length, third.length]).toEqual([100, 100, 40]);
      const all = [...first, ...second, ...third].map((key) => Number(key.slice(1)));
      expect(new Set(all).size).toBe(240);
      expect(all.every((n) => n % 10 === 0)).toBe(true);
      // Three puts share one time.
      expect(all.every((n, i) => i === 0 || Math.floor(n / 3) <= Math.floor((all[i - 1] ?? 0) / 3))).toBe(true);
      expect(await keys(store, { limit: 3, offset: 2_397 })).toHaveLength(3);
      expect(await store.listNamespaces({ limit: 10, offset: 0, access: ALL })).toEqual([
        ["even", "x"],
        ["odd", "x"],
      ]);
    }),
  );

  it(
    "filters by value and by operators on top-level fields",
    withStore(async ({ store }) => {
      const values: Record<string, JsonObject> = {
        one: { n: 1, s: "x", o: { a: [1] }, z: null },
        two: { n: 2, s: "10", o: { a: [2] } },
        ten: { n: 10, s: "y", list: ["a"] },
        text: { n: "5", s: "" },
        none: {},
      };
      for (const [key, value] of Object.entries(values)) await put(store, ["v"], key, value);
      const found = async (filter: JsonObject): Promise<string[]> => (await keys(store, { filter })).sort();
      expect(await found({})).toHaveLength(5);
      expect(await found({ n: 1 })).toEqual(["one"]);
      expect(await found({ n: "1" })).toEqual([]);
      expect(await found({ z: null })).toEqual(["one"]);
      expect(await found({ o: { a: [1] } })).toEqual(["one"]);
      expect(await found({ o: { a: [] } })).toEqual([]);
      expect(await found({ list: ["a"] })).toEqual(["ten"]);
      expect(await found({ n: { $eq: 2 } })).toEqual(["two"]);
      expect(await found({ o: { $eq: { a: [2] } } })).toEqual(["two"]);
      expect(await found({ n: { $ne: 2 } })).toEqual(["none", "one", "ten", "text"]);
      expect(await found({ n: { $gt: 2 } })).toEqual(["ten", "text"]);
      expect(await found({ n: { $gte: 2 } })).toEqual(["ten", "text", "two"]);
      expect(await found({ n: { $lt: 5 } })).toEqual(["one", "two"]);
      expect(await found({ n: { $lte: 5 } })).toEqual(["one", "text", "two"]);
      expect(await found({ s: { $gte: 0 } })).toEqual(["two"]);
      expect(await found({ z: { $lte: 0 } })).toEqual([]);
      expect(await found({ n: { $gt: 1, $lt: 10 } })).toEqual(["text", "two"]);
      expect(await found({ n: { $in: [1, 10, "5"] } })).toEqual(["one", "ten", "text"]);
      expect(await found({ n: { $nin: [1, 10] } })).toEqual(["none", "text", "two"]);
      expect(await found({ n: 1, s: "x" })).toEqual(["one"]);
      expect(await found({ n: 1, s: "y" })).toEqual([]);
      expect(await found({ "o.a": [1] })).toEqual([]);
      expect(await found({ constructor: { $ne: null } })).toHaveLength(5);
    }),
  );

  it(
    "refuses an unknown operator, naming it",
    withStore(async ({ store }) => {
      const search = store.search({
        namespacePrefix: [],
        filter: { n: { $regex: "x" } },
        limit: 1,
        offset: 0,
        access: ALL,
      });
      await expect(search).rejects.toMatchObject({ code: "ITEM_INVALID" });
      await expect(search).rejects.toThrow('"$regex" in the filter on "n"');
    }),
  );
}

function namespaceCases({ vitest: { it, expect } }: StoreSuite<ItemStore>, withStore: WithStore<ItemStore>): void {
  it(
    "lists namespaces sorted, by prefix, suffix, wildcard, depth and pages",
    withStore(async ({ store }) => {
      const all = [["a"], ["a", "b"], ["a", "b", "c"], ["a", "x", "c"], ["ab"], ["b", "b", "c"], ["*", "c"]];
      for (const namespace of all.toReversed()) for (const key of ["1", "2"]) await put(store, namespace, key);
      const list = async (query: object = {}): Promise<readonly (readonly string[])[]> =>
        store.listNamespaces({ limit: 100, offset: 0, access: ALL, ...query });
      expect(await list()).toEqual([["*", "c"], ...all.slice(0, 6)]);
      expect(await list({ prefix: ["a"] })).toEqual([["a"], ["a", "b"], ["a", "b", "c"], ["a", "x", "c"]]);
      expect(await list({ prefix: ["a", "*", "c"] })).toEqual([
        ["a", "b", "c"],
        ["a", "x", "c"],
      ]);
      expect(await list({ prefix: ["*", "b"] })).toEqual([
        ["a", "b"],
        ["a", "b", "c"],
        ["b", "b", "c"],
      ]);
      expect(await list({ suffix: ["c"] })).toEqual([
        ["*", "c"],
        ["a", "b", "c"],
        ["a", "x", "c"],
        ["b", "b", "c"],
      ]);
      expect(await list({ suffix: ["b", "*"] })).toEqual([
        ["a", "b", "c"],
        ["b", "b", "c"],
      ]);
      expect(await list({ prefix: ["a"], suffix: ["c"] })).toEqual([
        ["a", "b", "c"],
        ["a", "x", "c"],
      ]);
      expect(await list({ prefix: ["a", "b", "c", "d"] })).toEqual([]);
      expect(await list({ maxDepth: 1 })).toEqual([["*"], ["a"], ["ab"], ["b"]]);
      expect(await list({ maxDepth: 2, prefix: ["a"] })).toEqual([["a"], ["a", "b"], ["a", "x"]]);
      expect(await list({ maxDepth: 1, suffix: ["c"] })).toEqual([["*"], ["a"], ["b"]]);
      expect(await list({ limit: 2, offset: 1 })).toEqual([["a"], ["a", "b"]]);
      expect(await list({ maxDepth: 1, limit: 2, offset: 3 })).toEqual([["b"]]);
    }),
  );

  it(
    "forgets a namespace with its last item",
    withStore(async ({ store }) => {
      await put(store, ["a"], "1");
      await put(store, ["a"], "2");
      await store.delete({ namespace: ["a"], key: "1", access: ALL });
      expect(await store.listNamespaces({ limit: 10, offset: 0, access: ALL })).toEqual([["a"]]);
      await store.delete({ namespace: ["a"], key: "2", access: ALL });
      expect(await store.listNamespaces({ limit: 10, offset: 0, access: ALL })).toEqual([]);
    }),
  );
}
