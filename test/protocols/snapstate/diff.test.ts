import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject, JsonValue } from "../../../src/core/json.js";
import { isJsonObject } from "../../../src/core/json.js";
import { diffStates, MAX_DIFF_CHARS, type StateDiff } from "../../../src/protocols/snapstate/diff.js";

const NOTHING: StateDiff = { added: [], removed: [], changed: [] };

describe("what changed between two states", () => {
  test.each<readonly [string, JsonObject | null, JsonObject, Partial<StateDiff>]>([
    ["a scalar of another kind", { a: 1 }, { a: "1" }, { changed: ["a"] }],
    ["an object that becomes an array", { a: { b: 1 } }, { a: [1] }, { changed: ["a"] }],
    ["null that becomes an object", { a: null }, { a: { b: 1 } }, { changed: ["a"] }],
    ["a shorter list", { l: [1, 2, 3] }, { l: [1] }, { removed: ["l[1]", "l[2]"] }],
    ["an object that gets its first member", { o: {} }, { o: { x: 1 } }, { added: ["o.x"] }],
    ["an empty object that goes", { x: {} }, {}, {}],
    ["an empty object that becomes a scalar", { x: {} }, { x: 1 }, { changed: ["x"] }],
    [
      "the first state",
      null,
      { a: 1, b: { c: [true, {}, { d: null }] }, e: [] },
      { added: ["a", "b.c[0]", "b.c[2].d"] },
    ],
    ["the same in another order", { a: 1, b: 2 }, { b: 2, a: 1 }, {}],
    [
      "all at once",
      { user: { name: "a", tags: ["x", "y"] }, old: { a: 1, b: [2] } },
      { user: { name: "b", tags: ["x"], mail: "m" }, list: [{ x: 1 }] },
      { added: ["user.mail", "list[0].x"], removed: ["user.tags[1]", "old.a", "old.b[0]"], changed: ["user.name"] },
    ],
    [
      "names that objects have anyway",
      { constructor: 1 },
      { toString: 2 },
      { added: ["toString"], removed: ["constructor"] },
    ],
  ])("%s", (_, before, after, expected) => {
    expect(diffStates(before, after)).toEqual({ ...NOTHING, ...expected });
  });

  test("a name that prototypes have", () => {
    const before = JSON.parse('{"__proto__":{"a":1}}') as JsonObject;
    const after = JSON.parse('{"__proto__":{"a":2,"b":3}}') as JsonObject;
    expect(diffStates(before, after)).toEqual({ added: ["__proto__.b"], removed: [], changed: ["__proto__.a"] });
  });

  test("paths that would take gigabytes are refused", () => {
    const long = "x".repeat(100_000);
    const leaves = Math.ceil(MAX_DIFF_CHARS / 100_000);
    expect(() => diffStates(null, { [long]: Array.from({ length: leaves }, () => 0) })).toThrow(/state: the paths/);
    expect(diffStates(null, { [long]: [0, 0] }).added).toHaveLength(2);
  });

  /** Names without the characters of paths, so that a path says where it leads. */
  const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 2 });
  const { state } = fc.letrec<{ state: JsonObject; value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<JsonValue>(null, true, 0, 1, "", "1"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(name, tie("value"), { maxKeys: 3 }),
    ),
    state: fc.dictionary(name, tie("value"), { maxKeys: 4 }) as fc.Arbitrary<JsonObject>,
  }));

  test("lists exactly the leaves that differ", () => {
    fc.assert(
      fc.property(state, state, (before, after) => {
        const diff = diffStates(before, after);
        const [from, to] = [leavesOf(before), leavesOf(after)];
        const under = (path: string) =>
          diff.changed.some((at) => path === at || path.startsWith(`${at}.`) || path.startsWith(`${at}[`));
        for (const path of diff.added) expect(to.has(path) && !from.has(path)).toBe(true);
        for (const path of diff.removed) expect(from.has(path) && !to.has(path)).toBe(true);
        const lists = [...diff.added, ...diff.removed, ...diff.changed];
        expect(new Set(lists).size).toBe(lists.length);
        // Whatever leaf is new, gone or another is told: itself, or under a path that has changed.
        const fresh = [...to.keys()].filter((path) => !from.has(path));
        const gone = [...from.keys()].filter((path) => !to.has(path));
        const other = [...to].filter(([path, value]) => from.has(path) && from.get(path) !== value);
        for (const path of fresh) expect(diff.added.includes(path) || under(path)).toBe(true);
        for (const path of gone) expect(diff.removed.includes(path) || under(path)).toBe(true);
        for (const [path] of other) expect(diff.changed).toContain(path);
        for (const path of diff.changed) expect(to.has(path) && to.get(path) === from.get(path)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test("a state and itself differ in nothing, and both ways mirror each other", () => {
    fc.assert(
      fc.property(state, state, (before, after) => {
        expect(diffStates(before, structuredClone(before))).toEqual(NOTHING);
        const [there, back] = [diffStates(before, after), diffStates(after, before)];
        expect(back.added.toSorted()).toEqual(there.removed.toSorted());
        expect(back.changed.toSorted()).toEqual(there.changed.toSorted());
      }),
      { numRuns: 300 },
    );
  });
});

/** Scalars by path, found another way than the code does it. */
function leavesOf(state: JsonObject): Map<string, JsonValue> {
  const leaves = new Map<string, JsonValue>();
  const walk = (value: JsonValue, path: string): void => {
    if (Array.isArray(value)) value.forEach((one: JsonValue, at) => walk(one, `${path}[${at}]`));
    else if (isJsonObject(value)) {
      for (const [key, one] of Object.entries(value)) walk(one ?? null, path === "" ? key : `${path}.${key}`);
    } else leaves.set(path, value);
  };
  walk(state, "");
  return leaves;
}
