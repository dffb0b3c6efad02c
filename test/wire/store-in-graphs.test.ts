import { Annotation, START, StateGraph, type LangGraphRunnableConfig } from "@langchain/langgraph";
import { Client } from "@langchain/langgraph-sdk";
import { Auth } from "@langchain/langgraph-sdk/auth";
import { describe, expect, it } from "vitest";
import { STORAGES, startServer } from "../support/server.js";
import { letters } from "../unit/embeddings/letter-model.js";

const State = Annotation.Root({ place: Annotation<string>, found: Annotation<readonly string[]> });

/** Puts by `config.store` and by the server's own API, and finds by meaning what both have put. */
const finds = new StateGraph(State)
  .addNode("find", async ({ place }, { store }: LangGraphRunnableConfig) => {
    const namespace = ["graphs", place];
    await Promise.all([store?.put(namespace, "cat", { text: "cat" }), store?.put(namespace, "dog", { text: "dog" })]);
    await new Client().store.putItem(namespace, "cart", { text: "dog", title: "cart" }, { index: ["title"], ttl: 10 });
    const items = (await store?.search(namespace, { query: "act" })) ?? [];
    return { found: items.map(({ key, score }) => `${key} ${score?.toFixed(1)}`) };
  })
  .addEdge(START, "find")
  .compile();

const embed = (texts: string[]): Promise<number[][]> => {
  if (texts.some((text) => text.includes("refused"))) throw new Error("quota exceeded");
  return Promise.resolve(texts.map(letters));
};
const store = { index: { dims: 26, embed, fields: ["text"] } };

describe.each(STORAGES)("the long-term store of graphs on %s", (storage) => {
  it("finds by meaning what graphs and clients have put", async () => {
    const server = await startServer(storage, { graphs: { finds }, store });
    try {
      const { client } = server;
      const { found } = (await client.runs.wait(null, "finds", { input: { place: "one" } })) as typeof State.State;
      expect(found).toEqual(["cat 1.0", "cart 0.9", "dog 0.0"]);
      const { items } = await client.store.searchItems(["graphs"], { query: "act", limit: 1 });
      expect(items.map(({ key }) => key)).toEqual(["cat"]);
    } finally {
      await server.close();
    }
  });
});

it("a model that fails is the graph's error, with its reason", async () => {
  const puts = new StateGraph(State)
    .addNode("put", async (_, config: LangGraphRunnableConfig) => {
      await config.store?.put(["graphs"], "k", { text: "refused" });
      return {};
    })
    .addEdge(START, "put")
    .compile();
  const server = await startServer("memory", { graphs: { puts }, store });
  try {
    const { thread_id: threadId } = await server.client.threads.create();
    const { run_id: runId } = await server.client.runs.create(threadId, "puts", { input: {} });
    await server.client.runs.join(threadId, runId).catch(() => {});
    expect((await server.client.runs.get(threadId, runId)).status).toBe("error");
    expect(JSON.stringify((await server.client.threads.get(threadId)) as object)).toContain("quota exceeded");
    expect(await server.client.store.getItem(["graphs"], "k")).toBeNull();
  } finally {
    await server.close();
  }
});

it("auth handlers see and may change what is embedded, searched for, and how long it lives", async () => {
  const seen: object[] = [];
  const auth = new Auth()
    .authenticate(() => "ann")
    .on("store:put", ({ value }) => {
      seen.push({ ...value });
      Object.assign(value, { index: ["title"], ttl: value.key === "short" ? 0.001 : 60 });
    })
    .on("store:search", ({ value }) => {
      seen.push({ ...value });
      if (value.query === "dog") value.query = "act";
    })
    .on("store:get", ({ value }) => void seen.push({ ...value }));
  const server = await startServer("memory", { store, auth });
  try {
    const { client } = server;
    await client.store.putItem(["a"], "k", { text: "zzz", title: "cat" }, { index: false, ttl: null });
    const { items } = await client.store.searchItems(["a"], { query: "dog", refreshTtl: true });
    expect(items[0]?.score).toBeCloseTo(1, 5);
    await client.store.getItem(["a"], "k", { refreshTtl: false });
    expect(seen).toMatchObject([
      { namespace: ["a"], key: "k", index: false, ttl: null },
      { namespace: ["a"], query: "dog", refresh_ttl: true },
      { namespace: ["a"], key: "k", refresh_ttl: false },
    ]);
    await client.store.putItem(["a"], "short", {}, { ttl: null });
    const isThere = async () => (await client.store.getItem(["a"], "short", { refreshTtl: false })) !== null;
    for (let i = 0; i < 500 && (await isThere()); i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await isThere()).toBe(false);
  } finally {
    await server.close();
  }
});
