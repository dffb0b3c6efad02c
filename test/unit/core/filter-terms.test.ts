import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/json.js";
import { MAX_TERM_LENGTH, planFilter, termsOf } from "../../../src/core/filter-terms.js";

const all = { kind: "all" } as const;

describe("termsOf", () => {
  it("spells top-level scalars, and nothing else", () => {
    const metadata = { s: 'a"b', n: 1, f: -0, b: true, z: null, list: [1], object: {} };
    expect(termsOf(metadata)).toEqual([`"s":"a\\"b"`, `"n":1`, `"f":0`, `"b":true`, `"z":null`]);
  });

  it("tells keys and values apart that only look alike", () => {
    const rows: JsonObject[] = [
      { a: '":1,"b' },
      { 'a":"': 1 },
      { a: "1" },
      { a: 1 },
      { "a\u0000": 1 },
      { "\ud800": 1 },
    ];
    expect(new Set(rows.flatMap(termsOf)).size).toBe(rows.length);
  });

  it("leaves out what is too long for an index", () => {
    expect(termsOf({ a: "x".repeat(MAX_TERM_LENGTH), ["k".repeat(MAX_TERM_LENGTH)]: 1, b: 1 })).toEqual([`"b":1`]);
  });
});

describe("planFilter", () => {
  it("needs no row where terms say everything", () => {
    const where = { owner: "a", $and: [{ team: { $eq: 1 } }] };
    const plan = planFilter({ metadata: { x: null, y: 2 }, access: { kind: "match", where } });
    expect(plan).toEqual({ terms: [`"x":null`, `"y":2`, `"owner":"a"`, `"team":1`], residual: null });
    expect(planFilter({ access: all })).toEqual({ terms: [], residual: null });
    expect(planFilter({ metadata: { x: undefined }, access: all })).toEqual({ terms: [], residual: null });
  });

  it("narrows by the terms it has, and leaves the rest to the row", () => {
    const access = { kind: "match", where: { owner: "a", $or: [{ b: 1 }, { b: 2 }] } } as const;
    const plan = planFilter({ metadata: { deep: { x: 1 }, y: 2 }, access });
    expect(plan.terms).toEqual([`"y":2`, `"owner":"a"`]);
    expect(plan.residual?.({ deep: { x: 1 }, y: 2, owner: "a", b: 2 })).toBe(true);
    expect(plan.residual?.({ deep: { x: 1 }, y: 2, owner: "a", b: 3 })).toBe(false);
    expect(plan.residual?.({ deep: {}, y: 2, owner: "a", b: 1 })).toBe(false);
  });

  it("leaves long scalars, arrays and unknown operators to the row", () => {
    const long = "x".repeat(MAX_TERM_LENGTH);
    for (const where of [{ a: long }, { a: [1] }, { a: { $contains: 1 } }, { a: { $eq: {} } }, { a: {} }]) {
      const plan = planFilter({ access: { kind: "match", where } });
      expect([where, plan.terms, plan.residual === null]).toEqual([where, [], false]);
    }
  });
});
