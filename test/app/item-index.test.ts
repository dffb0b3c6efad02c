import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveConfig } from "../../src/config/resolve.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import type { Logger } from "../../src/core/logger.js";
import { openItemIndex } from "../../src/open-item-index.js";
import { until } from "../webhooks/receiver.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-index-"));
  const files: Readonly<Record<string, string>> = {
    "src/embed.ts": `
      import { size } from "./size.js";
      export const embed = async (texts: string[]): Promise<number[][]> => texts.map((text) => [text.length, size]);
      export default { embedDocuments: embed, embedQuery: async (text: string) => (await embed([text]))[0]!, dimensions: 2 };
      export const nothing = 5;`,
    "src/size.ts": "export const size = 7;",
    // A provider's package, as far as its embeddings.
    "node_modules/@langchain/openai/package.json": JSON.stringify({
      name: "@langchain/openai",
      type: "module",
      exports: { ".": { import: "./index.js", require: "./index.cjs" } },
    }),
    "node_modules/@langchain/openai/index.js": "",
    "node_modules/@langchain/openai/index.cjs": `
      exports.OpenAIEmbeddings = class {
        constructor(fields) {
          if (fields.model === "no-key") throw new Error("OPENAI_API_KEY is missing");
          this.model = fields.model;
          if (fields.model === "large") this.dimensions = 3072;
        }
        async embedDocuments(texts) { return texts.map((text) => [text.length, this.model.length]); }
        async embedQuery(text) { return [text.length, -1]; }
      };`,
  };
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), content);
  }
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** As `heddle serve` in the project; with `watch` as `heddle dev`. */
async function open(index: object, { env = {}, watch = false, logger = silent }: Partial<OpenOptions> = {}) {
  writeFileSync(join(dir, "langgraph.json"), JSON.stringify({ graphs: { agent: "./a.ts:graph" }, store: { index } }));
  const config = await resolveConfig({ flags: {}, options: { cwd: dir, env } });
  const opened = await openItemIndex(config.store.index, { clock: systemClock, logger, watch });
  if (opened === null) throw new Error("no index");
  return opened;
}
interface OpenOptions {
  readonly env: Record<string, string>;
  readonly watch: boolean;
  readonly logger: Logger;
}

const vectors = async (index: object): Promise<readonly number[][]> => {
  const { embedder } = await open(index);
  const embedded = await embedder.embedTexts(["abc"]);
  return [...embedded, await embedder.embedQuery("abcd")].map((vector) => Array.from(vector));
};

