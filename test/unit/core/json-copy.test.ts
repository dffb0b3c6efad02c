import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { copyJson, type JsonObject, type JsonValue } from "../../../src/core/json.js";

describe("copyJson", () => {
  it("copies as JSON does, deeply", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = copyJson(value as JsonValue);
        expect(copy).toEqual(JSON.parse(JSON.stringify(value)));
        expect(shared(value, copy)).toBe(false);
      }),
    );
  });

  it("keeps `__proto__` a plain key", () => {
    const value = JSON.parse('{"a": {"__proto__": {"x": [1]}}}') as JsonObject;
    const copy = copyJson(value);
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(copy["a"])).toBe(Object.prototype);
  });

  it("drops or replaces what JSON can't hold, like JSON", () => {
    const value = {
      gone: undefined,
      at: new Date(0),
      list: [undefined, Number.NaN],
      inner: { gone: undefined, infinite: Number.POSITIVE_INFINITY },
      map: new Map([[1, 2]]),
    };
    expect(copyJson(value as never)).toStrictEqual(JSON.parse(JSON.stringify(value)));
    expect(() => copyJson({ big: 1n } as never)).toThrow(TypeError);
  });
});

function shared(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null) return false;
  if (a === b) return true;
  return Object.keys(a).some((key) => shared((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}
