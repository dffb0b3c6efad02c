import { Auth } from "@langchain/langgraph-sdk/auth";
import { describe, expect, it } from "vitest";
import { authFactory, AuthRefusal } from "../../src/core/auth.js";
import { bearer, ownersAuth } from "../support/owners-auth.js";
import type { AppOptions } from "../../src/config/options.js";
import { openHttpApp } from "./app.js";
import { openOwned, type Row, thread } from "./users.js";

describe("who asks", () => {
  it("is asked on every route but the public ones", async () => {
    const { app } = await openOwned();
    for (const path of ["/ok", "/info", "/docs", "/openapi.json"]) {
      expect([path, (await app.request("GET", path)).status]).toEqual([path, 200]);
    }
    const refused = await app.request("POST", "/threads/search", {});
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    expect(refused.headers.get("content-type")).toBe("application/json");
    expect(refused.headers.get("x-request-id")).not.toBeNull();
    expect(await refused.json()).toEqual({ detail: "Who are you?" });
  });

  it("answers a preflight without asking", async () => {
    const { app } = await openOwned();
    const response = await app.request("OPTIONS", "/threads/search", undefined, { headers: { origin: "http://a" } });
    expect(response.status).toBe(204);
  });

  it("is not asked Studio's way outside of heddle dev", async () => {
    const { app } = await openOwned();
    const headers = { "x-auth-scheme": "langsmith", "x-api-key": "lsv2_pt_x" };
    expect((await app.request("POST", "/threads/search", {}, { headers })).status).toBe(401);
  });

  it("is a fault of the server when the handler throws or returns something else, told in the log alone", async () => {
    for (const broken of [
      () => {
        throw new Error("the database's password is hunter2");
      },
      () => ({ name: "no identity" }),
    ]) {
      const { app } = await openOwned({ auth: new Auth().authenticate(broken as never) });
      const response = await app.request("POST", "/threads/search", {});
      expect(response.status).toBe(500);
      expect(await response.text()).not.toMatch(/hunter2|identity/);
      expect(app.log.filter(({ level }) => level === "error")).toHaveLength(1);
    }
  });

  it("may be decided by a factory of one's own, which is closed with the server", async () => {
    let closed = 0;
    const auth = authFactory(({ logger, clock }) => {
      logger.info({ at: clock.now() }, "opened");
      return {
        authenticate: (request) => {
          if (request.headers.get("x-user") === null) throw new AuthRefusal({ status: 407, message: "Which user?" });
          return { identity: "u", permissions: [], user: { identity: "u" } };
        },
        authorizer: null,
        close: async () => void (closed += 1),
      };
    });
    const { app } = await openOwned({ auth });
    expect((await app.request("POST", "/threads/search", {})).status).toBe(407);
    expect((await app.request("POST", "/threads/search", {}, { headers: { "x-user": "u" } })).status).toBe(200);
    await app.close();
    expect(closed).toBe(1);
  });

  it("is kept for a while with auth.cache", async () => {
    let asked = 0;
    const auth = new Auth().authenticate((request) => {
      asked += 1;
      return request.headers.get("authorization") ?? "nobody";
    });
    const { app } = await openOwned({ auth: { use: auth, cache: { headers: ["Authorization"] } } });
    for (const name of ["ann", "ann", "bob"]) {
      await app.request("POST", "/threads/search", {}, { headers: bearer(name) });
    }
    expect(asked).toBe(2);
  });

  it("is in the OpenAPI document, with what auth.openapi adds", async () => {
    type Operation = { security?: unknown; responses: Row; "x-scope"?: string; summary?: string };
    const documentOf = async (auth?: Partial<AppOptions>) => {
      const app = await openHttpApp(auth);
      return (await app.json("GET", "/openapi.json")).body as {
        security?: unknown;
        components: Row;
        paths: Record<string, Record<string, Operation>>;
      };
    };
    const without = await documentOf();
    expect(without.paths["/threads"]?.["post"]?.responses).not.toHaveProperty("401");
    expect(without).not.toHaveProperty("security");
    const openapi = {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
      security: [{ bearer: [] }],
      paths: { "/threads": { post: { "x-scope": "write" } }, "/mine": { get: { summary: "Mine" } } },
    };
    const { security, components, paths } = await documentOf({ auth: { use: ownersAuth(), openapi } });
    expect(security).toEqual([{ bearer: [] }]);
    expect(components["securitySchemes"]).toEqual(openapi.securitySchemes);
    const create = paths["/threads"]?.["post"];
    expect(Object.keys(create?.responses ?? {})).toEqual(expect.arrayContaining(["200", "401", "403"]));
    expect(create).toMatchObject({ "x-scope": "write", summary: expect.any(String) as string });
    expect(paths["/ok"]?.["get"]).toMatchObject({ security: [] });
    expect(paths["/mine"]).toEqual({ get: { summary: "Mine" } });
  });

  it("refuses to start with something that is no Auth, or an option that there is not", async () => {
    for (const auth of [{ use: {} }, {}, { use: new Auth(), cache: { headers: [] } }, { use: new Auth(), caches: 1 }]) {
      await expect(openOwned({ auth: auth as never })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    }
  });
});

describe("handlers", () => {
  it("whose result is not valid fail with 500 and a line in the log, and show nothing", async () => {
    for (const result of [{ owner: { $regex: ".*" } }, { owner: undefined }, "yes", { __proto__: { a: 1 }, $x: 1 }]) {
      const { app, ann } = await openOwned({ auth: ownersAuth().on("threads:search", () => result as never) });
      await thread(ann);
      const { status, body } = await ann("POST", "/threads/search", {});
      expect([result, status, body]).toEqual([result, 500, { detail: expect.stringMatching(/^Internal/) as string }]);
      const line = app.log.find(({ level }) => level === "error");
      expect(line?.fields["err"]).toMatchObject({
        message: expect.stringMatching(/Auth handler returned invalid result/) as string,
      });
    }
  });

  it("may stamp metadata, also where the client sent none", async () => {
    const { ann, bob } = await openOwned();
    const threadId = await thread(ann);
    expect((await ann("PATCH", `/threads/${threadId}`, {})).body["metadata"]).toEqual({ owner: "ann" });
    // Giving it away is undone by the handler.
    expect((await ann("PATCH", `/threads/${threadId}`, { metadata: { owner: "bob" } })).body["metadata"]).toEqual({
      owner: "ann",
    });
    expect((await bob("GET", `/threads/${threadId}`)).status).toBe(404);
    const assistant = await ann("POST", "/assistants", { graph_id: "counter", metadata: { owner: "bob" } });
    expect(assistant.body["metadata"]).toEqual({ owner: "ann" });
  });

  it.each([
    ["threads:create", "/threads", { metadata: "x" }],
    ["threads:create", "/threads", { metadata: { n: 1n } }],
    ["threads:search", "/threads/search", { metadata: ["x"] }],
    ["threads:create_run", "/runs", { metadata: 7 }],
    ["threads:create_run", "/runs", { kwargs: null }],
    ["threads:create_run", "/runs", { kwargs: { config: "x" } }],
    ["assistants:create", "/assistants", { metadata: [] }],
    ["store:put", "/store/items", { namespace: "x" }],
    ["store:put", "/store/items", { namespace: [] }],
    ["store:put", "/store/items", { namespace: ["a.b"] }],
    ["store:put", "/store/items", { namespace: null }],
    ["store:put", "/store/items", { key: 1 }],
    ["store:put", "/store/items", { value: "x" }],
    ["store:put", "/store/items", { index: true }],
    ["store:put", "/store/items", { ttl: 0 }],
    ["store:search", "/store/items/search", { query: 7 }],
    ["store:search", "/store/items/search", { refresh_ttl: "yes" }],
    ["store:search", "/store/items/search", { namespace: "x" }],
  ] as const)("%s that leaves an invalid value is answered with 422: %s %o", async (event, path, left) => {
    const auth = new Auth().authenticate(() => "ann").on(event, ({ value }) => void Object.assign(value, left));
    const { app } = await openOwned({ auth });
    const bodies: Record<string, unknown> = {
      "/runs": { assistant_id: "counter" },
      "/assistants": { graph_id: "counter" },
      "/store/items": { namespace: ["a"], key: "k", value: {} },
      "/store/items/search": { namespace_prefix: [] },
    };
    const response = await app.request(path === "/store/items" ? "PUT" : "POST", path, bodies[path] ?? {});
    expect([event, response.status]).toEqual([event, 422]);
    expect(((await response.json()) as Row)["detail"]).toEqual(expect.any(String));
  });
});