describe("store.index of langgraph.json", () => {
  it("names a function of a file, or LangChain's Embeddings", async () => {
    expect(await vectors({ dims: 2, embed: "./src/embed.ts:embed" })).toEqual([
      [3, 7],
      [4, 7],
    ]);
    expect(await vectors({ dims: 2, embed: "./src/embed.ts" })).toEqual([
      [3, 7],
      [4, 7],
    ]);
  });

  it("is loaded again by heddle dev when its sources change, under the same fingerprint, and stays when they are wrong", async () => {
    const told: string[] = [];
    const tell = (_fields: object, message: string): void => void told.push(message);
    const logger = { ...silent, info: tell, error: tell };
    const said = async (message: RegExp): Promise<void> => {
      await until(() => told.some((line) => message.test(line)));
      told.length = 0;
    };
    const { embedder, fingerprint, close } = await open(
      { dims: 2, embed: "./src/embed.ts:embed" },
      { watch: true, logger },
    );
    const asked = async (): Promise<readonly number[][]> =>
      [...(await embedder.embedTexts(["abc"])), await embedder.embedQuery("abcd")].map((vector) => Array.from(vector));
    expect(await asked()).toEqual([
      [3, 7],
      [4, 7],
    ]);
    writeFileSync(join(dir, "src/size.ts"), "export const size = 8;");
    await said(/^Reloaded store\.index\.embed$/);
    const second = [
      [3, 8],
      [4, 8],
    ];
    expect(await asked()).toEqual(second);
    writeFileSync(join(dir, "src/size.ts"), "export const size = ;");
    await said(/could not be loaded again/);
    expect(await asked()).toEqual(second);
    await close();
    writeFileSync(join(dir, "src/size.ts"), "export const size = 7;");
    const fresh = await open({ dims: 2, embed: "./src/embed.ts:embed" });
    expect(fresh.fingerprint).toBe(fingerprint);
    expect(told).toEqual([]);
  });

  it("names a provider's model, from the project's own packages", async () => {
    expect(await vectors({ dims: 2, embed: "openai:small" })).toEqual([
      [3, 5],
      [4, -1],
    ]);
  });

  it("comes from LANGGRAPH_STORE before the file", async () => {
    const store = JSON.stringify({ index: { dims: 2, embed: "openai:x", fields: ["a.b"] } });
    const { fields } = await open({ dims: 5, embed: "cohere:y" }, { env: { LANGGRAPH_STORE: store } });
    expect(fields.map(({ text }) => text)).toEqual(["a.b"]);
  });

  it.each([
    [{ dims: 2, embed: "cohere:m" }, "DEPENDENCY_MISSING", /npm install @langchain\/cohere/],
    [{ dims: 2, embed: "nobody:m" }, "CONFIG_INVALID", /no provider "nobody"\. Known are azure_openai, bedrock/],
    [{ dims: 2, embed: "openai:no-key" }, "CONFIG_INVALID", /"openai:no-key" could not be opened: OPENAI_API_KEY/],
    [{ dims: 2, embed: "openai:large" }, "CONFIG_INVALID", /dims: is 2, and the model .* of 3072 numbers/],
    [{ dims: 3, embed: "./src/embed.ts" }, "CONFIG_INVALID", /dims: is 3, and the model .* of 2 numbers/],
    [{ dims: 2, embed: "./src/embed.ts:nothing" }, "CONFIG_INVALID", /embed\.ts:nothing\): must be a function/],
    [{ dims: 2, embed: "./src/embed.ts:absent" }, "CONFIG_INVALID", /no export named "absent"/],
    [{ dims: 2, embed: "./absent.ts:embed" }, "CONFIG_INVALID|GRAPH_LOAD_FAILED", /absent\.ts/],
    [{ dims: 2, embed: "./embed.py:embed" }, "CONFIG_INVALID", /is a Python module/],
    [{ dims: 2, embed: "small" }, "CONFIG_INVALID", /"file:export" or "provider:model"/],
    [{ dims: 0, embed: "a:b" }, "CONFIG_INVALID", /store\.index\.dims/],
    [{ embed: "a:b" }, "CONFIG_INVALID", /store\.index\.dims/],
    [{ dims: 2, embed: "a:b", fields: ["a[x]"] }, "CONFIG_INVALID", /store\.index\.fields\.0: "a\[x\]" has/],
    [{ dims: 2, embed: "a:b", fieds: ["a"] }, "CONFIG_INVALID", /fieds/],
  ])("%j: %s", async (index, code, message) => {
    const refused = { code: expect.stringMatching(code) as string, message: expect.stringMatching(message) as string };
    await expect(open(index)).rejects.toMatchObject(refused);
  });

  it("has another fingerprint for another model, other dims, fields or version, and only then", async () => {
    const base = { dims: 2, embed: "openai:small" };
    const prints = [];
    for (const index of [
      base,
      { ...base, embed: "openai:other" },
      { ...base, dims: 3 },
      { ...base, fields: ["text"] },
      { ...base, version: "2" },
    ]) {
      prints.push((await open(index)).fingerprint);
    }
    expect(new Set(prints).size).toBe(5);
    expect((await open({ ...base, max_texts: 5, timeout_ms: 5, concurrency: 1 })).fingerprint).toBe(prints[0]);
  });
});
