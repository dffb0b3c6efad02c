import { Annotation, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";
import { Client } from "@langchain/langgraph-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiKey } from "../../../src/auth/api-key.js";
import { statusOf } from "../../support/server.js";
import { pathOf, PROTOCOL_STORAGES, serve, type Served, soon, workflow } from "./served.js";

/* Assertion 35 of docs/wire/state-store.md §4.3: values are items of the LangGraph API. */

describe.each(PROTOCOL_STORAGES)("35: values as items on %s", (storage) => {
  let state: Served;
  let store: Client["store"];
  beforeAll(async () => {
    state = await serve(storage);
    ({ store } = new Client({ apiUrl: state.apiUrl, apiKey: null }));
  }, 60_000);
  afterAll(() => state.close());

  it("35: a value is an item {value} under [state, workflow]", async () => {
    const id = workflow();
    await state.set(id, "k", { step: 1 });
    const item = await store.getItem(["state", id], "k");
    expect(item).toMatchObject({ namespace: ["state", id], key: "k", value: { value: { step: 1 } } });
    expect(Date.parse(item?.createdAt ?? "")).toBeGreaterThan(0);
    expect(await store.getItem(["state", id], "other")).toBeNull();
  });

  it("35: what is put or deleted there counts a version and is told to who follows", async () => {
    const id = workflow();
    const following = await state.follow(id, "k");
    await store.putItem(["state", id], "k", { value: "by item" });
    expect(await state.get(id, "k")).toEqual({ value: "by item", version: 1 });
    await state.set(id, "k", "by state");
    expect((await store.getItem(["state", id], "k"))?.value).toEqual({ value: "by state" });
    await store.deleteItem(["state", id], "k");
    expect((await state.send("GET", pathOf(id, "k"))).status).toBe(404);
    await store.putItem(["state", id], "k", { value: null });
    expect((await following.changes(4)).map(({ newValue, version }) => [version, newValue])).toEqual([
      [1, "by item"],
      [2, "by state"],
      [3, null],
      [4, null],
    ]);
    following.close();
  });

  it("35: a time to live of either counts for both", async () => {
    const id = workflow();
    await store.putItem(["state", id], "k", { value: 1 }, { ttl: 0.002 });
    await soon(
      async () => (await state.send("GET", pathOf(id, "k"))).status === 404,
      () => "its end",
    );
    await state.set(id, "k", 2, { ttl: 0.1 });
    await soon(
      async () => (await store.getItem(["state", id], "k")) === null,
      () => "its end",
    );
    expect((await state.send("GET", `/v1/state/${id}`)).body).toEqual({ keys: [] });
  });

  it("35: items that are no {value}, and paths to embed, are refused there", async () => {
    const id = workflow();
    for (const value of [{}, { a: 1 }, { value: 1, more: 2 }]) {
      expect(await statusOf(store.putItem(["state", id], "k", value))).toBe(422);
    }
    expect(await statusOf(store.putItem(["state", id], "k", { value: 1 }, { index: ["value"] }))).toBe(422);
    await store.putItem(["state", id, "deeper"], "k", { a: 1 });
    await store.putItem(["other", "state", id], "k", { a: 1 });
    expect((await state.send("GET", `/v1/state/${id}`)).body).toEqual({ keys: [] });
    expect((await store.getItem(["other", "state", id], "k"))?.value).toEqual({ a: 1 });
  });

  it("35: searches find them among the others, newest first, by page and by filter", async () => {
    const [one, two] = [workflow(), workflow()];
    const label = `label-${one}`;
    for (let n = 0; n < 4; n += 1) {
      await state.set(one, `k${n}`, n);
      await store.putItem([label, "x"], `k${n}`, { n });
    }
    await state.set(two, "k", { status: "paid" });
    const search = async (prefix: string[], options: object = {}) =>
      (await store.searchItems(prefix, { limit: 100, ...options })).items;
    expect((await search(["state", one])).map(({ key }) => key).sort()).toEqual(["k0", "k1", "k2", "k3"]);
    expect(
      (await search(["state"], { filter: { value: { status: "paid" } } })).map(({ namespace }) => namespace),
    ).toContainEqual(["state", two]);
    expect(
      (await search(["state", one], { filter: { value: { $gte: 2 } } }))
        .map(({ value }) => Number(value["value"]))
        .sort((a, b) => a - b),
    ).toEqual([2, 3]);
    expect(await search(["state", one, "k0"])).toEqual([]);
    expect(await search(["stat"])).toEqual([]);
    const all = await search([]);
    const times = all.map(({ updatedAt }) => Date.parse(updatedAt));
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const mine = all.filter(({ namespace }) => namespace[0] === label || namespace[1] === one);
    expect(mine).toHaveLength(8);
    const pages: unknown[] = [];
    for (let offset = 0; offset < all.length; offset += 3) pages.push(...(await search([], { limit: 3, offset })));
    expect(pages).toHaveLength(all.length);
    expect(new Set(pages.map((item) => JSON.stringify(item)))).toEqual(
      new Set(all.map((item) => JSON.stringify(item))),
    );
  });

  it("35: their namespaces are listed with the others'", async () => {
    const id = workflow();
    await state.set(id, "k", 1);
    await state.set(`${id}.a`, "k", 1);
    await store.putItem(["zzz", id], "k", { a: 1 });
    const list = async (options: object) => (await store.listNamespaces({ limit: 1_000, ...options })).namespaces;
    const all = await list({});
    for (const namespace of [
      ["state", id],
      ["state", `${id}%2Ea`],
      ["zzz", id],
    ])
      expect(all).toContainEqual(namespace);
    expect(all).toEqual(all.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)));
    expect(await list({ suffix: [id] })).toEqual([
      ["state", id],
      ["zzz", id],
    ]);
    expect(await list({ prefix: ["state"], maxDepth: 1 })).toEqual([["state"]]);
    expect(await list({ prefix: ["zzz"] })).not.toContainEqual(["state", id]);
    const [first, second] = [await list({ limit: 1 }), await list({ limit: 1, offset: 1 })];
    expect([...first, ...second]).toEqual(all.slice(0, 2));
  });
});

