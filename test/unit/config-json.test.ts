import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lineOfJsonMistake } from "../../src/config/json-mistake.js";
import { lineOfJsonPath } from "../../src/config/json-position.js";

describe("lineOfJsonMistake", () => {
  it.each([
    ['{\n  "a": 1,\n}', 3],
    ['{\n  "a": 1\n  "b": 2\n}', 3],
    ['{\n  // note\n  "a": 1\n}', 2],
    ["{\n  a: 1\n}", 2],
    ['{\n  "a": [1, 2\n}', 3],
    ['{\n  "a": [1,\n  ]}', 3],
    ['{"a": tru}', 1],
    ['{"a": 01}', 1],
    ['{"a"\n 1}', 2],
    ['{"a": "b\n"}', 1],
    ["{}\n}", 2],
    ["", 1],
    ['{"a": {\n\n', 3],
  ])("%j: line %i", (text, line) => {
    expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
    expect(lineOfJsonMistake(text)).toBe(line);
  });

  it("reads any JSON to its end", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 1);
        expect(lineOfJsonMistake(`${text}\n\n%`)).toBe(text.split("\n").length + 2);
      }),
    );
  });
});

describe("lineOfJsonPath", () => {
  it("finds each key and element of any document", () => {
    const key = fc.string({ minLength: 1 });
    const document = fc.dictionary(key, fc.oneof(fc.dictionary(key, fc.jsonValue()), fc.array(fc.jsonValue())));
    fc.assert(
      fc.property(document, (value) => {
        const lines = JSON.stringify(value, null, 1).split("\n");
        const keys = Object.keys(value);
        const found = keys.map((name) => lineOfJsonPath(lines.join("\n"), [name]));
        // At one space of indent stand the keys of the first level, in order.
        const wanted = lines.flatMap((line, index) => (line.startsWith(' "') ? [index + 1] : []));
        expect(found).toEqual(wanted);
      }),
    );
  });

  it("finds what is nested, and the nearest parent of what is missing", () => {
    const text = JSON.stringify({ a: { b: [{ c: 1 }, { c: 2 }] }, c: { b: 1 }, d: "a: {" }, null, 2);
    expect(lineOfJsonPath(text, ["a", "b", 1, "c"])).toBe(8);
    expect(lineOfJsonPath(text, ["c", "b"])).toBe(13);
    expect(lineOfJsonPath(text, ["c", "x", "y"])).toBe(12);
    expect(lineOfJsonPath(text, ["x"])).toBe(1);
    expect(lineOfJsonPath('{"a": {"b": 1}}', ["a", "b"])).toBe(1);
  });
});
