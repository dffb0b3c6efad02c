import { describe, expect, it } from "vitest";
import { createEmbedder, type EmbedderOptions } from "../../../src/embeddings/create-embedder.js";
import { toTextModel } from "../../../src/embeddings/text-model.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

type Embed = (texts: string[]) => Promise<readonly ArrayLike<number>[]> | readonly ArrayLike<number>[];

function open(embed: Embed, options: Partial<EmbedderOptions> = {}) {
  const clock = fakeClock();
  const embedder = createEmbedder(toTextModel(embed, "embed"), {
    dims: 2,
    maxTexts: 3,
    concurrency: 2,
    timeoutMs: 1_000,
    clock,
    ...options,
  });
  return { clock, embedder };
}

const byLength: Embed = (texts) => texts.map((text) => [text.length, 1]);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("an embedder", () => {
  it("asks for no more texts at once than it may, and keeps their order", async () => {
    const calls: string[][] = [];
    const { embedder } = open((texts) => {
      calls.push(texts);
      return byLength(texts);
    });
    const vectors = await embedder.embedTexts(["a", "bb", "ccc", "dddd", "eeeee"]);
    expect(calls).toEqual([
      ["a", "bb", "ccc"],
      ["dddd", "eeeee"],
    ]);
    expect(vectors.map(([first]) => first)).toEqual([1, 2, 3, 4, 5]);
  });

  it("calls the model no more often at once than it may", async () => {
    let running = 0;
    let most = 0;
    const { embedder } = open(async (texts) => {
      running += 1;
      most = Math.max(most, running);
      await turn();
      running -= 1;
      return byLength(texts);
    });
    await Promise.all(Array.from({ length: 10 }, (_, i) => embedder.embedTexts([String(i)])));
    expect(most).toBe(2);
  });

  it("gives up what takes too long, and its turn with it", async () => {
    let isHung = true;
    const { embedder, clock } = open((texts) => (isHung ? new Promise(() => {}) : byLength(texts)), { concurrency: 1 });
    const hung = embedder.embedTexts(["a"]);
    const waiting = embedder.embedTexts(["b"]);
    const outcomes = Promise.allSettled([hung, waiting]);
    await turn();
    clock.advance(1_000);
    expect(await outcomes).toMatchObject([
      { reason: { code: "EMBEDDING_FAILED", message: expect.stringContaining("took longer than 1000 ms") } },
      { reason: { code: "EMBEDDING_FAILED" } },
    ]);
    isHung = false;
    await turn();
    expect(await embedder.embedTexts(["c"])).toHaveLength(1);
  });

  it.each<[string, Embed, RegExp]>([
    ["other dims", () => [[1, 2, 3]], /have 3 numbers and store\.index\.dims says 2\. Set store\.index\.dims to 3/],
    ["too few vectors", () => [], /0 vectors for 1 texts/],
    ["no list", () => ({}) as never, /no vectors for 1 texts/],
    ["no vector", () => [null as never], /no vector/],
    ["no number", () => [[Number.NaN, 1]], /not finite/],
    [
      "an exception",
      () => {
        throw new TypeError("quota");
      },
      /quota/,
    ],
  ])("a model that returns %s fails", async (_, embed, message) => {
    const failure = { code: "EMBEDDING_FAILED", message: expect.stringMatching(message) as string };
    await expect(open(embed).embedder.embedTexts(["a"])).rejects.toMatchObject(failure);
  });

  it("asks once for a query that is searched for often, and again after a failure", async () => {
    const asked: string[] = [];
    const { embedder } = open(async (texts) => {
      asked.push(...texts);
      if (asked.length === 1) throw new Error("down");
      return byLength(texts);
    });
    await expect(embedder.embedQuery("q")).rejects.toThrow(/down/);
    const [one, two] = await Promise.all([embedder.embedQuery("q"), embedder.embedQuery("q")]);
    expect(one).toBe(two);
    await embedder.embedQuery("q");
    expect(asked).toEqual(["q", "q"]);
    for (let i = 0; i < 256; i += 1) await embedder.embedQuery(`other ${i}`);
    await embedder.embedQuery("q");
    expect(asked.filter((text) => text === "q")).toHaveLength(3);
  });
});

describe("a model", () => {
  it("is told apart by what it says of itself", () => {
    class Cats {
      readonly model = "tabby";
      readonly dimensions = 9;
      embedDocuments = async () => [[1]];
      embedQuery = async () => [1];
    }
    expect(toTextModel(new Cats(), "embed")).toMatchObject({ id: "Cats tabby", dims: 9 });
    expect(toTextModel(new Cats(), "embed", "a:b")).toMatchObject({ id: "a:b" });
    expect(toTextModel(byLength, "embed")).toMatchObject({ id: "function byLength", dims: null });
  });

  it.each([[{}], ["text"], [null], [{ embedDocuments: () => [] }]])("%j is none", (value) => {
    expect(() => toTextModel(value, "store.index.embed")).toThrow(/^store\.index\.embed: must be a function/);
  });
});
