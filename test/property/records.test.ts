import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { asJsonText } from "../../src/core/json.js";
import { CHANGES_KEPT_MS, type RecordStore, type RecordWrite, TOMBSTONES_KEPT_MS } from "../../src/core/record.js";
import { sealedMetadataStore } from "../../src/encryption/sealed-metadata-store.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { STORES } from "../contract/store-factories.js";
import { cipherOf } from "../support/cipher.js";
import { RecordModel, utf8 } from "./record-model.js";

// FerretDB 1.24, on which MongoDB is tested, has no indexes but of `_id`.
vi.setConfig({ testTimeout: 240_000 });

// Few places, so that a record is met again, and lives that overlap.
const space = fc.constantFrom("s", "s", "s", "t");
const owner = fc.constantFrom("o", "o", "o", "");
const collection = fc.constantFrom("c", "c", "");
const key = fc.constantFrom("k", "\uffee", "😀", "k\u0001");
const place = fc.record({ space, owner, collection, key });
const label = fc.constantFrom("x", "y");
const labels = fc.dictionary(fc.constantFrom("a", "b"), label, { maxKeys: 2, noNullPrototype: true });
const value = fc.constantFrom('{"n":1}', "1.0", "null", '"\\u0000"').map(asJsonText);
const expected = fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined, freq: 1 });
const ttlMs = fc.constantFrom(null, null, 0, 5, 20);
const kept = fc.constantFrom({}, { tracked: true }, { tracked: true }, { disposable: true }, { disposable: true });

const write = fc
  .tuple(place, fc.record({ value, labels, ttlMs }), expected, kept)
  .map(([at, content, version, keeps]): RecordWrite =>
    Object.assign({}, at, content, version === undefined ? {} : { expected: version }, keeps),
  );
const operation = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("write" as const), write }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("writeAll" as const), writes: fc.array(write, { maxLength: 4 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("remove" as const), place, expected, tracked: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("list" as const),
      query: fc.record(
        { space, owner, collection, labels, fromKey: key, toKey: key },
        { requiredKeys: ["space", "owner"], noNullPrototype: true },
      ),
      order: fc.constantFrom("created" as const, "updated" as const, "key" as const),
      direction: fc.constantFrom("asc" as const, "desc" as const),
      limit: fc.integer({ min: 0, max: 4 }),
      offset: fc.integer({ min: 0, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("removeCollection" as const), place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("look" as const), place, after: fc.nat({ max: 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("sweep" as const),
      limit: fc.integer({ min: 1, max: 3 }),
      except: fc.constantFrom([], [], ["s"]),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** What the store says, and what it should say. */
interface Said {
  readonly found: unknown;
  readonly expected: unknown;
}

async function step(store: RecordStore, model: RecordModel, now: number, op: Operation): Promise<Said> {
  switch (op.kind) {
    case "write":
      return { found: await store.write(op.write), expected: model.write(now, op.write) };
    case "writeAll":
      return { found: await store.writeAll(op.writes), expected: writeAll(model, now, op.writes) };
    case "remove": {
      const params = {
        ...op.place,
        tracked: op.tracked,
        ...(op.expected !== undefined && { expected: op.expected }),
      };
      return { found: await store.remove(params), expected: model.remove(now, params) };
    }
    case "list":
      return list(store, model, now, op);
    case "removeCollection":
      return {
        found: await store.removeCollection({
          space: op.place.space,
          owner: op.place.owner,
          collection: op.place.collection,
        }),
        expected: model.removeCollection(now, op.place),
      };
    case "look":
      return {
        found: [
          await store.get(op.place),
          await store.version(op.place),
          await store.changes({ ...op.place, after: op.after, limit: 50 }),
        ],
        expected: [model.get(now, op.place), model.version(op.place), model.changes(op.place, op.after)],
      };
    default:
      return sweep(store, model, now, op);
  }
}

function writeAll(
  model: RecordModel,
  now: number,
  writes: readonly RecordWrite[],
): Awaited<ReturnType<RecordStore["writeAll"]>> {
  const undo = model.snapshot();
  const records = [];
  for (const [index, each] of writes.entries()) {
    const outcome = model.write(now, each);
    if (outcome.kind === "conflict") {
      undo();
      return { ...outcome, index };
    }
    records.push(outcome.record);
  }
  return { kind: "written", records };
}

async function list(
  store: RecordStore,
  model: RecordModel,
  now: number,
  { query, order, direction, limit, offset }: Extract<Operation, { kind: "list" }>,
): Promise<Said> {
  const all = model.list(now, query).toSorted((a, b) => {
    const first = {
      created: a.born - b.born,
      updated: a.record.updatedAt - b.record.updatedAt,
      key: utf8(a.record.key, b.record.key),
    }[order];
    return first || utf8(a.record.collection, b.record.collection) || utf8(a.record.key, b.record.key);
  });
  const inOrder = direction === "asc" ? all : all.toReversed();
  return {
    found: [await store.list({ ...query, order, direction, limit, offset }), await store.count(query)],
    expected: [inOrder.slice(offset, offset + limit).map(({ record }) => record), all.length],
  };
}

/** Of records that expired in the same millisecond any may go first. */
async function sweep(
  store: RecordStore,
  model: RecordModel,
  now: number,
  { limit, except }: Extract<Operation, { kind: "sweep" }>,
): Promise<Said> {
  const due = model.expired(now, except);
  const found = await store.sweepExpired({ limit, except });
  const times = found.map((one) => due.find(({ place: at }) => JSON.stringify(at) === JSON.stringify(one))?.expiresAt);
  model.swept(now, found);
  return { found: times, expected: due.slice(0, limit).map(({ expiresAt }) => expiresAt) };
}

describe("records are what their model is", () => {
  for (const { name, open } of STORES) {
    for (const isSealed of name === "SQLite file" ? [false, true] : [false]) {
      it(`${name}${isSealed ? ", encrypted" : ""}`, async () => {
        const numRuns = name === "memory" ? 200 : name === "MongoDB" ? 3 : 30;
        // Times that matter: the same millisecond, a few, and as long as what is remembered.
        const pause = fc.oneof(
          { weight: 20, arbitrary: fc.constantFrom(0, 0, 1, 3, 7) },
          { weight: 1, arbitrary: fc.constantFrom(CHANGES_KEPT_MS, TOMBSTONES_KEPT_MS) },
        );
        const property = fc.asyncProperty(
          fc.array(fc.tuple(operation, pause), { minLength: 20, maxLength: 80 }),
          async (operations) => {
            const clock = fakeClock();
            const { metadata, close } = await open(clock);
            try {
              const store = isSealed ? sealedMetadataStore(metadata, cipherOf(), { warn: () => {} }) : metadata;
              const model = new RecordModel();
              for (const [op, pauseMs] of operations) {
                clock.advance(pauseMs);
                const { found, expected: said } = await step(store.records, model, clock.now(), op);
                expect(found, JSON.stringify(op)).toEqual(said);
              }
            } finally {
              await close();
            }
          },
        );
        await fc.assert(property, { numRuns, endOnFailure: name !== "memory" });
      });
    }
  }
});
