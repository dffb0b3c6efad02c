import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { matchesItemFilter } from "../../../src/core/item-filter.js";
import type { ItemStore } from "../../../src/core/item-store.js";
import type { JsonObject, JsonValue } from "../../../src/core/json.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createPostgresItemStore } from "../../../src/stores/postgres/index.js";
import { ALL } from "../../../src/testing/stores/suite.js";
import { createDatabase } from "../../support/postgres.js";

let store: ItemStore;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createDatabase();
  store = await createPostgresItemStore(await openPostgres(database.uri, { cwd: "/" }));
  drop = () => database.drop();
});

afterAll(async () => {
  await store.close();
  await drop();
});

/** Strings that JavaScript takes for numbers, and some that it does not. */
const NUMERALS =
  "5|-5|+5| 5 |\t5\n|\u00a05\ufeff|5.|.5|5e2|5E-2|5e|0x1f|0XFF|-0x1|0b101|0o17|0b2|Infinity|-Infinity|+Infinity|infinity|NaN|" +
  "1e400|-1e400|1e-400|1_000|5,0||  |.|e5|٥|5\u0000|0x|00012|123456789012345678901234567890";
const scalar = fc.oneof(
  fc.constantFrom<JsonValue>(...NUMERALS.split("|"), null, true, false, 0, 5, -5, 5.5, 31, 1e300, "x"),
  fc.integer({ min: -6, max: 6 }),
  fc.integer({ min: -6, max: 6 }).map(String),
);
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  { weight: 6, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 2 }) },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom("a", "b"), scalar, { noNullPrototype: true, maxKeys: 2 }) },
);
const field = fc.constantFrom("n", "a.b", "$x", "", "q\u0000");
const operators = fc.dictionary(
  fc.constantFrom("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"),
  fc.oneof(value, fc.array(value, { maxLength: 3 })),
  { noNullPrototype: true, maxKeys: 2 },
);
const filter = fc.dictionary(field, fc.oneof(value, operators), { noNullPrototype: true, maxKeys: 2 });
const world = fc.record({
  values: fc.array(fc.dictionary(field, value, { noNullPrototype: true, maxKeys: 3 }), { minLength: 1, maxLength: 20 }),
  filters: fc.array(filter, { minLength: 1, maxLength: 10 }),
});

it("filters items as the core says, in SQL alone", { timeout: 60_000 }, async () => {
  let worlds = 0;
  await fc.assert(
    fc.asyncProperty(world, async ({ values, filters }) => {
      worlds += 1;
      const namespace = [`world ${worlds}`];
      for (const [n, one] of values.entries()) await store.put({ namespace, key: String(n), value: one, access: ALL });
      for (const wanted of filters) {
        const found = await store.search({
          namespacePrefix: namespace,
          filter: wanted,
          limit: 99,
          offset: 0,
          access: ALL,
        });
        const keys = found.map(({ key }) => Number(key)).sort((a, b) => a - b);
        const matching = [...values.entries()].filter(([, one]) => matchesItemFilter(one, wanted)).map(([n]) => n);
        expect([values, wanted, keys]).toEqual([values, wanted, matching]);
      }
    }),
    { numRuns: 150 },
  );
});

it("keeps long namespaces and keys apart, and finds what is under them", async () => {
  const long = "x".repeat(5_000);
  const places: [readonly string[], string][] = [
    [[long], "k"],
    [[`${long}y`], "k"],
    [[long, "below"], "k"],
    [[long], `k${long}`],
    [["😀".repeat(1_000), "a"], "k"],
  ];
  const data: JsonObject = { long };
  for (const [namespace, key] of places)
    expect(await store.put({ namespace, key, value: data, access: ALL })).toEqual({ kind: "stored" });
  const under = async (...namespacePrefix: string[]): Promise<number> =>
    (await store.search({ namespacePrefix, limit: 99, offset: 0, access: ALL })).length;
  expect(await under(long)).toBe(3);
  expect(await under(`${long}y`)).toBe(1);
  expect(await under("😀".repeat(1_000))).toBe(1);
  expect(await under("x".repeat(100))).toBe(0);
});

it("reads every numeral as JavaScript does", async () => {
  for (const [n, numeral] of NUMERALS.split("|").entries()) {
    await store.put({ namespace: ["numerals"], key: String(n), value: { n: numeral }, access: ALL });
    for (const wanted of [{ n: { $gte: 5 } }, { n: { $lte: 0 } }, { n: { $gt: "-1e400" } }] satisfies JsonObject[]) {
      const found = await store.search({
        namespacePrefix: ["numerals"],
        filter: wanted,
        limit: 99,
        offset: 0,
        access: ALL,
      });
      const holds = found.some(({ key }) => key === String(n));
      expect([numeral, wanted, holds]).toEqual([numeral, wanted, matchesItemFilter({ n: numeral }, wanted)]);
    }
  }
});
