import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../../src/core/json.js";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { fromJsonb, fromText, toJsonb, toText } from "../../../src/databases/postgres/storable.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { AWKWARD_JSON, CONTAINMENT_CASES } from "../../../src/testing/stores/json-cases.js";
import { createDatabase } from "../../support/postgres.js";

let database: PostgresDatabase;
let close: () => Promise<void>;

beforeAll(async () => {
  const { uri, drop } = await createDatabase();
  database = await openPostgres(uri, { cwd: "/" });
  const shared = new Map<string, unknown>();
  const store = await createPostgresMetadataStore(await openPostgres(uri, { cwd: "/", shared }));
  close = async () => {
    await store.close();
    await database.close();
    await drop();
  };
});

afterAll(() => close());

/** Any UTF-16, and often what Postgres does not take or what looks like how it is stored. */
const text = fc.oneof(
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCodePoint(unit)) }),
  fc
    .array(
      fc.constantFrom(
        "\u0000",
        "\u0001",
        "\u00010000",
        "0",
        "u0001",
        "\\",
        "\\u0000",
        "\ud800",
        "\udc00",
        "😀",
        '"',
        "a",
      ),
    )
    .map((parts) => parts.join("")),
);

const { json } = fc.letrec<{ json: JsonValue }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small" },
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom<JsonValue>(null, true, false, 0, 1e300, 5e-324, 9_007_199_254_740_992),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.array(fc.tuple(text, tie("json")), { maxLength: 3 }).map(objectOf),
  ),
}));

function objectOf(members: readonly (readonly [string, JsonValue])[]): JsonObject {
  const parts = [...new Map(members)].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return JSON.parse(`{${parts.join()}}`) as JsonObject;
}

/** What JSON makes of a value: -0 is 0. */
function plain(value: JsonValue): JsonValue {
  return JSON.parse(JSON.stringify(value)) as JsonValue;
}

describe("what Postgres does not take is stored as something else", () => {
  it("text comes back, whatever it is, and sorts as it did by its first difference of NUL", async () => {
    await fc.assert(
      fc.asyncProperty(text, async (given) => {
        const [row] = await database.query<{ stored: string }>({ name: "text", text: "SELECT $1::text AS stored" }, [
          toText(given),
        ]);
        expect(fromText(row?.stored ?? "")).toBe(given);
      }),
      { numRuns: 500 },
    );
    expect(toText("a\u0000") < toText("a\u0001") && toText("a\u0001") < toText("a\u0002")).toBe(true);
  });

  it("different texts stay different", () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(toText(a) === toText(b)).toBe(a === b);
      }),
    );
  });

  it("JSON comes back, and is the same in SQL as what the store makes of it in JavaScript", async () => {
    const statement = {
      name: "json",
      text: "SELECT $1::jsonb::text AS stored, $1::jsonb = heddle_searchable($2) AS same",
    };
    await fc.assert(
      fc.asyncProperty(fc.oneof(json, fc.constant(AWKWARD_JSON)), async (given) => {
        const values = [toJsonb(given), JSON.stringify(given)];
        const [row] = await database.query<{ stored: string; same: boolean }>(statement, values);
        expect(fromJsonb(row?.stored ?? "")).toEqual(plain(given));
        expect(row?.same).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("pairs of escapes are one character, as other writers of JSON spell it", async () => {
    const statement = { name: "", text: "SELECT heddle_searchable($1)::text AS found" };
    const [row] = await database.query<{ found: string }>(statement, [String.raw`{"a":"\ud83d\ude00\ud83d\uDE00"}`]);
    expect(fromJsonb(row?.found ?? "")).toEqual({ a: "😀😀" });
  });

  it("what is too deep for JSONB is not found, and nothing fails", async () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    const statement = { name: "", text: "SELECT heddle_searchable($1) IS NULL AS none" };
    expect(await database.query(statement, [deep])).toEqual([{ none: true }]);
  });

  it("contains what the core says, on both ways into the database", async () => {
    const statement = { name: "contains", text: "SELECT heddle_searchable($1) @> $2::jsonb AS contains" };
    for (const [stored, wanted, contains] of CONTAINMENT_CASES) {
      const rows = await database.query(statement, [JSON.stringify(stored), toJsonb(wanted)]);
      expect([stored, wanted, rows]).toEqual([stored, wanted, [{ contains }]]);
    }
  });
});
