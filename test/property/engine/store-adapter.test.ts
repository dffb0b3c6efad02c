import { AsyncBatchedStore, InMemoryStore, type Operation } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIndexedItems } from "../../../src/embeddings/indexed-items.js";
import { createStoreAdapter } from "../../../src/engine/store-adapter.js";
import { createMemoryItems } from "../../../src/stores/memory/items.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const open = (onNotice: (message: string) => void = () => {}) => {
  const clock = fakeClock();
  const store = createStoreAdapter({ items: createIndexedItems({ items: createMemoryItems(clock) }), onNotice });
  return { clock, store };
};

const labels = fc.constantFrom("a", "ab", "b", "user", "ü");
const namespaces = fc.array(labels, { minLength: 1, maxLength: 3 });
const keys = fc.constantFrom("k1", "k2", "k:3", "");
const scalar = fc.constantFrom(0, 1, 2, 10, "1", "x", true, null, -1.5);
const values = fc.dictionary(fc.constantFrom("n", "tag", "a.b", "$x"), scalar, { maxKeys: 3, noNullPrototype: true });
const operators = fc.dictionary(
  fc.constantFrom("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"),
  fc.constantFrom(0, 1, 2, "1", -1.5),
  { maxKeys: 2, noNullPrototype: true },
);
const lists = fc.dictionary(fc.constantFrom("$in", "$nin"), fc.array(scalar, { maxLength: 3 }), {
  maxKeys: 2,
  noNullPrototype: true,
});
const filter = fc.dictionary(fc.constantFrom("n", "tag"), fc.oneof(scalar, operators, lists), {
  maxKeys: 2,
  noNullPrototype: true,
});
const pattern = fc.array(fc.oneof(labels, fc.constant("*")), { minLength: 1, maxLength: 3 });
const conditions = fc.array(
  fc.record(
    { matchType: fc.constantFrom("prefix" as const, "suffix" as const), path: pattern },
    { noNullPrototype: true },
  ),
  { maxLength: 3 },
);
const operations = fc.oneof(
  { arbitrary: fc.record({ namespace: namespaces, key: keys, value: values }, { noNullPrototype: true }), weight: 4 },
  fc.record({ namespace: namespaces, key: keys, value: fc.constant(null) }, { noNullPrototype: true }),
  fc.record({ namespace: namespaces, key: keys }, { noNullPrototype: true }),
  fc.record(
    {
      namespacePrefix: fc.array(labels, { maxLength: 2 }),
      filter,
      limit: fc.constant(1000),
      query: fc.constantFrom(undefined, "text"),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      matchConditions: conditions,
      maxDepth: fc.constantFrom(undefined, 1, 2),
      limit: fc.constant(1000),
      offset: fc.constant(0),
    },
    { noNullPrototype: true },
  ),
) as fc.Arbitrary<Operation>;

/** Without what may differ: times, order, and namespaces that only InMemoryStore remembers. */
function comparable(result: unknown): unknown {
  const one = (item: unknown): unknown =>
    typeof item === "object" && item !== null && "createdAt" in item
      ? { ...item, createdAt: item.createdAt instanceof Date, updatedAt: "updatedAt" in item }
      : item;
  if (!Array.isArray(result)) return one(result);
  return result.map((item) => JSON.stringify(one(item))).sort();
}

/** A filter on a number against text that spells none: InMemoryStore makes numbers of `null` and of booleans. */
const coerces = (operation: Operation): boolean =>
  "filter" in operation && /\$[gl]te?/.test(JSON.stringify(operation.filter));

