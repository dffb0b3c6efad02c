import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf } from "../support/server.js";
import { letters } from "../unit/embeddings/letter-model.js";

const MINUTE = 1;
/** 60 ms: as many minutes as a test can wait for. */
const SOON = 0.001;

const model = { down: false };
const embed = async (texts: string[]): Promise<number[][]> => {
  if (model.down) throw new Error("secret: the model is away");
  return texts.map(letters);
};

describe.each(STORAGES)("semantic search and times to live by the JS SDK on %s", (storage) => {
  let server: TestServer;
  const open = async (): Promise<TestServer> =>
    startServer(storage, { logLevel: "silent", store: { index: { dims: 26, embed, fields: ["text"] } } });
  beforeAll(async () => void (server = await open()));
  afterAll(() => server.close());
  const keys = async (
    namespace: string[],
    options: Parameters<TestServer["client"]["store"]["searchItems"]>[1],
  ): Promise<string[]> => (await server.client.store.searchItems(namespace, options)).items.map(({ key }) => key);
  const gone = async (namespace: string[], key: string): Promise<boolean> => {
    for (let i = 0; i < 500; i += 1) {
      if ((await server.client.store.getItem(namespace, key, { refreshTtl: false })) === null) return true;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return false;
  };

  it("finds by meaning, the nearest first, with a score", async () => {
    const { store } = server.client;
    await store.putItem(["find", "a"], "cat", { text: "cat", kind: "pet" });
    await store.putItem(["find", "a"], "cart", { text: "cart", kind: "thing" });
    await store.putItem(["find", "a"], "dog", { text: "dog", kind: "pet" });
    await store.putItem(["find", "ab"], "other", { text: "cat", kind: "pet" });
    await store.putItem(["find", "a"], "unspoken", { note: "no text" });
    const { items } = await store.searchItems(["find", "a"], { query: "act" });
    expect(items.map(({ key }) => key)).toEqual(["cat", "cart", "dog"]);
    expect(items[0]?.score).toBeCloseTo(1, 5);
    expect(items[1]?.score).toBeCloseTo(3 / Math.sqrt(12), 5);
    expect(items[2]?.score).toBeCloseTo(0, 5);
    expect(await keys(["find", "a"], { query: "act", filter: { kind: "pet" } })).toEqual(["cat", "dog"]);
    expect(await keys(["find", "a"], { query: "act", limit: 1, offset: 1 })).toEqual(["cart"]);
    expect(await keys(["find"], { query: "act", limit: 2 })).toEqual(expect.arrayContaining(["cat", "other"]));
    const { items: unasked } = await store.searchItems(["find", "a"]);
    expect(unasked).toHaveLength(4);
    expect(unasked.every((item) => !("score" in item))).toBe(true);
  });

  it("embeds what a put names, and nothing where it says so", async () => {
    const { store } = server.client;
    const place = ["index"];
    await store.putItem(place, "list", { parts: [{ t: "dog" }, { t: "cat" }] }, { index: ["parts[*].t"] });
    await store.putItem(place, "off", { text: "cat" }, { index: false });
    await store.putItem(place, "default", { text: "pig" });
    expect(await keys(place, { query: "cat" })).toEqual(["list", "default"]);
    await store.putItem(place, "list", { text: "pig" }, { index: false });
    expect(await keys(place, { query: "cat" })).toEqual(["default"]);
    await store.deleteItem(place, "default");
    expect(await keys(place, { query: "cat" })).toEqual([]);
    expect(await statusOf(store.putItem(place, "k", {}, { index: ["a[x]"] }))).toBe(422);
  });

  it("says when the model is away, and stores nothing then", async () => {
    const { store } = server.client;
    await store.putItem(["away"], "k", { text: "old" });
    model.down = true;
    const refused = async (call: Promise<unknown>): Promise<unknown> =>
      call.then(
        () => "done",
        (error: { status?: number; text?: string; message?: string }) => [error.status, String(error.message)],
      );
    const answer = [502, expect.not.stringContaining("secret") as string];
    expect(await refused(store.putItem(["away"], "k", { text: "new" }))).toEqual(answer);
    expect(await refused(store.searchItems(["away"], { query: "never asked before" }))).toEqual(answer);
    model.down = false;
    expect((await store.getItem(["away"], "k"))?.value).toEqual({ text: "old" });
  });

  it("items expire by their own time, and never with null", async () => {
    const { store } = server.client;
    await store.putItem(["ttl"], "soon", { text: "cat" }, { ttl: SOON });
    await store.putItem(["ttl"], "later", { text: "cat" }, { ttl: 10 * MINUTE });
    await store.putItem(["ttl"], "never", { text: "cat" }, { ttl: null });
    expect(await gone(["ttl"], "soon")).toBe(true);
    expect((await keys(["ttl"], {})).sort()).toEqual(["later", "never"]);
    expect((await keys(["ttl"], { query: "cat", refreshTtl: true })).sort()).toEqual(["later", "never"]);
    expect((await store.getItem(["ttl"], "later", { refreshTtl: true }))?.key).toBe("later");
    await store.putItem(["ttl", "gone"], "soon", {}, { ttl: SOON });
    expect(await gone(["ttl", "gone"], "soon")).toBe(true);
    expect((await store.listNamespaces({ prefix: ["ttl"] })).namespaces).toEqual([["ttl"]]);
  });

  it("reads lengthen a time, unless they say otherwise", { timeout: 60_000 }, async () => {
    const { store } = server.client;
    const ttlMs = 2_000;
    /** @returns what is there when the item that nobody lengthens is gone, and the longest time between two reads */
    const attempt = async (place: string) => {
      const names = ["read", "searched", "left"];
      for (const key of names) await store.putItem(["long", place, key], key, {}, { ttl: ttlMs / 60_000 });
      let longestMs = 0;
      let startedAt = Date.now();
      for (let i = 0; i < 1_000; i += 1) {
        const left = await store.getItem(["long", place, "left"], "left", { refreshTtl: false });
        const read = await store.getItem(["long", place, "read"], "read");
        const searched = await keys(["long", place, "searched"], { refreshTtl: true });
        longestMs = Math.max(longestMs, Date.now() - startedAt);
        startedAt = Date.now();
        if (left === null) return { longestMs, there: [read?.key, ...searched] };
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return { longestMs, there: names };
    };
    let result = await attempt("0");
    // A machine that is busy enough reads too late to lengthen anything.
    for (let i = 1; i < 5 && result.longestMs > ttlMs / 2; i += 1) result = await attempt(String(i));
    expect(result.there).toEqual(["read", "searched"]);
  });

  it.each([
    [{ ttl: 0 }, "ttl"],
    [{ ttl: "5" }, "ttl"],
    [{ index: true }, "index"],
    [{ index: ["a[x]"] }, "index[0]"],
    [{ namespace: ["ann@example.com"] }, "%2E"],
  ])("refuses %j by name", async (body, named) => {
    const answer = await fetch(`${server.url}/store/items`, {
      method: "PUT",
      body: JSON.stringify({ namespace: ["a"], key: "k", value: {}, ...body }),
    });
    expect([answer.status, await answer.text()]).toEqual([422, expect.stringContaining(named)]);
  });
});

it("a default time to live is for all items without their own", async () => {
  const server = await startServer("memory", { store: { ttl: { defaultTtlMinutes: SOON, refreshOnRead: false } } });
  try {
    const { store } = server.client;
    await store.putItem(["a"], "default", {});
    await store.putItem(["a"], "never", {}, { ttl: null });
    for (let i = 0; i < 100 && (await store.getItem(["a"], "default")) !== null; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { items } = await store.searchItems(["a"]);
    expect(items.map(({ key }) => key)).toEqual(["never"]);
  } finally {
    await server.close();
  }
});
