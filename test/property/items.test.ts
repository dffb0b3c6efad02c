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

/** What the store says, and what it should say. */
interface Said {
  readonly found: unknown;
  readonly expected: unknown;
}
type Of<Kind extends Operation["kind"]> = Extract<Operation, { readonly kind: Kind }>;
const NOTHING: Said = { found: null, expected: null };

/** Do the same to store and model. */
async function step(store: Opened, model: ItemModel, now: number, op: Operation): Promise<Said> {
  switch (op.kind) {
    case "put": {
      const vectors = op.vectors.map((values, n) => ({ path: `p${n}`, values: Float32Array.from(values) }));
      const { namespace, key: itemKey, value: given } = op;
      await store.put({ namespace, key: itemKey, value: given, access, ttlMs: op.ttlMs, vectors });
      model.put(now, op);
      return NOTHING;
    }
    case "delete":
      await store.delete({ namespace: op.namespace, key: op.key, access });
      model.delete(now, op);
      return NOTHING;
    case "get":
      return get(store, model, now, op);
    case "search":
      return op.nearest === undefined
        ? search(store, model, now, op)
        : searchNearest(store, model, now, { ...op, nearest: op.nearest });
    case "namespaces": {
      const { prefix, suffix, maxDepth, limit, offset } = op;
      const depth = maxDepth === undefined ? {} : { maxDepth };
      const found = await store.listNamespaces({ prefix, suffix, ...depth, limit, offset, access });
      return { found, expected: model.namespaces(now, { prefix, suffix, ...depth }).slice(offset, offset + limit) };
    }
    case "sweep":
      return { found: await store.sweepExpired({ limit: op.limit }), expected: model.sweep(now, op.limit) };
    default: {
      const found = await scan(store, op.limit);
      return { found: found.map(textOf).sort(), expected: model.live(now).map(textOf).sort() };
    }
  }
}

async function get(store: Opened, model: ItemModel, now: number, op: Of<"get">): Promise<Said> {
  const { namespace, key: itemKey, refreshTtl } = op;
  const found = await store.get({ namespace, key: itemKey, access, refreshTtl });
  const item = model.live(now).find((other) => other.key === itemKey && other.namespace.join() === namespace.join());
  if (item === undefined) return { found, expected: { kind: "missing" } };
  if (refreshTtl) model.refresh(now, [item]);
  const { value: given, createdAt, updatedAt } = item;
  return { found, expected: { kind: "found", item: { namespace, key: itemKey, value: given, createdAt, updatedAt } } };
}

async function search(store: Opened, model: ItemModel, now: number, op: Of<"search">): Promise<Said> {
  const { namespacePrefix, filter: where, limit, offset, refreshTtl } = op;
  const found = await store.search({ namespacePrefix, filter: where, limit, offset, access, refreshTtl });
  const expected = model.search(now, { namespacePrefix, filter: where }).slice(offset, offset + limit);
  if (refreshTtl) model.refresh(now, expected);
  return { found: found.map(placed), expected: expected.map(placed) };
}

/** Items of one score may come in any order: which of them are refreshed is not to be known, so none is. */
async function searchNearest(
  store: Opened,
  model: ItemModel,
  now: number,
  op: Of<"search"> & { readonly nearest: readonly number[] },
): Promise<Said> {
  const { namespacePrefix, filter: where, nearest, limit, offset } = op;
  const query = { namespacePrefix, filter: where, limit, offset, access, nearest: Float32Array.from(nearest) };
  const found = await store.search(query);
  const all = model.search(now, { namespacePrefix, filter: where, nearest });
  const own = found.map((item) => all.find((other) => textOf(other) === textOf(item))?.score);
  return {
    found: { scores: found.map(({ score }) => score), own: found.map(({ score }) => score) },
    expected: {
      scores: all.slice(offset, offset + limit).map(({ score }) => near(score)),
      // Each has the score that is its own.
      own: own.map(near),
    },
  };
}

const near = (score = Number.NaN): unknown => expect.closeTo(score, 5);

async function scan(store: Opened, limit: number): Promise<readonly Placed[]> {
  const found: Placed[] = [];
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<Opened["scan"]>> = await store.scan({ namespacePrefix: [], limit, after, access });
    found.push(...page.items.map(({ item }) => item));
    after = page.next;
  } while (after !== null);
  return found;
}

interface Placed {
  readonly namespace: readonly string[];
  readonly key: string;
  readonly value: object;
  readonly createdAt: number;
  readonly updatedAt: number;
}

function placed({ namespace, key: itemKey, value: given, createdAt, updatedAt }: Placed): Placed {
  const fields = Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1));
  return { namespace, key: itemKey, value: Object.fromEntries(fields), createdAt, updatedAt };
}

const textOf = (item: Placed): string => JSON.stringify(placed(item));

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
                const { found, expected } = await step(store, model, clock.now(), op);
                expect(found, JSON.stringify(op)).toEqual(expected);
                // Two writes never share a time, in which their order would be the storage's own.
                clock.advance(passesMs);
              }
            } finally {
              await close();
            }
          },
        );
        await expect(fc.assert(property, { numRuns })).resolves.toBeUndefined();
      });
    }
  }
});
