import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../../src/core/json.js";
import { sealedItemStore } from "../../src/encryption/sealed-item-store.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { ITEM_DIMS } from "../../src/testing/stores/item-store-vectors.js";
import { STORES } from "../contract/store-factories.js";
import { cipherOf } from "../support/cipher.js";
import { ItemModel } from "./item-model.js";

// FerretDB 1.24, on which MongoDB is tested, has no indexes but of `_id`.
vi.setConfig({ testTimeout: 240_000 });

const access = { kind: "all" } as const;
const label = fc.constantFrom("a", "b", "c");
const labels = fc.array(label, { minLength: 1, maxLength: 3 });
const pattern = fc.array(fc.constantFrom("a", "b", "*"), { maxLength: 3 });
const key = fc.constantFrom("k", "l", "m");
const scalar = fc.constantFrom<(string | number | boolean | null)[]>(0, 1, 2, 10, "1", "10", "x", "", true, null);
const stored = fc.oneof(scalar, fc.constantFrom<JsonObject[string][]>([1], [1, "x"], { n: 1 }, { n: [1] }));
const value = fc.dictionary(fc.constantFrom("f", "g"), stored, { maxKeys: 2 });
const operators = fc.oneof(
  fc.record({ $eq: stored }),
  fc.record({ $ne: stored }),
  fc.record({ $in: fc.array(scalar, { maxLength: 3 }) }),
  fc.record({ $nin: fc.array(scalar, { maxLength: 3 }) }),
  fc.record({ $gt: scalar }),
  fc.record({ $gte: scalar, $lt: scalar }),
  fc.record({ $lte: scalar }),
);
const filter = fc.dictionary(fc.constantFrom("f", "g"), fc.oneof(stored, operators), { maxKeys: 2 });
const vector = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: ITEM_DIMS, maxLength: ITEM_DIMS });
const ttlMs = fc.constantFrom(null, null, 5, 20, 50);

const operation = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      namespace: labels,
      key,
      value,
      ttlMs,
      vectors: fc.array(vector, { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), namespace: labels, key }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("get" as const), namespace: labels, key, refreshTtl: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("search" as const),
      namespacePrefix: fc.array(label, { maxLength: 2 }),
      filter,
      nearest: fc.option(vector, { nil: undefined }),
      limit: fc.integer({ min: 1, max: 5 }),
      offset: fc.integer({ min: 0, max: 3 }),
      refreshTtl: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("namespaces" as const),
      prefix: pattern,
      suffix: pattern,
      maxDepth: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      limit: fc.integer({ min: 1, max: 5 }),
      offset: fc.integer({ min: 0, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const), limit: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("scan" as const), limit: fc.integer({ min: 1, max: 4 }) }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

type Opened = Awaited<ReturnType<(typeof STORES)[number]["open"]>>["items"];