describe("the store adapter against LangGraph's InMemoryStore", () => {
  it("gives the same results for random batches", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(operations, { minLength: 1, maxLength: 5 }), { maxLength: 8 }),
        async (batches) => {
          const { store } = open();
          const model = new InMemoryStore();
          // Reads are compared with a copy of the model from before the batch: InMemoryStore lists namespaces whose last
          // item is gone, and hands out its own items, which a put of the same batch then changes (checkpoint 1.2.2).
          let live = new InMemoryStore();
          for (const batch of batches) {
            const found = (await store.batch(batch)) as readonly unknown[];
            const expected = (await model.batch(batch)) as readonly unknown[];
            for (const [at, each] of batch.entries()) {
              if (coerces(each)) continue;
              const wanted: unknown = "value" in each ? expected[at] : (await live.batch([each]))[0];
              expect(comparable(found[at])).toEqual(comparable(wanted));
            }
            live = new InMemoryStore();
            await live.batch(
              (await model.search([], { limit: 1000 })).map(({ namespace, key, value }) => ({ namespace, key, value })),
            );
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("sees the state before its own puts in a batch, and the last of two puts of one key", async () => {
    const { store } = open();
    const at = { namespace: ["a"], key: "k" };
    const [before] = await store.batch([at, { ...at, value: { n: 1 } }, { ...at, value: { n: 2 } }] as const);
    expect(before).toBeNull();
    expect((await store.get(["a"], "k"))?.value).toEqual({ n: 2 });
  });

  it("returns the most recently updated first, in pages, without a score", async () => {
    const { store, clock } = open();
    for (const name of ["x", "y", "z"]) {
      await store.put(["a"], name, { name });
      clock.advance(5);
    }
    await store.put(["a"], "x", { name: "again" });
    const found = await store.search(["a"], { limit: 2 });
    expect(found.map((item) => item.key)).toEqual(["x", "z"]);
    expect(found[0]?.score).toBeUndefined();
    expect(found[0]?.createdAt.getTime()).toBe((found[0]?.updatedAt.getTime() ?? 0) - 15);
    expect((await store.search(["a"], { limit: 2, offset: 2 })).map((item) => item.key)).toEqual(["y"]);
  });

  it("gives copies", async () => {
    const { store } = open();
    const sent = { list: [1] };
    await store.put(["a"], "k", sent);
    sent.list.push(2);
    const first = await store.get(["a"], "k");
    (first?.value["list"] as number[] | undefined)?.push(3);
    expect((await store.get(["a"], "k"))?.value).toEqual({ list: [1] });
  });

  it("never mixes namespaces that begin alike", async () => {
    const { store } = open();
    await store.put(["a"], "k", { n: 1 });
    await store.put(["ab"], "k", { n: 2 });
    expect((await store.search(["a"])).map((item) => item.namespace)).toEqual([["a"]]);
  });

  it("says once that there is no index, and refuses what it can't do", async () => {
    const notices: string[] = [];
    const { store } = open((message) => notices.push(message));
    await store.put(["a"], "k", { text: "hello" }, ["text"]);
    expect(await store.search(["a"], { query: "hello" })).toHaveLength(1);
    expect(notices).toEqual([`The long-term store has no vector index (store.index): "index" of put has no effect.`]);
    const refused = (operation: object) => store.batch([operation as Operation]);
    await expect(refused({ namespace: ["a"], key: "k", value: {}, ttl: 0 })).rejects.toThrow(/ttl must be minutes/);
    await expect(refused({ namespace: ["a"], key: "k", value: [1] })).rejects.toThrow(/must be an object/);
    await expect(refused({ namespace: ["a"], key: 1, value: {} })).rejects.toThrow(/key must be a string/);
    await expect(refused({ namespace: [], key: "k", value: {} })).rejects.toThrow(/Namespace is required/);
    await expect(store.put(["a.b"], "k", {})).rejects.toThrow(/periods/);
  });

  it("works behind AsyncBatchedStore, as Pregel wraps it", async () => {
    const batched = new AsyncBatchedStore(open().store);
    batched.start();
    await Promise.all([batched.put(["a"], "k1", { n: 1 }), batched.put(["a"], "k2", { n: 2 })]);
    const [one, all] = await Promise.all([
      batched.get(["a"], "k1"),
      batched.search(["a"], { filter: { n: { $gte: 1 } } }),
    ]);
    await batched.stop();
    expect(one?.value).toEqual({ n: 1 });
    expect(all.map((item) => item.key).sort()).toEqual(["k1", "k2"]);
  });
});
