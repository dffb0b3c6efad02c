import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/json.js";
import { type Call, requester } from "../../support/requests.js";
import { STORAGES, type TestServer, startServer } from "../../support/server.js";

describe.each(STORAGES)("the long-term store over the wire on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startServer(storage);
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const keys = async (body: JsonObject): Promise<string> =>
    (await call("POST", "/store/items/search", { namespace_prefix: ["f"], ...body })).json.items
      .map((item: { key: string }) => item.key)
      .sort()
      .join();

  it("§2.10 labels of put and delete are not empty and have no period", async () => {
    for (const namespace of [["a.b"], [""], ["ok", "a.b"]]) {
      const put = await call("PUT", "/store/items", { namespace, key: "k", value: {} });
      const deleted = await call("DELETE", "/store/items", { namespace, key: "k" });
      for (const answer of [put, deleted]) {
        expect([answer.status, answer.json?.detail]).toEqual([
          422,
          expect.stringContaining("Namespace labels cannot be empty or contain periods"),
        ]);
      }
    }
    expect((await call("PUT", "/store/items", { namespace: [], key: "k", value: {} })).json.detail).toBe(
      "Namespace is required",
    );
    expect((await call("DELETE", "/store/items", { key: "k" })).status).toBe(204);
  });

  it("§2.10.1 put keeps created_at; NUL becomes U+FFFD everywhere", async () => {
    const put = (x: number) =>
      call("PUT", "/store/items", { namespace: ["n\u0000"], key: "k\u0000", value: { x, s: "a\u0000b" } });
    const get = async () =>
      (await call("POST", "/store/items/search", { namespace_prefix: ["n\u0000"] })).json.items[0];
    expect((await put(1)).status).toBe(204);
    const before = await get();
    await put(2);
    expect(await get()).toMatchObject({
      namespace: ["n\ufffd"],
      key: "k\ufffd",
      value: { x: 2, s: "a\ufffdb" },
      created_at: before.created_at,
    });
  });

  it("§2.10.2 get takes the namespace dotted or repeated (A27), and answers null", async () => {
    await call("PUT", "/store/items", { namespace: ["a", "b"], key: "k", value: { é: "😀" }, index: false, ttl: null });
    for (const query of ["namespace=a.b&key=k", "namespace=a&namespace=b&key=k&refresh_ttl=false"]) {
      expect((await call("GET", `/store/items?${query}`)).json).toMatchObject({
        namespace: ["a", "b"],
        value: { é: "😀" },
      });
    }
    for (const query of ["namespace=a.b&key=none", "key=k"]) {
      const answer = await call("GET", `/store/items?${query}`);
      expect([answer.status, answer.text]).toEqual([200, "null"]);
    }
  });

  it("§2.10.4 filters: equality, operators, all of them", async () => {
    await call("PUT", "/store/items", { namespace: ["f"], key: "one", value: { x: 1, s: "5" } });
    await call("PUT", "/store/items", { namespace: ["f", "g"], key: "two", value: { x: 2, s: "4" } });
    await call("PUT", "/store/items", { namespace: ["fg"], key: "other", value: { x: 1 } });
    expect(await keys({})).toBe("one,two");
    expect(await keys({ filter: { x: 1 } })).toBe("one");
    expect(await keys({ filter: { x: { $gte: "1" }, s: { $lt: 5 } } })).toBe("two");
    expect(await keys({ filter: { x: { $in: [2, 3] } } })).toBe("two");
    expect(await keys({ filter: { x: { $nin: [2] } } })).toBe("one");
    expect((await call("POST", "/store/items/search", { filter: { x: { $foo: 1 } } })).status).toBe(422);
  });

  it("§2.10.5 namespaces: sorted, cut, matched with wildcards", async () => {
    const list = async (body: JsonObject) => (await call("POST", "/store/namespaces", body)).json.namespaces;
    await call("PUT", "/store/items", { namespace: ["z", "1", "end"], key: "k", value: {} });
    await call("PUT", "/store/items", { namespace: ["z", "2", "end"], key: "k", value: {} });
    expect(await list({ prefix: ["z"] })).toEqual([
      ["z", "1", "end"],
      ["z", "2", "end"],
    ]);
    expect(await list({ prefix: ["z"], max_depth: 1 })).toEqual([["z"]]);
    expect(await list({ prefix: ["*", "2"] })).toEqual([["z", "2", "end"]]);
    expect(await list({ prefix: ["z"], suffix: ["1", "*"] })).toEqual([["z", "1", "end"]]);
    expect(await list({ prefix: ["z"], limit: 1, offset: 1 })).toEqual([["z", "2", "end"]]);
  });

  it("§2.5, §2.10 what needs an index is refused by name without one", async () => {
    const item = { namespace: ["a"], key: "k", value: {} };
    const refused = [
      [await call("PUT", "/store/items", { ...item, index: ["x"] }), "index"],
      [await call("POST", "/store/items/search", { query: "like this" }), "query"],
    ] as const;
    for (const [answer, field] of refused) {
      expect([answer.status, answer.json.detail]).toEqual([422, expect.stringContaining(`${field} is not supported`)]);
    }
  });
});