/** Do the same to store and model, and compare what they say. */
async function step(store: Opened, model: ItemModel, now: number, op: Operation): Promise<void> {
  switch (op.kind) {
    case "put": {
      const vectors = op.vectors.map((values, n) => ({ path: `p${n}`, values: Float32Array.from(values) }));
      const { namespace, key: itemKey, value: given } = op;
      await store.put({ namespace, key: itemKey, value: given, access, ttlMs: op.ttlMs, vectors });
      model.put(now, op);
      return;
    }
    case "delete":
      await store.delete({ namespace: op.namespace, key: op.key, access });
      model.delete(op);
      return;
    case "get": {
      const { namespace, key: itemKey, refreshTtl } = op;
      const expected = model
        .live(now)
        .find((item) => item.key === itemKey && item.namespace.join() === namespace.join());
      const found = await store.get({ namespace, key: itemKey, access, refreshTtl });
      if (expected === undefined) expect(found).toEqual({ kind: "missing" });
      else {
        const { value: stored, createdAt, updatedAt } = expected;
        expect(found).toEqual({
          kind: "found",
          item: { namespace, key: itemKey, value: stored, createdAt, updatedAt },
        });
        if (refreshTtl) model.refresh(now, [expected]);
      }
      return;
    }
    case "search": {
      const { nearest, limit, offset, refreshTtl, ...query } = op;
      const all = model.search(now, { ...query, nearest });
      const found = await store.search({
        ...query,
        limit,
        offset,
        access,
        // Items of one score may come in any order: which of them are refreshed is not to be known.
        refreshTtl: refreshTtl && nearest === undefined,
        ...(nearest && { nearest: Float32Array.from(nearest) }),
      });
      const expected = all.slice(offset, offset + limit);
      if (nearest === undefined) {
        expect(found.map(placed)).toEqual(expected.map(placed));
        if (refreshTtl) model.refresh(now, expected);
        return;
      }
      expect(found).toHaveLength(expected.length);
      for (const [n, item] of found.entries()) expect(item.score).toBeCloseTo(expected[n]?.score ?? Number.NaN, 5);
      for (const item of found) {
        const same = all.find((other) => JSON.stringify(placed(other)) === JSON.stringify(placed(item)));
        expect(item.score).toBeCloseTo(same?.score ?? Number.NaN, 5);
      }
      return;
    }
    case "namespaces": {
      const { prefix, suffix, maxDepth, limit, offset } = op;
      const depth = maxDepth === undefined ? {} : { maxDepth };
      const found = await store.listNamespaces({ prefix, suffix, ...depth, limit, offset, access });
      expect(found).toEqual(model.namespaces(now, { prefix, suffix, ...depth }).slice(offset, offset + limit));
      return;
    }
    case "sweep":
      expect(await store.sweepExpired({ limit: op.limit })).toBe(model.sweep(now, op.limit));
      return;
    case "scan": {
      const found: string[] = [];
      let after: string | null = null;
      do {
        const page: Awaited<ReturnType<Opened["scan"]>> = await store.scan({
          namespacePrefix: [],
          limit: op.limit,
          after,
          access,
        });
        found.push(...page.items.map(({ item }) => JSON.stringify(placed(item))));
        after = page.next;
      } while (after !== null);
      expect(found.sort()).toEqual(
        model
          .live(now)
          .map((item) => JSON.stringify(placed(item)))
          .sort(),
      );
    }
  }
}

const placed = ({
  namespace,
  key: itemKey,
  value: stored,
  createdAt,
  updatedAt,
}: {
  namespace: readonly string[];
  key: string;
  value: object;
  createdAt: number;
  updatedAt: number;
}) => ({
  namespace,
  key: itemKey,
  value: Object.fromEntries(Object.entries(stored).sort(([a], [b]) => (a < b ? -1 : 1))),
  createdAt,
  updatedAt,
});

describe("the long-term store is what its model is", () => {
  const cipher = cipherOf(undefined, { clearItemFields: ["f", "g"] });
  for (const { name, open } of STORES) {
    for (const isSealed of name === "memory" || name === "SQLite file" ? [false, true] : [false]) {
      it(`${name}${isSealed ? ", encrypted" : ""}`, async () => {
        const numRuns = name === "memory" ? 100 : name === "MongoDB" ? 3 : 25;
        const property = fc.asyncProperty(
          fc.array(fc.tuple(operation, fc.integer({ min: 1, max: 9 })), { minLength: 10, maxLength: 60 }),
          async (operations) => {
            const clock = fakeClock();
            const { items, close } = await open(clock);
            const store = isSealed ? sealedItemStore(items, cipher, { dims: ITEM_DIMS }) : items;
            const model = new ItemModel();
            try {
              for (const [op, passesMs] of operations) {
                await step(store, model, clock.now(), op);
                // Two writes never share a time, in which their order would be the storage's own.
                clock.advance(passesMs);
              }
            } finally {
              await close();
            }
          },
        );
        await fc.assert(property, { numRuns });
      });
    }
  }
});
