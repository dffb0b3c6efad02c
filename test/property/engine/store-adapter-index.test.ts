import { Embeddings } from "@langchain/core/embeddings";
import { AsyncBatchedStore, type BaseStore, InMemoryStore, type Operation } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIndexedItems } from "../../../src/embeddings/indexed-items.js";
import { createStoreAdapter } from "../../../src/engine/store-adapter.js";
import { createMemoryItems } from "../../../src/stores/memory/items.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { letterIndex, letters } from "../../unit/embeddings/letter-model.js";

const FIELDS = ["text", "parts[*].t"];

class Letters extends Embeddings {
  constructor() {
    super({});
  }
  override embedDocuments = async (texts: string[]): Promise<number[][]> => texts.map(letters);
  override embedQuery = async (text: string): Promise<number[]> => letters(text);
}

function open() {
  const clock = fakeClock();
  const index = letterIndex(FIELDS);
  const items = createIndexedItems({ items: createMemoryItems(clock, { dims: 26 }), index });
  const model = new InMemoryStore({ index: { dims: 26, embeddings: new Letters(), fields: FIELDS } });
  return { clock, index, model, store: createStoreAdapter({ items }) as BaseStore & Extended };
}

/** What ours takes beyond LangGraph's. */
interface Extended {
  put(namespace: string[], key: string, value: object, options?: object): Promise<void>;
  get(namespace: string[], key: string, options?: { refreshTtl?: boolean }): ReturnType<BaseStore["get"]>;
}

const word = fc.constantFrom("cat", "act", "cart", "dog", "god", "zebra");
const value = fc.record(
  { text: word, parts: fc.array(fc.record({ t: word }, { noNullPrototype: true }), { maxLength: 2 }), n: fc.nat(3) },
  { requiredKeys: [], noNullPrototype: true },
);
const put = fc.record(
  {
    namespace: fc.constantFrom<string[]>(["a"], ["a", "b"], ["c"]),
    key: fc.constantFrom("1", "2", "3"),
    value: fc.oneof({ weight: 5, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) }),
    index: fc.constantFrom(undefined, undefined, false as const, ["n"], ["parts[0].t"]),
  },
  { noNullPrototype: true },
);

describe("the store adapter with an index against LangGraph's InMemoryStore", () => {
  it("finds the same items with the same scores", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(put, { maxLength: 8 }),
        word,
        fc.constantFrom({}, { n: 1 }),
        async (puts, query, filter) => {
          const { store, model } = open();
          for (const { index, ...one } of puts) {
            const operation = [{ ...one, ...(index === undefined ? {} : { index }) }] as Operation[];
            await store.batch(operation);
            // InMemoryStore keeps the vectors of what is deleted, and of a put without an index: what is put anew begins anew.
            await model.batch([{ namespace: one.namespace, key: one.key, value: null }]);
            (model as unknown as { vectors: Map<string, Map<string, unknown>> }).vectors
              .get(one.namespace.join(":"))
              ?.delete(one.key);
            await model.batch(operation);
          }
          const seen = async (searched: BaseStore) =>
            (await searched.search(["a"], { query, filter, limit: 1_000 }))
              // InMemoryStore fills a page with items that have no vector; ours are not near to anything.
              .filter(({ score }) => score !== undefined)
              .map(({ namespace, key, score }) => `${score?.toFixed(4)} ${namespace.join("/")} ${key}`)
              .sort();
          expect(await seen(store)).toEqual(await seen(model));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("returns the nearest first, in pages", async () => {
    const { store } = open();
    for (const text of ["dog", "cat", "cart"]) await store.put(["a"], text, { text });
    expect((await store.search(["a"], { query: "act" })).map(({ key }) => key)).toEqual(["cat", "cart", "dog"]);
    expect((await store.search(["a"], { query: "act", limit: 1, offset: 1 })).map(({ key }) => key)).toEqual(["cart"]);
    expect((await store.search(["a"]))[0]?.score).toBeUndefined();
  });

  it("embeds all puts of a batch in one call, and stores none of them when it fails", async () => {
    const { store, index } = open();
    const batched = new AsyncBatchedStore(store);
    batched.start();
    await Promise.all(["1", "2", "3"].map((key) => batched.put(["a"], key, { text: `cat ${key}` })));
    expect(index.calls).toEqual([["cat 1", "cat 2", "cat 3"]]);
    index.refused.add("bad");
    const settled = await Promise.allSettled([
      batched.put(["a"], "1", { text: "new" }),
      batched.put(["a"], "2", { text: "bad" }),
    ]);
    await batched.stop();
    expect(settled.map((one) => one.status === "rejected" && (one.reason as { code: string }).code)).toEqual([
      "EMBEDDING_FAILED",
      "EMBEDDING_FAILED",
    ]);
    expect((await store.get(["a"], "1"))?.value).toEqual({ text: "cat 1" });
  });

  it("takes times to live, which LangGraph.js has no word for", async () => {
    const { store, clock } = open();
    await store.put(["a"], "k", { text: "cat" }, { ttl: 1, index: ["text"] });
    await store.batch([{ namespace: ["a"], key: "never", value: {}, ttl: null } as Operation]);
    clock.advance(40_000);
    expect(await store.get(["a"], "k", { refreshTtl: true })).not.toBeNull();
    clock.advance(40_000);
    expect(await store.get(["a"], "k", { refreshTtl: false })).not.toBeNull();
    clock.advance(40_000);
    expect(await store.get(["a"], "k")).toBeNull();
    expect(await store.get(["a"], "never")).not.toBeNull();
  });

  it("takes labels that LangGraph's own checks refuse, but no periods, and says how to be rid of them", async () => {
    const { store } = open();
    for (const label of ["a:b", "langgraph", "*", "ü 😀", "%2E"]) {
      await store.put([label], "k", { label });
      expect((await store.get([label], "k"))?.value).toEqual({ label });
    }
    await expect(store.put(["ann@example.com"], "k", {})).rejects.toThrow(/ann@example%2Ecom/);
    await expect(store.put([5 as never], "k", {})).rejects.toThrow(/labels must be strings, not number/);
  });
});
