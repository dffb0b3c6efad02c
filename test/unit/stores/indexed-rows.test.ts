import fc from "fast-check";
import { expect, it } from "vitest";
import { compareBy, IndexedRows } from "../../../src/stores/memory/indexed-rows.js";

interface Row {
  readonly id: string;
  readonly at: number;
  readonly terms: readonly string[];
}
const ROWS = 10_000;

it("finds the pages of a plain filter and sort, however many rows a term has", async () => {
  const rows: Row[] = Array.from({ length: ROWS }, (_, at) => ({
    id: String(at).padStart(5, "0"),
    at: (at * 7919) % ROWS,
    terms: [
      "every",
      ...(at % 2 === 0 ? ["half"] : []),
      ...(at % 50 === 0 ? ["few"] : []),
      ...(at < 30 ? ["first"] : []),
    ],
  }));
  const byTime = compareBy<Row>(
    ({ at }) => at,
    ({ id }) => id,
  );
  const index = new IndexedRows<Row, "at">({ at: byTime });
  for (const row of rows) index.insert(row, row.terms);
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(["every", "half", "few", "first", "none"]),
      fc.constantFrom("asc" as const, "desc" as const),
      fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: ROWS })),
      fc.integer({ min: 0, max: 50 }),
      fc.boolean(),
      async (terms, sortOrder, offset, limit, isOdd) => {
        const residual = isOdd ? (row: Row) => row.at % 2 === 1 : null;
        const found = await index.search({ terms, residual }, { sortBy: "at", sortOrder, offset, limit });
        const matches = rows
          .filter((row) => terms.every((term) => row.terms.includes(term)) && (residual === null || residual(row)))
          .toSorted(byTime);
        if (sortOrder === "desc") matches.reverse();
        expect(found.total).toBe(matches.length);
        expect(found.rows.map(({ id }) => id)).toEqual(matches.slice(offset, offset + limit).map(({ id }) => id));
        expect(await index.count({ terms, residual })).toBe(matches.length);
      },
    ),
    { numRuns: 150 },
  );
});
