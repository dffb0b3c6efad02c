import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccessFilter } from "../../src/core/auth.js";
import type { JsonObject, JsonValue } from "../../src/core/json.js";
import { toJsonText } from "../../src/core/json.js";
import { isVisible, jsonContains } from "../../src/core/metadata-filter.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { ALL, newAssistant, uuid } from "../../src/testing/stores/suite.js";
import { STORES } from "../contract/store-factories.js";

const KEYS = ["a", "b", "a.b", "$eq", "$or", "$and", "__proto__", "constructor", "", "a\u0000", 'q"', "0", "ä"];

const key = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...KEYS) }, { weight: 1, arbitrary: fc.string() });
const scalar = fc.oneof(
  fc.constantFrom<JsonValue>(null, true, false, 0, 1, -1, 1.5, 1e21, "", "1", "x", "x\u0000", "null", "true", "\ud800"),
  fc.integer({ min: 0, max: 2 }),
  fc.string({ maxLength: 3 }),
);

/** Few keys and few values, so that filters often match. Objects come from JSON, where `__proto__` is a plain key. */
const { value } = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }),
    tie("object"),
  ),
  object: fc.array(fc.tuple(key, tie("value")), { maxLength: 3 }).map(toObject),
}));
const metadata = fc.array(fc.tuple(key, value), { maxLength: 4 }).map(toObject);

function toObject(entries: readonly (readonly [string, JsonValue])[]): JsonObject {
  const members = new Map(entries);
  return JSON.parse(
    `{${[...members].map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`,
  ) as JsonObject;
}

/** A filter that matches `stored`: some of its keys, with less in them. */
function part(stored: JsonValue): fc.Arbitrary<JsonValue> {
  if (Array.isArray(stored)) {
    const elements = stored as readonly JsonValue[];
    return elements.length === 0
      ? fc.constant([])
      : fc.array(fc.constantFrom(...elements).chain(part), { maxLength: 3 });
  }
  if (typeof stored !== "object" || stored === null) return fc.constant(stored);
  const entries = Object.entries(stored) as [string, JsonValue][];
  return fc
    .subarray(entries)
    .chain((kept) => fc.tuple(...kept.map(([k, v]) => fc.tuple(fc.constant(k), part(v)))))
    .map(toObject);
}

const condition: fc.Arbitrary<JsonObject> = fc.letrec<{ condition: JsonObject }>((tie) => ({
  condition: fc
    .array(
      fc.oneof(
        fc.tuple(key, value),
        fc.tuple(
          key,
          scalar.map((operand): JsonValue => ({ $eq: operand })),
        ),
        fc.tuple(
          key,
          value.map((operand): JsonValue => ({ $contains: operand })),
        ),
        fc.tuple(
          fc.constantFrom("$and", "$or"),
          fc.array(tie("condition"), { maxLength: 2, depthIdentifier: "condition" }),
        ),
      ),
      { maxLength: 2 },
    )
    .map((entries) => toObject(entries.filter(([k, v]) => (k !== "$and" && k !== "$or") || Array.isArray(v)))),
})).condition;

const world = fc.array(metadata, { minLength: 1, maxLength: 12 }).chain((rows) =>
  fc.record({
    rows: fc.constant(rows),
    filters: fc.array(
      fc.oneof(
        metadata,
        fc
          .constantFrom(...rows)
          .chain(part)
          .map((one) => one as JsonObject),
      ),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    conditions: fc.array(fc.oneof(condition, fc.constantFrom(...rows).map(scalarsOf)), { minLength: 1, maxLength: 4 }),
  }),
);

function scalarsOf(stored: JsonObject): JsonObject {
  return toObject(
    (Object.entries(stored) as [string, JsonValue][]).filter(
      ([k, v]) => !Array.isArray(v) && k !== "$and" && k !== "$or",
    ),
  );
}

describe("filters mean in every store what the core says", () => {
  for (const { name, open } of STORES) {
    it(`on ${name}`, { timeout: 120_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(world, async ({ rows, filters, conditions }) => {
          const { metadata: store, close } = await open(fakeClock());
          try {
            for (const [n, stored] of rows.entries()) {
              await store.threads.create({ threadId: uuid(n), metadata: stored, access: ALL });
              const patch = { values: toJsonText(stored) };
              await store.threads.patchState({ threadId: uuid(n), patch, hasNext: false });
              await store.assistants.create({ draft: newAssistant(n, { metadata: stored }), access: ALL });
            }
            const page = { limit: 100, offset: 0, sortOrder: "asc" } as const;
            for (const wanted of filters) {
              for (const where of [{}, ...conditions]) {
                const access: AccessFilter = { kind: "match", where };
                const matching = rows.flatMap((stored, n) =>
                  jsonContains(stored, wanted) && isVisible(access, stored) ? [uuid(n)] : [],
                );
                const query = { metadata: wanted, access };
                const threads = await store.threads.search({
                  ...query,
                  ...page,
                  sortBy: "thread_id",
                  withState: false,
                });
                expect(threads.rows.map((row) => row.threadId)).toEqual(matching);
                expect(threads.total).toBe(matching.length);
                expect(await store.threads.count(query)).toBe(matching.length);
                expect(await store.threads.count({ values: wanted, access })).toBe(matching.length);
                const assistants = await store.assistants.search({ ...query, ...page, sortBy: "assistant_id" });
                expect(assistants.rows.map((row) => row.assistantId)).toEqual(matching);
              }
            }
            for (const where of conditions) {
              const access: AccessFilter = { kind: "match", where };
              for (const [n, stored] of rows.entries()) {
                const thread = await store.threads.get({ threadId: uuid(n), access });
                expect(thread?.metadata ?? null).toEqual(isVisible(access, stored) ? stored : null);
              }
            }
          } finally {
            await close();
          }
        }),
        { numRuns: name === "memory" ? 300 : name === "SQLite in memory" ? 150 : 20 },
      );
    });
  }
});
