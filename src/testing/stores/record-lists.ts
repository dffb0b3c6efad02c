import type { MetadataStore } from "../../core/metadata-store.js";
import type { RecordStore } from "../../core/record.js";
import { at, json, PLACE, put } from "./record-places.js";
import type { StoreSuite, WithStore } from "./suite.js";

const PAGE = { order: "key", direction: "asc", limit: 100, offset: 0 } as const;
const OWNER = { space: PLACE.space, owner: PLACE.owner };

async function keys(
  records: RecordStore,
  params: Partial<Parameters<RecordStore["list"]>[0]> = {},
): Promise<readonly string[]> {
  return (await records.list({ ...PLACE, ...PAGE, ...params })).map(({ key }) => key);
}

/** Orders, ranges, labels and pages of lists. */
export function recordListCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "lists by code points, from and to a key",
    withStore(async ({ store: { records } }) => {
      const sorted = ["!", "A", "B", "Z", "_", "a", "a ", "a!", "aa", "b", "é", "\uffee", "😀", "😁"];
      for (const key of sorted.toReversed()) await put(records, { ...at(key), value: json(key) });
      await put(records, { ...at("x"), collection: "other", value: json(1) });
      await put(records, { ...at("x"), owner: "bob", value: json(1) });
      expect(await keys(records)).toEqual(sorted);
      expect(await keys(records, { direction: "desc" })).toEqual(sorted.toReversed());
      expect(await keys(records, { fromKey: "a", toKey: "aa" })).toEqual(["a", "a ", "a!", "aa"]);
      expect(await keys(records, { fromKey: "a\u0001" })).toEqual(sorted.slice(6));
      expect(await keys(records, { toKey: "\uffff" })).toEqual(sorted.slice(0, 12));
      expect(await keys(records, { fromKey: "b", toKey: "a" })).toEqual([]);
      expect(await records.count({ ...PLACE, fromKey: "a", toKey: "aa" })).toBe(4);
      expect(await records.count(PLACE)).toBe(sorted.length);
      expect(await records.count({ ...OWNER })).toBe(sorted.length + 1);
      expect(await records.list({ ...OWNER, owner: "nobody", ...PAGE })).toEqual([]);
    }),
  );

  it(
    "lists in the order of first writes also within a millisecond; what is written anew is new",
    withStore(async ({ store: { records }, clock }) => {
      for (const key of ["c", "a", "d", "b"]) await put(records, { ...at(key), value: json(1) });
      await put(records, { ...at("a"), value: json(2) });
      expect(await keys(records, { order: "created" })).toEqual(["c", "a", "d", "b"]);
      expect(await keys(records, { order: "created", direction: "desc" })).toEqual(["b", "d", "a", "c"]);
      await records.remove(at("c"));
      await put(records, { ...at("c"), value: json(3) });
      expect(await keys(records, { order: "created" })).toEqual(["a", "d", "b", "c"]);
      await put(records, { ...at("d"), value: json(1), ttlMs: 10 });
      clock.advance(10);
      await put(records, { ...at("d"), value: json(1) });
      expect(await keys(records, { order: "created" })).toEqual(["a", "b", "c", "d"]);
      await put(records, { ...at("z"), collection: "other", value: json(1) });
      await put(records, { ...at("e"), value: json(1) });
      const all = await records.list({ ...OWNER, ...PAGE, order: "created" });
      expect(all.map(({ key }) => key)).toEqual(["a", "b", "c", "d", "z", "e"]);
    }),
  );

  it(
    "lists by last writes, equal ones by collection and key",
    withStore(async ({ store: { records }, clock }) => {
      for (const key of ["b", "a"]) await put(records, { ...at(key), value: json(1) });
      await put(records, { ...at("a"), collection: "b", value: json(1) });
      clock.advance(1);
      await put(records, { ...at("c"), value: json(1) });
      clock.advance(1);
      await put(records, { ...at("a"), value: json(2) });
      const updated = async (direction: "asc" | "desc") =>
        (await records.list({ ...OWNER, ...PAGE, order: "updated", direction })).map(
          ({ collection, key }) => `${collection}/${key}`,
        );
      expect(await updated("asc")).toEqual(["b/a", "c/b", "c/c", "c/a"]);
      expect(await updated("desc")).toEqual(["c/a", "c/c", "c/b", "b/a"]);
      const byKey = await records.list({ ...OWNER, ...PAGE });
      expect(byKey.map(({ collection, key }) => `${collection}/${key}`)).toEqual(["b/a", "c/a", "c/b", "c/c"]);
    }),
  );

  it(
    "pages through every record once in every order",
    withStore(async ({ store: { records } }) => {
      for (const key of ["e", "b", "d", "a", "c"]) await put(records, { ...at(key), value: json(1) });
      for (const order of ["created", "updated", "key"] as const) {
        for (const direction of ["asc", "desc"] as const) {
          const whole = await keys(records, { order, direction });
          expect(whole.toSorted()).toEqual(["a", "b", "c", "d", "e"]);
          for (const limit of [1, 2, 5]) {
            const paged: string[] = [];
            for (let offset = 0; offset < 5; offset += limit) {
              paged.push(...(await keys(records, { order, direction, limit, offset })));
            }
            expect(paged, `${order} ${direction} ${limit}`).toEqual(whole);
          }
        }
      }
      expect(await keys(records, { offset: 5 })).toEqual([]);
      expect(await keys(records, { limit: 0 })).toEqual([]);
    }),
  );

  it(
    "selects by all labels, as they are now",
    withStore(async ({ store: { records } }) => {
      await put(records, { ...at("1"), value: json(1), labels: { kind: "a", of: "x" } });
      await put(records, { ...at("2"), value: json(1), labels: { kind: "a", of: "y" } });
      await put(records, { ...at("3"), value: json(1), labels: { kind: "b", of: "x" } });
      await put(records, { ...at("4"), value: json(1) });
      await put(records, { ...at("1"), owner: "bob", value: json(1), labels: { kind: "a" } });
      const where = (labels: Readonly<Record<string, string>>) => keys(records, { labels });
      expect(await where({ kind: "a" })).toEqual(["1", "2"]);
      expect(await where({ kind: "a", of: "x" })).toEqual(["1"]);
      expect(await where({ kind: "A" })).toEqual([]);
      expect(await where({ toString: "a" })).toEqual([]);
      expect(await where({})).toEqual(["1", "2", "3", "4"]);
      expect(await records.count({ ...OWNER, labels: { of: "x" } })).toBe(2);
      expect(await records.count({ ...PLACE, labels: { of: "x" }, fromKey: "2" })).toBe(1);
      await put(records, { ...at("1"), value: json(1), labels: { kind: "b" } });
      await records.remove(at("3"));
      await put(records, { ...at("3"), value: json(1) });
      expect(await where({ kind: "a" })).toEqual(["2"]);
      expect(await where({ kind: "b" })).toEqual(["1"]);
      expect(await where({ of: "x" })).toEqual([]);
    }),
  );

  it(
    "hands out copies",
    withStore(async ({ store: { records } }) => {
      const labels = { a: "1" };
      const record = await put(records, { ...at("k"), value: json(1), labels });
      labels.a = "2";
      (record.labels as Record<string, string>)["a"] = "3";
      const found = (await records.get(at("k"))) ?? record;
      (found.labels as Record<string, string>)["a"] = "4";
      expect((await records.list({ ...PLACE, ...PAGE }))[0]?.labels).toEqual({ a: "1" });
    }),
  );
}
