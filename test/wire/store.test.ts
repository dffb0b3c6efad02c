import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf } from "../support/server.js";

describe.each(STORAGES)("long-term store by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  it("puts, gets, replaces and deletes", async () => {
    const { store } = server.client;
    await store.putItem(["users", "ann"], "profile", { age: 30 });
    const item = await store.getItem(["users", "ann"], "profile");
    expect(item).toMatchObject({ namespace: ["users", "ann"], key: "profile", value: { age: 30 } });
    await store.putItem(["users", "ann"], "profile", { age: 31 });
    const again = await store.getItem(["users", "ann"], "profile");
    expect(again!.value).toEqual({ age: 31 });
    expect(again!.createdAt).toBe(item!.createdAt);
    await store.deleteItem(["users", "ann"], "profile");
    expect(await store.getItem(["users", "ann"], "profile")).toBeNull();
    await store.deleteItem(["users", "ann"], "profile");
  });

  it("searches whole segments with filters and paging", async () => {
    const { store } = server.client;
    for (let i = 0; i < 4; i++) await store.putItem(["s", "a"], `k${i}`, { i, even: i % 2 === 0 });
    await store.putItem(["s", "ab"], "other", { i: 9 });
    const found = await store.searchItems(["s", "a"], { filter: { even: true } });
    expect(found.items.map((x) => x.key).sort()).toEqual(["k0", "k2"]);
    expect((await store.searchItems(["s", "a"], { filter: { i: { $gte: 2 } } })).items).toHaveLength(2);
    expect((await store.searchItems(["s"], { limit: 2, offset: 4 })).items).toHaveLength(1);
  });

  it("lists namespaces", async () => {
    const { store } = server.client;
    await store.putItem(["ns", "x", "deep"], "k", { v: 1 });
    await store.putItem(["ns", "y"], "k", { v: 1 });
    const all = await store.listNamespaces({ prefix: ["ns"] });
    expect(all.namespaces).toEqual([
      ["ns", "x", "deep"],
      ["ns", "y"],
    ]);
    const shallow = await store.listNamespaces({ prefix: ["ns"], maxDepth: 2 });
    expect(shallow.namespaces).toEqual([
      ["ns", "x"],
      ["ns", "y"],
    ]);
    expect((await store.listNamespaces({ prefix: ["ns"], suffix: ["deep"] })).namespaces).toEqual([
      ["ns", "x", "deep"],
    ]);
  });

  it("refuses bad namespaces, and by name what needs an index", async () => {
    const put = (body: object) =>
      fetch(`${server.url}/store/items`, { method: "PUT", body: JSON.stringify(body) }).then(async (r) => ({
        status: r.status,
        text: await r.text(),
      }));
    expect((await put({ namespace: [], key: "k", value: {} })).status).toBeGreaterThanOrEqual(400);
    expect(await put({ namespace: ["a.b"], key: "k", value: {} })).toMatchObject({
      status: 422,
      text: expect.stringContaining("a.b") as string,
    });
    expect(await put({ namespace: ["a"], key: "k", value: {}, index: ["text"] })).toMatchObject({
      status: 422,
      text: expect.stringContaining("index is not supported") as string,
    });
    expect(await statusOf(server.client.store.putItem(["a"], "k", [] as never))).toBe(422);
  });
});
