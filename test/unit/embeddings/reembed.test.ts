import { describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../../src/core/auth.js";
import { createIndexedItems } from "../../../src/embeddings/indexed-items.js";
import { createReembedding } from "../../../src/embeddings/reembed.js";
import { createItemReembedder } from "../../../src/runtime/reembed-items.js";
import { createMemoryItems } from "../../../src/stores/memory/items.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { letterIndex } from "./letter-model.js";

const SEARCH = { namespacePrefix: [], limit: 10, offset: 0, access: ALL_ROWS };
const turns = async (): Promise<void> => {
  for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** 150 items put without an index, or with another one: two rounds. */
async function open() {
  const clock = fakeClock();
  const items = createMemoryItems(clock, { dims: 26 });
  const put = (key: string, text: string, more: { index?: false | string[]; ttlMs?: number } = {}) => ({
    namespace: ["a"],
    key,
    value: { text, title: "dog" },
    access: ALL_ROWS,
    ...more,
  });
  const others = Array.from({ length: 147 }, (_, i) => put(`k${i}`, "zzz"));
  await createIndexedItems({ items }).putAll([...others, put("cat", "cat"), put("off", "cat", { index: false })]);
  await createIndexedItems({ items, index: letterIndex(["text"], "old") }).putAll([
    put("named", "cat", { index: ["title"], ttlMs: 60_000 }),
  ]);
  const index = letterIndex(["text"], "new");
  const logged: string[] = [];
  const log = (_: object, message: string) => void logged.push(message);
  const logger = { debug: log, info: log, warn: log, error: log };
  const reembedding = createReembedding({ items, index, logger });
  const claims: number[] = [];
  const holder = { isFree: true };
  const chores = {
    claim: async ({ leaseMs }: { readonly leaseMs: number }) => {
      claims.push(leaseMs);
      return holder.isFree;
    },
  };
  const reembedder = createItemReembedder({ reembedding, chores, workerId: "w", clock, logger });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turns();
  };
  const stale = async () =>
    (await items.scan({ ...SEARCH, staleFor: "new", limit: 1_000, after: null })).items.map(({ item }) => item.key);
  return {
    items,
    index,
    indexed: createIndexedItems({ items, index }),
    reembedder,
    pass,
    stale,
    claims,
    holder,
    logged,
  };
}

const late = { namespace: ["a"], key: "late", value: { text: "late" }, access: ALL_ROWS };

describe("another index", () => {
  it("has every item embedded anew, as its put wanted it, and as if nobody had touched it", async () => {
    const { items, indexed, reembedder, pass, stale, claims, logged } = await open();
    expect(await stale()).toHaveLength(150);
    const before = await items.search({ ...SEARCH, limit: 1_000 });
    reembedder.start();
    await pass(0);
    await pass(50);
    expect(await stale()).toEqual([]);
    expect(claims.at(-1)).toBe(0);
    expect(logged.at(-1)).toMatch(/embedded anew/);
    expect((await indexed.search({ ...SEARCH, limit: 1, query: "cat" })).map(({ key }) => key)).toEqual(["cat"]);
    expect((await indexed.search({ ...SEARCH, limit: 1, query: "dog" })).map(({ key }) => key)).toEqual(["named"]);
    expect(await items.search({ ...SEARCH, limit: 1_000 })).toEqual(before);
    // A process that this one replaces goes on for a while.
    await createIndexedItems({ items, index: letterIndex(["text"], "old") }).putAll([late]);
    expect(await stale()).toEqual(["late"]);
    expect((await indexed.search({ ...SEARCH, query: "late" })).map(({ key }) => key)).not.toContain("late");
    await pass(600_000);
    expect(await stale()).toEqual([]);
    const calls = claims.length;
    await pass(3_600_000);
    expect(claims).toHaveLength(calls);
    await reembedder.stop();
  });

  it("leaves alone what another process is at, until that one is gone", async () => {
    const { reembedder, pass, stale, holder } = await open();
    holder.isFree = false;
    reembedder.start();
    await pass(0);
    expect(await stale()).toHaveLength(150);
    holder.isFree = true;
    await pass(60_000);
    await pass(50);
    expect(await stale()).toEqual([]);
    await reembedder.stop();
  });

  it("goes past an item that the model refuses", async () => {
    const { index, reembedder, pass, stale, logged } = await open();
    index.refused.add("cat");
    reembedder.start();
    await pass(0);
    await pass(50);
    expect(await stale()).toEqual(["cat"]);
    expect(logged).toContain("an item could not be embedded anew");
    await reembedder.stop();
  });

  it("tries again what failed while the rest did not, as by a limit of calls, and gives up in the end", async () => {
    const { items, index, reembedder, pass, stale, claims } = await open();
    await createIndexedItems({ items }).putAll([late]);
    index.refused.add("cat").add("late");
    reembedder.start();
    await pass(0);
    await pass(50);
    expect((await stale()).sort()).toEqual(["cat", "late"]);
    index.refused.delete("cat");
    await pass(60_000);
    expect(await stale()).toEqual(["late"]);
    for (let passes = 0; passes < 15; passes += 1) await pass(600_000);
    const [tried, calls] = [index.calls.length, claims.length];
    await pass(3_600_000);
    expect([index.calls.length, claims.length]).toEqual([tried, calls]);
    await reembedder.stop();
  });

  it("asks a model that hangs or is away only some times, and few at once", async () => {
    const clock = fakeClock();
    const items = createMemoryItems(clock, { dims: 26 });
    const puts = Array.from({ length: 100 }, (_, n) => ({ ...late, key: `k${n}`, value: { text: `t${n}` } }));
    await createIndexedItems({ items }).putAll(puts);
    const index = letterIndex(["text"], "new");
    for (const { value } of puts) index.refused.add(value.text);
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const reembedding = createReembedding({ items, index, logger });
    await expect(reembedding.round()).rejects.toMatchObject({ code: "EMBEDDING_FAILED" });
    // Two calls for all of them, then one for each.
    expect(index.calls).toHaveLength(2 + 12);
  });

  it("goes past items that have too much text, also where there are no others", async () => {
    const clock = fakeClock();
    const items = createMemoryItems(clock, { dims: 26 });
    const value = { text: "x".repeat(1_000_001) };
    await createIndexedItems({ items }).putAll([{ namespace: ["a"], key: "large", value, access: ALL_ROWS }]);
    const warned: object[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (fields: object) => void warned.push(fields) };
    const reembedding = createReembedding({ items, index: letterIndex(["text"], "new"), logger });
    expect(await reembedding.round()).toEqual({ embedded: 0, hasMore: false });
    expect(warned).toMatchObject([{ namespace: ["a"], key: "large" }]);
  });

  it("waits for a model that is away", async () => {
    const { index, reembedder, pass, stale } = await open();
    for (const text of ["cat", "dog", "zzz"]) index.refused.add(text);
    reembedder.start();
    await pass(0);
    expect(await stale()).not.toHaveLength(0);
    index.refused.clear();
    await pass(60_000);
    await pass(50);
    expect(await stale()).toEqual([]);
    await reembedder.stop();
  });
});
