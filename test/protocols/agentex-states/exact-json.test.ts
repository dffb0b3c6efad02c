import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memberTexts } from "../../../src/protocols/agentex-states/exact-json.js";

describe("memberTexts", () => {
  it("keeps numbers as Python wrote them", () => {
    const members = memberTexts('{"score": 1.0, "id":9007199254740993 ,"deep":{"x":[1e400,-0.0]}}');
    expect(Object.fromEntries(members)).toEqual({
      score: "1.0",
      id: "9007199254740993",
      deep: '{"x":[1e400,-0.0]}',
    });
  });

  it("is not misled by what strings hold", () => {
    const members = memberTexts(String.raw`{"a\"}":"}],\\","b":{"c":"\\\"}"},"d":[]}`);
    expect([...members.keys()]).toEqual(['a"}', "b", "d"]);
    expect(members.get('a"}')).toBe(String.raw`"}],\\"`);
    expect(members.get("b")).toBe(String.raw`{"c":"\\\"}"}`);
  });

  it("takes the last of one name, as the parser does, and no line breaks", () => {
    const members = memberTexts('{"a":\n1,\r\n"a" : [\n2\n]\n}');
    expect([...members]).toEqual([["a", "[ 2 ]"]]);
    expect([...memberTexts(" { } ")]).toEqual([]);
  });

  it("gives texts that parse to what the parser finds", () => {
    const objects = fc.dictionary(fc.string(), fc.jsonValue());
    const spacing = fc.constantFrom(undefined, 1, "\t", "\n");
    fc.assert(
      fc.property(objects, spacing, (object, space) => {
        const text = JSON.stringify(object, null, space);
        const parsed = JSON.parse(text) as Record<string, unknown>;
        const members = memberTexts(text);
        expect([...members.keys()].toSorted()).toEqual(Object.keys(parsed).toSorted());
        for (const [name, member] of members) {
          expect(JSON.parse(member)).toEqual(parsed[name]);
          expect(member).not.toMatch(/[\r\n]/);
        }
      }),
      { numRuns: 300 },
    );
  });
});