describe("35: in graphs", () => {
  it("config.store reads and writes the values, and who follows hears of it", async () => {
    const counts = new StateGraph(Annotation.Root({ seen: Annotation<unknown> }))
      .addNode("count", async (_, { store }: LangGraphRunnableConfig) => {
        const item = await store?.get(["state", "order"], "count");
        const seen: unknown = item?.value["value"];
        await store?.put(["state", "order"], "count", { value: Number(seen) + 1 });
        const found = await store?.search(["state"]);
        return { seen: [seen, found?.map(({ value }) => value)] };
      })
      .addEdge(START, "count")
      .compile();
    const state = await serve("memory", { graphs: { counts } });
    try {
      await state.set("order", "count", 41);
      const following = await state.follow("order", "count");
      const client = new Client({ apiUrl: state.apiUrl, apiKey: null });
      expect(await client.runs.wait(null, "counts", { input: {} })).toEqual({ seen: [41, [{ value: 42 }]] });
      expect(await following.changes(1)).toEqual([{ oldValue: 41, newValue: 42, version: 2 }]);
      following.close();
    } finally {
      await state.close();
    }
  });
});

describe("35: with API keys", () => {
  it("a caller's values are items under its labels, and nobody else's", async () => {
    const state = await serve("memory", { auth: apiKey({ cacheMs: 0 }) });
    try {
      const [ada, bob] = await Promise.all(
        ["ada", "b.ob"].map(
          async (identity) => (await state.server.apiKeys.create({ identity, permissions: ["*"] })).secret,
        ),
      );
      const storeOf = (secret = "") => new Client({ apiUrl: state.apiUrl, apiKey: secret }).store;
      for (const [secret, value] of [
        [ada, "ada's"],
        [bob, "bob's"],
      ]) {
        await state.send("POST", pathOf("w", "k"), { value }, { authorization: `Bearer ${secret}` });
      }
      expect((await storeOf(ada).getItem(["ada", "state", "w"], "k"))?.value).toEqual({ value: "ada's" });
      const seen = async (secret?: string) =>
        (await storeOf(secret).searchItems([])).items.map(({ namespace, value }) => [namespace, value]);
      expect(await seen(ada)).toEqual([[["ada", "state", "w"], { value: "ada's" }]]);
      expect(await seen(bob)).toEqual([[["b%2Eob", "state", "w"], { value: "bob's" }]]);
      expect((await storeOf(bob).listNamespaces({})).namespaces).toEqual([["b%2Eob", "state", "w"]]);
      expect(await statusOf(storeOf(bob).getItem(["ada", "state", "w"], "k"))).toBe(403);
      await storeOf(ada).putItem(["ada", "state", "w"], "k", { value: "again" });
      const answer = await state.send("GET", pathOf("w", "k"), undefined, { authorization: `Bearer ${ada}` });
      expect(answer.body).toEqual({ value: "again", version: 2 });
      // Code in the server sees everybody's: graphs do.
      const { SERVER } = await import("../../../src/core/auth.js");
      const { items } = state.server.services;
      const all = await items.search(SERVER, { namespacePrefix: [], limit: 10, offset: 0 });
      expect(all).toHaveLength(2);
    } finally {
      await state.close();
    }
  });
});
