import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isDeeper, parseLimited } from "../../../src/http/body-limits.js";
import { isHeddleError } from "../../../src/core/errors.js";

const LIMITS = { maxJsonDepth: 4, maxNameChars: 40, maxMetadataChars: 60 };

function refusal(text: string): string | null {
  try {
    parseLimited(text, LIMITS);
    return null;
  } catch (error) {
    if (isHeddleError(error) && error.code === "INVALID_REQUEST") return error.message;
    throw error;
  }
}

const depthOf = (value: unknown): number =>
  typeof value === "object" && value !== null
    ? 1 + Math.max(0, ...Object.values(value as Record<string, unknown>).map(depthOf))
    : 0;

describe("depth", () => {
  it("is counted as the parser would, whatever strings and keys hold", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.integer({ min: 0, max: 9 }), (value, limit) => {
        expect(isDeeper(JSON.stringify(value), limit)).toBe(depthOf(value) > limit);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is judged before anything is parsed", () => {
    expect(refusal("[[[[1]]]]")).toBeNull();
    expect(refusal("[[[[[1]]]]]")).toBe("The JSON is nested too deeply: at most 4 levels (limits.maxJsonDepth)");
    expect(refusal("[".repeat(1_000_000))).toMatch(/too deeply/);
    expect(refusal(`{"a":"${"[".repeat(100)}\\"${"{".repeat(100)}"}`)).toBeNull();
  });

  it("takes time in proportion to the text", () => {
    const nasty = `["${'\\\\\\"'.repeat(300_000)}"]`;
    const since = performance.now();
    expect(isDeeper(nasty, 10)).toBe(false);
    expect(isDeeper(`["${"\\".repeat(1_000_000)}"]`, 10)).toBe(false);
    expect(performance.now() - since).toBeLessThan(500);
  });
});

describe("ids, names and metadata", () => {
  const long = "n".repeat(41);
  it.each([
    [{ name: long }, "name: is too long: at most 40 characters (limits.maxNameChars)"],
    [{ namespace: ["a", long] }, "namespace.1: is too long: at most 40 characters (limits.maxNameChars)"],
    [
      [{ assistant_id: "a" }, { assistant_id: long }],
      "assistant_id: is too long: at most 40 characters (limits.maxNameChars)",
    ],
    [
      { method: "run.start", params: { assistant_id: long } },
      "params.assistant_id: is too long: at most 40 characters (limits.maxNameChars)",
    ],
    [
      { metadata: { a: "m".repeat(60) } },
      "metadata: is too large: at most 60 characters as JSON (limits.maxMetadataChars)",
    ],
  ])("%j is refused", (document, message) => {
    expect(refusal(JSON.stringify(document))).toBe(message);
  });

  it("what users own is not looked at", () => {
    expect(
      refusal(JSON.stringify({ name: "n".repeat(40), input: { name: long, metadata: { a: "m".repeat(60) } } })),
    ).toBeNull();
    expect(refusal(JSON.stringify({ value: { key: long }, name: { long } }))).toBeNull();
  });
});
