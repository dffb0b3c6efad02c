import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SortedRows } from "../../../src/stores/memory/sorted-rows.js";

interface Row {
  readonly key: number;
  readonly id: number;
}

const compare = (a: Row, b: Row): number => a.key - b.key || a.id - b.id;

describe("SortedRows", () => {
  it("holds what a sorted array holds, through inserts and removals over many buckets", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ key: fc.nat({ max: 400 }), remove: fc.boolean() }), { size: "max", maxLength: 4_000 }),
        fc.nat({ max: 4_000 }),
        fc.nat({ max: 700 }),
        (steps, offset, limit) => {
          const rows = new SortedRows<Row>(compare);
          let model: Row[] = [];
          const removals: boolean[] = [];
          steps.forEach(({ key, remove }, id) => {
            const victim = remove ? model[key % (model.length || 1)] : undefined;
            if (victim === undefined) {
              const row = { key, id };
              rows.insert(row);
              model.push(row);
            } else {
              removals.push(rows.remove(victim), !rows.remove(victim));
              model = model.filter((row) => row !== victim);
            }
          });
          expect(removals).not.toContain(false);
          const asc = [...model].sort(compare);
          const desc = asc.toReversed();
          expect(rows.size).toBe(asc.length);
          expect([...rows]).toEqual(asc);
          expect(rows.toArray("desc")).toEqual(desc);
          expect(rows.page("asc", offset, limit)).toEqual(asc.slice(offset, offset + limit));
          expect(rows.page("desc", offset, limit)).toEqual(desc.slice(offset, offset + limit));
          const inside = (row: Row): boolean => row.key >= 100 && row.key < 200;
          expect([
            ...rows.range(
              (row) => row.key < 100,
              (row) => row.key < 200,
            ),
          ]).toEqual(asc.filter(inside));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("takes rows in order, in reverse and in one place", () => {
    for (const keyOf of [(n: number) => n, (n: number) => -n, () => 0]) {
      const rows = new SortedRows<Row>(compare);
      const all = Array.from({ length: 2_000 }, (_, id) => ({ key: keyOf(id), id }));
      for (const row of all) rows.insert(row);
      expect([...rows]).toEqual([...all].sort(compare));
      for (const row of all) expect(rows.remove(row)).toBe(true);
      expect(rows.size).toBe(0);
      expect(rows.page("desc", 0, 10)).toEqual([]);
    }
  });
});
