import { describe, expect, it } from "vitest";
import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../../src/core/item-filter.js";
import {
  compareNamespaces,
  endsWithLabels,
  literalPrefix,
  namespaceRange,
  namespaceText,
  startsWithLabels,
} from "../../../src/core/item-namespace.js";

describe("item filters", () => {
  it("names field and operator that nobody knows, also beside known ones", () => {
    expect(() => checkItemFilter({ age: { $gt: 1, $near: 2 } })).toThrow(/"\$near" in the filter on "age"/);
    expect(() => checkItemFilter({ age: { $gt: 1, plain: 2 } })).toThrow(/"plain"/);
    checkItemFilter({ age: { $gt: 1 }, place: { city: "x" }, list: [{ $odd: 1 }], nothing: null });
  });

  it("looks at own fields only", () => {
    expect(matchesItemFilter({}, { constructor: { $ne: null } })).toBe(true);
    expect(matchesItemFilter({}, { toString: { $eq: null } })).toBe(false);
  });

  it("takes an empty operator object as no condition", () => {
    expect(matchesItemFilter({}, { a: {} })).toBe(true);
  });

  it("sees namespace and key of the place", () => {
    const item = { namespace: ["a"], key: "k", value: { namespace: ["b"], x: 1 } };
    expect(isItemVisible({ kind: "match", where: { namespace: { $contains: "a" }, key: "k", x: 1 } }, item)).toBe(true);
    expect(isItemVisible({ kind: "match", where: { namespace: { $contains: "b" } } }, item)).toBe(false);
  });
});

describe("item namespaces", () => {
  it("has under a prefix exactly the texts of its range", () => {
    const labels = ["a", "ab", "a,", 'a"', "a-", "a]", "", "\u0000", "z"];
    const namespaces = [[], ...labels.map((x) => [x]), ...labels.flatMap((x) => labels.map((y) => [x, y]))];
    for (const prefix of namespaces) {
      const { from, to } = namespaceRange(prefix);
      for (const namespace of namespaces) {
        const text = namespaceText(namespace);
        const inside = prefix.every((label, i) => namespace[i] === label) && namespace.length >= prefix.length;
        const own = text === namespaceText(prefix);
        expect([prefix, namespace, own || (text >= from && text < to)]).toEqual([prefix, namespace, inside]);
      }
    }
  });

  it("matches labels as a whole, `*` any one", () => {
    expect(startsWithLabels(["a", "b"], ["*"])).toBe(true);
    expect(startsWithLabels(["a"], ["a", "*"])).toBe(false);
    expect(endsWithLabels(["a", "b"], ["*", "b"])).toBe(true);
    expect(endsWithLabels(["b"], ["*", "b"])).toBe(false);
    expect(literalPrefix(["a", "*", "b"])).toEqual(["a"]);
  });

  it("orders label by label, a prefix first", () => {
    const sorted = [["a"], ["a", "b"], ["a,"], ["ab"], ["b"]];
    expect(sorted.toReversed().sort(compareNamespaces)).toEqual(sorted);
  });
});
