import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkedFilter } from "../../../src/auth/langgraph-filter.js";
import { isVisible } from "../../../src/core/metadata-filter.js";
import type { JsonObject } from "../../../src/core/json.js";

const shows = (filter: object, metadata: JsonObject) =>
  isVisible({ kind: "match", where: checkedFilter(filter) }, metadata);

describe("a handler's filter", () => {
  it("keeps what §7.4 knows", () => {
    const filter = {
      owner: "a",
      age: { $eq: 3 },
      tags: { $contains: ["x", "y"] },
      teams: { $contains: "t" },
      $or: [{ a: true }, { b: null }],
      $and: [{ $or: [{ c: 1 }] }],
    };
    expect(checkedFilter(filter)).toEqual(filter);
    expect(checkedFilter({})).toEqual({});
    expect(checkedFilter(Object.assign(Object.create(null) as object, { a: 1 }))).toEqual({ a: 1 });
  });

  it("needs all operators of a value to hold", () => {
    const filter = { owner: "a", tags: { $contains: "x", $eq: 1 } };
    expect(shows(filter, { owner: "a", tags: ["x"] })).toBe(false);
    expect(shows({ tags: { $contains: "x" } }, { tags: ["x"] })).toBe(true);
    const both = { id: { $eq: "a", $contains: "a" }, $or: [{ o: 1 }] };
    expect(checkedFilter(both)).toEqual({
      $and: [{ id: { $eq: "a" }, $or: [{ o: 1 }] }, { id: { $contains: "a" } }],
    });
  });

  class Named {
    readonly owner = "a";
  }
  const cycle: Record<string, unknown> = {};
  cycle["$and"] = [cycle];
  const wide = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`k${i}`, i]));

  it.each<[string, object, RegExp]>([
    ["undefined, a claim that the user does not have", { owner: undefined }, /^owner: .*undefined/],
    ["an unknown operator of a value", { owner: { $ne: "a" } }, /^owner\.\$ne: /],
    ["an unknown operator of filters", { $not: { owner: "a" } }, /^\$not: /],
    ["a known operator in the wrong place", { $eq: "a" }, /^\$eq: /],
    ["an object without operators", { owner: {} }, /^owner: /],
    ["a nested object", { owner: { name: "a" } }, /^owner\.name: /],
    ["a list", { owner: ["a"] }, /^owner: must be an object/],
    ["$eq of an object", { owner: { $eq: { a: 1 } } }, /^owner\.\$eq: /],
    ["$eq of undefined", { owner: { $eq: undefined } }, /^owner\.\$eq: .*undefined/],
    ["$contains of an object", { owner: { $contains: [{ a: 1 }] } }, /^owner\.\$contains: /],
    ["$contains of undefined", { owner: { $contains: undefined } }, /^owner\.\$contains: .*undefined/],
    ["$or of one filter", { $or: { owner: "a" } }, /^\$or: /],
    ["an empty $or", { $or: [] }, /^\$or: /],
    ["an empty $and", { $and: [] }, /^\$and: /],
    ["$and of something else", { $and: ["owner"] }, /^\$and\[0\]: /],
    ["a number that JSON has not", { age: Number.NaN }, /^age: /],
    ["a bigint", { age: 1n }, /^age: .*bigint/],
    ["a function", { owner: () => true }, /^owner: .*function/],
    ["a date", { at: new Date() }, /^at: must be a plain object/],
    ["a map", new Map([["owner", "a"]]), /^the filter: must be a plain object/],
    ["an instance", new Named(), /^the filter: must be a plain object/],
    ["__proto__ as a key", JSON.parse('{"__proto__": {"owner": "a"}}') as object, /__proto__/],
    ["__proto__ as an operator", { owner: JSON.parse('{"__proto__": "a"}') as object }, /__proto__/],
    ["a symbol", { [Symbol("owner")]: "a" }, /Symbol/],
    ["a cycle", cycle, /nested deeper/],
    ["a thousand conditions", wide, /more than 1000/],
  ])("is refused with %s", (_name, filter, message) => {
    expect(() => checkedFilter(filter)).toThrow(message);
  });

  it("reads every property once, and hands on a copy", () => {
    let reads = 0;
    const filter = {
      get owner() {
        reads += 1;
        return reads === 1 ? "a" : undefined;
      },
    };
    const checked = checkedFilter(filter);
    expect(checked).toEqual({ owner: "a" });
    expect(checked["owner"]).toBe("a");
    expect(reads).toBe(1);
  });

  it("never matches more than it says: what is accepted means the same, what is not is refused", () => {
    const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
    const key = fc.constantFrom("owner", "a", "$eq", "$and", "$or", "$contains", "$x", "__proto__", "constructor");
    const { filter } = fc.letrec((tie) => ({
      filter: fc.dictionary(
        key,
        fc.oneof(
          { depthSize: "small" },
          scalar,
          fc.constant(undefined),
          tie("filter"),
          fc.array(tie("filter"), { maxLength: 2 }),
        ),
      ),
    }));
    fc.assert(
      fc.property(filter, (given) => {
        let checked;
        try {
          checked = checkedFilter(given);
        } catch {
          return;
        }
        // Metadata without any key matches only what asks for nothing.
        const asks = Object.keys(given).length > 0 && JSON.stringify(checked).match(/\{\}/) === null;
        expect(isVisible({ kind: "match", where: checked }, {})).toBe(!asks);
      }),
      { numRuns: 300 },
    );
  });
});
