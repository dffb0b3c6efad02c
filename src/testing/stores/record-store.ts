import type { JsonText } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { at, json, PLACE, put } from "./record-places.js";
import { recordFeedCases } from "./record-feed.js";
import { recordListCases } from "./record-lists.js";
import { recordTimeCases } from "./record-times.js";
import { type StoreSuite, type WithStore, withStoreOf } from "./suite.js";

/** The contract of `MetadataStore.records`. */
export function testRecordStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`RecordStore: ${suite.name}`, () => {
    writeCases(suite, withStore);
    raceCases(suite, withStore);
    textCases(suite, withStore);
    recordListCases(suite, withStore);
    recordTimeCases(suite, withStore);
    recordFeedCases(suite, withStore);
  });
}

function writeCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "writes record 1, 2, 3 with what was before, and reads the last",
    withStore(async ({ store: { records }, clock }) => {
      expect(await records.get(at("k"))).toBeNull();
      const createdAt = clock.now();
      const first = await records.write({ ...at("k"), value: json({ n: 1 }), labels: { a: "x" } });
      const record = {
        ...at("k"),
        version: 1,
        value: json({ n: 1 }),
        labels: { a: "x" },
        createdAt,
        updatedAt: createdAt,
        expiresAt: null,
      };
      expect(first).toEqual({ kind: "written", record, previous: null });
      clock.advance(1_000);
      const second = await records.write({ ...at("k"), value: json(2), ttlMs: 500 });
      const replaced = {
        ...record,
        version: 2,
        value: json(2),
        labels: {},
        updatedAt: createdAt + 1_000,
        expiresAt: createdAt + 1_500,
      };
      expect(second).toEqual({ kind: "written", record: replaced, previous: json({ n: 1 }) });
      expect(await records.get(at("k"))).toEqual(replaced);
      expect(await put(records, { ...at("k"), value: json(null) })).toMatchObject({ version: 3, expiresAt: null });
      expect((await records.get(at("k")))?.value).toBe("null");
    }),
  );

  it(
    "writes only over the version that is expected, and says which one is there",
    withStore(async ({ store: { records } }) => {
      const write = { ...at("k"), value: json(1) };
      expect(await records.write({ ...write, expected: 1 })).toEqual({ kind: "conflict", current: 0 });
      expect(await records.write({ ...write, expected: 0 })).toMatchObject({ kind: "written", record: { version: 1 } });
      expect(await records.write({ ...write, expected: 0 })).toEqual({ kind: "conflict", current: 1 });
      expect(await records.write({ ...write, expected: 2 })).toEqual({ kind: "conflict", current: 1 });
      expect(await records.write({ ...write, expected: 1 })).toMatchObject({ kind: "written", record: { version: 2 } });
      expect(await records.write({ ...write, expected: 1 })).toEqual({ kind: "conflict", current: 2 });
      expect((await records.get(at("k")))?.version).toBe(2);
    }),
  );

  it(
    "removes with and without an expected version, and tells what was there",
    withStore(async ({ store: { records } }) => {
      expect(await records.remove(at("k"))).toEqual({ kind: "absent" });
      expect(await records.remove({ ...at("k"), expected: 1 })).toEqual({ kind: "absent" });
      await put(records, { ...at("k"), value: json("v") });
      expect(await records.remove({ ...at("k"), expected: 2 })).toEqual({ kind: "conflict", current: 1 });
      expect(await records.remove({ ...at("k"), expected: 0 })).toEqual({ kind: "conflict", current: 1 });
      expect(await records.remove({ ...at("k"), expected: 1 })).toEqual({
        kind: "removed",
        version: 2,
        previous: json("v"),
      });
      expect(await records.get(at("k"))).toBeNull();
      expect(await records.remove(at("k"))).toEqual({ kind: "absent" });
    }),
  );

  it(
    "counts on where a removed record is written anew: no version from before matches",
    withStore(async ({ store: { records }, clock }) => {
      await put(records, { ...at("k"), value: json(1), labels: { a: "x" } });
      await put(records, { ...at("k"), value: json(2) });
      await records.remove(at("k"));
      clock.advance(60_000);
      await records.sweepExpired({ limit: 10 });
      for (const expected of [1, 2, 3]) {
        const stale = await records.write({ ...at("k"), value: json("stale"), expected });
        expect(stale, String(expected)).toEqual({ kind: "conflict", current: 0 });
      }
      const anew = await records.write({ ...at("k"), value: json(3), expected: 0 });
      expect(anew).toMatchObject({ kind: "written", previous: null, record: { version: 4, createdAt: clock.now() } });
      for (const expected of [0, 1, 2, 3]) {
        const stale = await records.write({ ...at("k"), value: json("stale"), expected });
        expect(stale, String(expected)).toEqual({ kind: "conflict", current: 4 });
      }
    }),
  );

  it(
    "keeps nothing of a disposable record",
    withStore(async ({ store: { records } }) => {
      const write = { ...at("k"), value: json(1), disposable: true };
      await put(records, write);
      expect((await put(records, write)).version).toBe(2);
      expect(await records.remove(at("k"))).toMatchObject({ kind: "removed", version: 3 });
      expect((await put(records, write)).version).toBe(1);
      // One write that is none, and its versions go on for ever.
      expect((await put(records, { ...at("k"), value: json(1) })).version).toBe(2);
      await put(records, write);
      await records.remove(at("k"));
      expect((await put(records, write)).version).toBe(5);
      await records.remove(at("k"));
      expect((await put(records, write)).version).toBe(7);
    }),
  );

  it(
    "keeps owners, spaces, collections and keys apart, whatever they are",
    withStore(async ({ store: { records } }) => {
      const texts = ["a", "A", "a ", "", "$set", "a.b", "a/b", "%", "_", "\u0001", "é", "e\u0301", "😀", "'\"\\"];
      const places = [
        ...texts.map((owner) => ({ space: "s", owner, collection: "c", key: "k" })),
        ...texts.map((collection) => ({ space: "s", owner: "", collection, key: "k 2" })),
        ...texts.filter(Boolean).map((key) => ({ space: "s", owner: "o", collection: "c 2", key })),
        ...texts.filter(Boolean).map((space) => ({ space, owner: "o", collection: "c 3", key: "k" })),
        { space: "ab", owner: "c", collection: "d", key: "e" },
        { space: "a", owner: "bc", collection: "d", key: "e" },
        { space: "a", owner: "b", collection: "cd", key: "e" },
        { space: "a", owner: "b", collection: "c", key: "de" },
      ];
      for (const [n, place] of places.entries()) {
        expect(await put(records, { ...place, value: json(n), expected: 0 })).toMatchObject({ ...place, version: 1 });
      }
      for (const [n, place] of places.entries()) {
        expect(await records.get(place)).toMatchObject({ ...place, value: json(n), version: 1 });
      }
    }),
  );

  it(
    "writes several records, or none of them",
    withStore(async ({ store: { records } }) => {
      await put(records, { ...at("a"), value: json(1) });
      const writes = [
        { ...at("b"), value: json("b"), expected: 0, labels: { in: "both" } },
        { ...at("a"), value: json(2), expected: 1 },
        { ...at("a"), value: json(3), expected: 2 },
      ];
      expect(await records.writeAll([])).toEqual({ kind: "written", records: [] });
      expect(await records.writeAll([...writes, { ...at("c"), value: json(1), expected: 7 }])).toEqual({
        kind: "conflict",
        index: 3,
        current: 0,
      });
      expect(await records.get(at("a"))).toMatchObject({ value: json(1) });
      expect(await records.get(at("b"))).toBeNull();
      expect(await records.count({ ...PLACE, labels: { in: "both" } })).toBe(0);
      expect(await records.changes({ ...at("a"), after: 0, limit: 10 })).toEqual([]);
      const fresh = await records.get(at("a"));
      const version = fresh?.version ?? 0;
      const [first, second, third] = writes;
      if (first === undefined || second === undefined || third === undefined) throw new Error("there are three");
      const written = await records.writeAll([
        first,
        { ...second, expected: version },
        { ...third, expected: version + 1 },
      ]);
      if (written.kind !== "written") throw new Error("nothing was written");
      expect(written.records.map(({ key, value }) => [key, value])).toEqual([
        ["b", json("b")],
        ["a", json(2)],
        ["a", json(3)],
      ]);
      expect(await records.get(at("a"))).toEqual(written.records[2]);
      expect(await records.get(at("b"))).toEqual(written.records[0]);
      expect(await records.writeAll(writes)).toMatchObject({ kind: "conflict", index: 0, current: 1 });
    }),
  );

  it(
    "removes a whole collection of one owner, and its versions go on",
    withStore(async ({ store: { records } }) => {
      for (const key of ["a", "b"]) await put(records, { ...at(key), value: json(key), tracked: true });
      await put(records, { ...at("d"), value: json(1), disposable: true });
      await put(records, { ...at("gone"), value: json(1), ttlMs: 0 });
      await put(records, { ...at("a"), collection: "other", value: json(1) });
      await put(records, { ...at("a"), owner: "bob", value: json(1) });
      const told = await records.changes({ ...at("a"), after: 0, limit: 10 });
      expect(await records.removeCollection(PLACE)).toBe(3);
      expect(await records.removeCollection(PLACE)).toBe(0);
      expect(await records.count(PLACE)).toBe(0);
      expect(await records.get(at("a"))).toBeNull();
      expect(await records.changes({ ...at("a"), after: 0, limit: 10 })).toEqual(told);
      expect(await records.count({ ...PLACE, collection: "other" })).toBe(1);
      expect(await records.count({ ...PLACE, owner: "bob" })).toBe(1);
      expect((await put(records, { ...at("a"), value: json(1), expected: 0 })).version).toBe(3);
      expect((await put(records, { ...at("d"), value: json(1) })).version).toBe(1);
    }),
  );
}

function raceCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;
  const many = Array.from({ length: 50 }, (_, n) => n);

  it(
    "lets one of 50 that write over the same version at once",
    withStore(async ({ store: { records } }) => {
      for (const expected of [0, 1]) {
        const outcomes = await Promise.all(
          many.map((n) => records.write({ ...at("k"), value: json(n), expected, tracked: true })),
        );
        const written = outcomes.filter(({ kind }) => kind === "written");
        expect(written).toHaveLength(1);
        for (const outcome of outcomes) {
          if (outcome.kind === "conflict") expect(outcome.current).toBe(expected + 1);
          else expect(await records.get(at("k"))).toEqual(outcome.record);
        }
      }
      const changes = await records.changes({ ...at("k"), after: 0, limit: 100 });
      expect(changes.map(({ version }) => version)).toEqual([1, 2]);
    }),
  );

  it(
    "gives 50 writes at once without an expectation 50 versions, each with the value before it",
    withStore(async ({ store: { records } }) => {
      const outcomes = await Promise.all(many.map((n) => records.write({ ...at("k"), value: json(n), tracked: true })));
      const written = outcomes.filter((outcome) => outcome.kind === "written");
      const inOrder = written.toSorted((a, b) => a.record.version - b.record.version);
      expect(inOrder.map(({ record }) => record.version)).toEqual(many.map((n) => n + 1));
      expect(inOrder.map(({ previous }) => previous)).toEqual([
        null,
        ...inOrder.map((o) => o.record.value).slice(0, -1),
      ]);
      const changes = await records.changes({ ...at("k"), after: 0, limit: 100 });
      expect(changes.map(({ version, value }) => [version, value])).toEqual(
        inOrder.map(({ record }) => [record.version, record.value]),
      );
    }),
  );

  it(
    "removes a record once of 20 that try, and lets nobody write over what is gone",
    withStore(async ({ store: { records } }) => {
      await put(records, { ...at("k"), value: json(1) });
      const outcomes = await Promise.all([
        ...many.slice(0, 20).map(() => records.remove({ ...at("k"), expected: 1 })),
        ...many.slice(0, 20).map((n) => records.write({ ...at("k"), value: json(n), expected: 1 })),
      ]);
      expect(outcomes.filter(({ kind }) => kind === "removed" || kind === "written")).toHaveLength(1);
    }),
  );

  it(
    "writes several at once from many sides without waiting in a circle",
    withStore(async ({ store: { records } }) => {
      const keys = ["a", "b", "c", "d"];
      const outcomes = await Promise.all(
        many.slice(0, 16).map((n) => {
          const order = n % 2 === 0 ? keys : keys.toReversed();
          const value = json(n);
          return records.writeAll(order.map((key) => Object.assign(at(key), { value })));
        }),
      );
      expect(outcomes.every(({ kind }) => kind === "written")).toBe(true);
      for (const key of keys) expect((await records.get(at(key)))?.version).toBe(16);
    }),
  );
}

function textCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "keeps JSON text to the last byte",
    withStore(async ({ store: { records } }) => {
      const texts = [
        '{"b":1,"a":1,"a":2}',
        '{ "a" : [1 , 2 ] }',
        "1.0",
        "1e400",
        "-0",
        "123456789012345678901234567890",
        '"\\u0000\\ud800 \\u00e9é😀"',
        '{"__proto__":1,"$set":{"a.b":2},"$heddle":"x"}',
        `"${"x".repeat(300_000)}"`,
      ];
      for (const [n, text] of texts.entries()) {
        const write = { ...at(`k${n}`), value: text as JsonText, tracked: true };
        expect((await put(records, write)).value).toBe(text);
        expect((await records.get(at(`k${n}`)))?.value).toBe(text);
        const again = await records.write({ ...write, value: json(0) });
        expect(again).toMatchObject({ kind: "written", previous: text });
        const [first, second] = await records.changes({ ...at(`k${n}`), after: 0, limit: 9 });
        expect([first?.value, second?.previous]).toEqual([text, text]);
      }
    }),
  );

  it(
    "takes texts of 1,024 characters and labels of any name",
    withStore(async ({ store: { records } }) => {
      const long = "😀".repeat(1_023);
      const place = { space: `${long}s`, owner: `${long}o`, collection: `${long}c`, key: `${long}k` };
      const labels = { "": "", __proto__x: "1", constructor: "c", "a.b": "$x", $gt: "é😀", [long]: long };
      const other = { ...place, key: `${long}l` };
      await put(records, { ...place, value: json(1), labels });
      await put(records, { ...other, value: json(2) });
      expect(await records.get(place)).toMatchObject({ ...place, labels, value: json(1) });
      const query = { space: place.space, owner: place.owner, labels };
      const page = { order: "key", direction: "desc", limit: 9, offset: 0 } as const;
      expect(await records.list({ ...query, ...page })).toHaveLength(1);
      const keys = (await records.list({ ...query, labels: {}, fromKey: place.key, ...page })).map(({ key }) => key);
      expect(keys).toEqual([other.key, place.key]);
    }),
  );

  it(
    "refuses what no storage could keep, and names it",
    withStore(async ({ store: { records } }) => {
      const value = json(1);
      const refused = (field: string) => ({ code: "INVALID_REQUEST", details: { field } });
      for (const bad of ["a\u0000b", "\ud800", "x".repeat(1_025)]) {
        for (const field of ["space", "owner", "collection", "key"] as const) {
          const place = { ...at("k"), [field]: bad };
          await expect(records.write({ ...place, value })).rejects.toMatchObject(refused(field));
          await expect(records.writeAll([{ ...place, value }])).rejects.toMatchObject(refused(field));
          await expect(records.get(place)).rejects.toMatchObject(refused(field));
          await expect(records.remove(place)).rejects.toMatchObject(refused(field));
          await expect(records.changes({ ...place, after: 0, limit: 1 })).rejects.toMatchObject(refused(field));
        }
        await expect(records.count({ ...PLACE, owner: bad })).rejects.toMatchObject(refused("owner"));
        await expect(records.removeCollection({ ...PLACE, collection: bad })).rejects.toMatchObject(
          refused("collection"),
        );
        await expect(records.write({ ...at("k"), value, labels: { [bad]: "" } })).rejects.toMatchObject(
          refused("labels"),
        );
        await expect(records.write({ ...at("k"), value, labels: { a: bad } })).rejects.toMatchObject(refused("labels"));
      }
      await expect(records.count({ ...PLACE, fromKey: "\u0000" })).rejects.toMatchObject(refused("fromKey"));
      await expect(records.count({ ...PLACE, toKey: "x".repeat(2_049) })).rejects.toMatchObject(refused("toKey"));
      await expect(records.get(at(""))).rejects.toMatchObject(refused("key"));
      await expect(records.get({ ...at("k"), space: "" })).rejects.toMatchObject(refused("space"));
      for (const expected of [-1, 0.5, Number.NaN, 2 ** 60]) {
        await expect(records.write({ ...at("k"), value, expected })).rejects.toMatchObject(refused("expected"));
        await expect(records.remove({ ...at("k"), expected })).rejects.toMatchObject(refused("expected"));
      }
      for (const ttlMs of [-1, 0.5, Number.NaN, Infinity, 1e15]) {
        await expect(records.write({ ...at("k"), value, ttlMs })).rejects.toMatchObject(refused("ttlMs"));
      }
      await expect(records.write({ ...at("k"), value, tracked: true, disposable: true })).rejects.toMatchObject(
        refused("disposable"),
      );
      const labels = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`l${n}`, ""]));
      await expect(records.write({ ...at("k"), value, labels })).rejects.toMatchObject(refused("labels"));
      expect(await records.count({ space: PLACE.space, owner: PLACE.owner })).toBe(0);
    }),
  );
}
