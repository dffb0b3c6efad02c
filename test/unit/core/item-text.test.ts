import { Embeddings } from "@langchain/core/embeddings";
import { InMemoryStore } from "@langchain/langgraph-checkpoint";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TextPath } from "../../../src/core/item-text.js";
import { parseTextPath, textsAt } from "../../../src/core/item-text.js";
import type { JsonObject } from "../../../src/core/json.js";

function pathOf(text: string): TextPath {
  const path = parseTextPath(text);
  if ("problem" in path) throw new Error(path.problem);
  return path;
}

const LIMITS = { maxTexts: 1_000, maxChars: 100_000 };
const textsOf = (value: JsonObject, ...paths: string[]) => textsAt(value, paths.map(pathOf), LIMITS) ?? [];

/** Notes what it is asked to embed. */
class Listening extends Embeddings {
  readonly heard: string[] = [];
  constructor() {
    super({});
  }
  override async embedDocuments(texts: string[]): Promise<number[][]> {
    this.heard.push(...texts);
    return texts.map(() => [1]);
  }
  override async embedQuery(): Promise<number[]> {
    return [1];
  }
}

describe("texts of an item", () => {
  const value = {
    text: "hello",
    n: 5,
    none: null,
    a: { b: "deep", "x y": true },
    list: [{ b: "first" }, { b: "second" }, "plain"],
  };

  it.each([
    ["$", [JSON.stringify(value, null, 2)]],
    ["text", ["hello"]],
    ["$.text", ["hello"]],
    ["n", ["5"]],
    ["none", []],
    ["missing", []],
    ["constructor", []],
    ["a.b", ["deep"]],
    ["a.x y", ["true"]],
    ["a", [JSON.stringify(value.a, null, 2)]],
    ["list[*].b", ["first", "second"]],
    ["list[0].b", ["first"]],
    ["list[-1]", ["plain"]],
    ["list[7]", []],
    ["text[0]", []],
    ["a.*", ["deep", "true"]],
    ["{text,a.b}", ["hello", "deep"]],
  ])("%s", (path, texts) => {
    expect(textsOf(value, path).map(({ text }) => text)).toEqual(texts);
  });

  it("names vectors by path, and by number where a path has several texts", () => {
    expect(textsOf(value, "text", "list[*].b")).toEqual([
      { path: "text", text: "hello" },
      { path: "list[*].b.0", text: "first" },
      { path: "list[*].b.1", text: "second" },
    ]);
  });

  it("leaves blank texts out", () => {
    expect(textsOf({ text: " \n", list: ["", "x"] }, "text", "list[*]")).toEqual([{ path: "list[*].1", text: "x" }]);
  });

  it("stops collecting at its limits", () => {
    const many = { list: Array.from({ length: 4 }, () => "text") };
    const at = (path: string, limits: Partial<typeof LIMITS>) =>
      textsAt(many, [pathOf(path)], { ...LIMITS, ...limits });
    expect(at("list[*]", { maxTexts: 4, maxChars: 16 })).toHaveLength(4);
    expect(at("list[*]", { maxTexts: 3 })).toBeNull();
    expect(at("list[*]", { maxChars: 15 })).toBeNull();
    // 300 times ten megabytes would not fit into memory.
    const large = { a: { text: "x".repeat(10_000_000) } };
    const again = pathOf(`{${Array.from({ length: 300 }, () => "a").join(",")}}`);
    expect(textsAt(large, [again, pathOf("$")], { maxTexts: 1_000, maxChars: 1_000_000 })).toBeNull();
  });

  it.each(["a[", "a[x]", "a[1.5]", "a{b}[]", "{a", "{a,,b}", "...", "x".repeat(1_025)])("%s is no path", (path) => {
    expect(parseTextPath(path)).toEqual({ problem: expect.any(String) as string });
  });

  it("takes the texts that LangGraph's InMemoryStore takes", async () => {
    const name = fc.constantFrom("a", "b", "c");
    const { value: values } = fc.letrec<{ value: unknown; leaf: unknown }>((tie) => ({
      leaf: fc.constantFrom("x", "y z", 1, true),
      value: fc.oneof(
        { depthSize: "small" },
        tie("leaf"),
        fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
        fc.array(tie("value"), { maxLength: 3 }),
      ),
    }));
    const step = fc.oneof(
      name,
      name.map((field) => `${field}[*]`),
      name.map((field) => `${field}[0]`),
      name.map((field) => `${field}[-1]`),
      fc.constant("*"),
    );
    const last = fc.oneof(step, fc.constant("{a,b.c}"));
    const path = fc.oneof(
      fc.constant("$"),
      fc.tuple(fc.array(step, { maxLength: 2 }), last).map(([steps, end]) => [...steps, end].join(".")),
    );
    const item = fc.dictionary(name, values, { maxKeys: 3, noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
    await fc.assert(
      fc.asyncProperty(item, fc.uniqueArray(path, { minLength: 1, maxLength: 3 }), async (stored, paths) => {
        const embeddings = new Listening();
        const store = new InMemoryStore({ index: { dims: 1, embeddings, fields: paths } });
        await store.put(["a"], "k", stored);
        const ours = new Set(textsOf(stored, ...paths).map(({ text }) => text));
        expect([...ours].sort()).toEqual([...new Set(embeddings.heard)].sort());
      }),
      { numRuns: 500 },
    );
  });
});
