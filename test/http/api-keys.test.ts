import { describe, expect, it } from "vitest";
import { apiKey, type ApiKeyOptions } from "../../src/auth/api-key.js";
import type { ApiKeyRequest } from "../../src/auth/api-key-admin.js";
import { isSameDigest, newApiKeySecret } from "../../src/auth/api-key-secret.js";
import { type HttpApp, openHttpApp } from "./app.js";
import type { Row } from "./users.js";

type Headers_ = Readonly<Record<string, string>>;

function as(app: HttpApp, headers: Headers_) {
  return async (method: string, path: string, body?: unknown) => {
    const response = await app.request(method, path, body, { headers });
    const text = await response.text();
    return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as Row, headers: response.headers };
  };
}

const EVERYTHING = { permissions: ["*"] } as const;

async function openKeys(options: ApiKeyOptions = {}) {
  const app = await openHttpApp({ auth: apiKey({ cacheMs: 0, ...options }) });
  const user = async (request: ApiKeyRequest) => {
    const { key, secret } = await app.apiKeys.create(request);
    return { key, secret, send: as(app, { "x-api-key": secret }) };
  };
  return { app, user };
}

const idOf = ({ body }: { readonly body: Row }, name: string): string => String(body[name]);

describe("apiKey()", () => {
  it("takes a key as x-api-key and as a bearer token, and nothing else for one", async () => {
    const { app, user } = await openKeys();
    const { secret } = await user({ identity: "ada", ...EVERYTHING });
    const right = [
      { "x-api-key": secret },
      { authorization: `Bearer ${secret}` },
      { authorization: `bearer  ${secret}` },
    ];
    for (const headers of right) expect((await as(app, headers)("POST", "/threads/search", {})).status).toBe(200);
    const wrong: readonly Headers_[] = [
      {},
      { "x-api-key": "" },
      { "x-api-key": secret.slice(0, -1) },
      { "x-api-key": `${secret}A` },
      { "x-api-key": secret.toLowerCase() },
      { "x-api-key": newApiKeySecret() },
      { "x-api-key": "hdl_" },
      { "x-api-key": "' OR 1=1 --" },
      { "x-api-key": '{"$ne":null}' },
      { authorization: secret },
      { authorization: `Basic ${secret}` },
      { authorization: `Bearer ${secret} ${secret}` },
      { "x-api-key": `hdl_${"é".repeat(43)}` },
    ];
    for (const headers of wrong) {
      const { status, headers: answered } = await as(app, headers)("POST", "/threads/search", {});
      expect([headers, status]).toEqual([headers, 401]);
      expect(answered.get("www-authenticate")).toMatch(/^Bearer /);
    }
    expect((await as(app, {})("GET", "/ok")).status).toBe(200);
    expect(JSON.stringify(app.log)).not.toContain(secret);
  });

  it("takes ours of two headers, and refuses two of ours that differ", async () => {
    const { app, user } = await openKeys();
    const [{ secret }, other] = [
      await user({ identity: "ada", ...EVERYTHING }),
      await user({ identity: "bob", ...EVERYTHING }),
    ];
    // What the SDKs send by themselves.
    const theirs = "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789";
    const cases: readonly (readonly [string, string, number])[] = [
      [theirs, secret, 200],
      [secret, theirs, 200],
      ["", secret, 200],
      [` ${secret} `, secret, 200],
      [theirs, theirs, 401],
      [secret, other.secret, 401],
      [newApiKeySecret(), secret, 401],
      [secret, newApiKeySecret(), 401],
    ];
    for (const [key, token, status] of cases) {
      const answer = await as(app, { "x-api-key": key, authorization: `Bearer ${token}` })(
        "POST",
        "/threads/search",
        {},
      );
      expect([key, token, answer.status]).toEqual([key, token, status]);
    }
    const both = { "x-api-key": secret, authorization: `Bearer ${other.secret}` };
    expect((await as(app, both)("POST", "/threads", {})).body).toEqual({
      detail: "Two API keys: x-api-key and authorization differ. Send one of them",
    });
    expect((await as(app, { "x-api-key": theirs })("POST", "/threads", {})).status).toBe(401);
  });

  it("takes it from another header when told so", async () => {
    const { app, user } = await openKeys({ header: "X-Token" });
    const { secret } = await user({ identity: "ada", ...EVERYTHING });
    expect((await as(app, { "x-token": secret })("POST", "/threads/search", {})).status).toBe(200);
    expect((await as(app, { "x-api-key": secret })("POST", "/threads/search", {})).status).toBe(401);
  });

  it("stops a revoked key at once where nothing is remembered, else within cacheMs", async () => {
    const { app, user } = await openKeys({ cacheMs: 0 });
    const { key, send } = await user({ identity: "ada", ...EVERYTHING });
    expect((await send("POST", "/threads/search", {})).status).toBe(200);
    expect((await app.apiKeys.revoke(key.keyId))?.revokedAt).not.toBeNull();
    expect((await send("POST", "/threads/search", {})).status).toBe(401);
    expect(await app.apiKeys.revoke("no such key")).toBeNull();
    expect((await app.apiKeys.list()).map(({ keyId }) => keyId)).toEqual([key.keyId]);
    expect(JSON.stringify(await app.apiKeys.list())).not.toContain("digest");
  });

  it("refuses what a key does not allow, and names it", async () => {
    const { app, user } = await openKeys({ roles: { reader: ["threads:read", "*:search"], nobody: [] } });
    const owner = await user({ identity: "ada", ...EVERYTHING });
    const threadId = idOf(await owner.send("POST", "/threads", {}), "thread_id");
    const cases: readonly (readonly [readonly string[], readonly number[]])[] = [
      [[], [403, 403, 403, 403]],
      [["*"], [200, 200, 200, 200]],
      [["threads:*"], [200, 200, 200, 403]],
      [["threads:read"], [200, 403, 403, 403]],
      [["*:search"], [403, 200, 403, 200]],
      [["reader"], [200, 200, 403, 200]],
      [
        ["nobody", "no-such-role"],
        [403, 403, 403, 403],
      ],
      [["rows:all"], [403, 403, 403, 403]],
    ];
    for (const [permissions, statuses] of cases) {
      const { send } = await user({ identity: "ada", permissions });
      const answers = [
        await send("GET", `/threads/${threadId}`),
        await send("POST", "/threads/search", {}),
        await send("POST", "/threads", {}),
        await send("POST", "/store/items/search", {}),
      ];
      expect([permissions, answers.map(({ status }) => status)]).toEqual([permissions, statuses]);
    }
    const { send } = await user({ identity: "ada", permissions: ["threads:read"] });
    expect((await send("POST", "/threads", {})).body).toEqual({ detail: "This needs the permission threads:create" });
    expect(app.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("refuses wrong options and wrong keys by name", async () => {
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [{ cacheMs: -1 }, /cacheMs/],
      [{ cacheMs: 3_600_000 }, /cacheMs/],
      [{ header: "a b" }, /header/],
      [{ roles: { a: ["threads:fly"] } }, /roles\.a.*threads:fly/],
      [{ roles: { "a:b": [] } }, /a:b/],
      [{ ownerKey: "$or" }, /\$or/],
      [{ ownerKey: "x", tenantKey: "x" }, /must differ/],
    ];
    for (const [options, message] of wrong) expect(() => apiKey(options as never), String(message)).toThrow(message);
    const { app } = await openKeys();
    const badKeys: readonly (readonly [Partial<ApiKeyRequest>, string])[] = [
      [{ identity: "" }, "identity"],
      [{ identity: "a\nb" }, "identity"],
      [{ identity: "\ud800" }, "identity"],
      [{ identity: "x".repeat(257) }, "identity"],
      [{ tenant: "" }, "tenant"],
      [{ label: "\u0007" }, "label"],
      [{ permissions: ["threads:fly"] }, "permissions"],
      [{ expiresInMs: 0 }, "expiresInMs"],
      [{ expiresInMs: Number.NaN }, "expiresInMs"],
    ];
    for (const [request, field] of badKeys) {
      await expect(app.apiKeys.create({ identity: "a", permissions: [], ...request })).rejects.toMatchObject({
        code: "INVALID_REQUEST",
        message: expect.stringMatching(new RegExp(`^${field}: `)) as string,
      });
    }
  });
});

describe("rows", () => {
  it("belong to who made them, whatever the client says, and nobody else sees them", async () => {
    const { user } = await openKeys();
    const ada = await user({ identity: "ada", ...EVERYTHING });
    const bob = await user({ identity: "bob", ...EVERYTHING });
    const made = await ada.send("POST", "/threads", { metadata: { owner: "bob", topic: "x" } });
    expect(made.body["metadata"]).toEqual({ owner: "ada", topic: "x" });
    const threadId = idOf(made, "thread_id");
    expect((await bob.send("GET", `/threads/${threadId}`)).status).toBe(404);
    expect((await bob.send("PATCH", `/threads/${threadId}`, { metadata: { owner: "bob" } })).status).toBe(404);
    expect((await bob.send("POST", "/threads/search", { metadata: { owner: "ada" } })).body).toEqual([]);
    expect((await bob.send("POST", "/threads/count", {})).body).toBe(0);
    expect((await bob.send("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "counter" })).status).toBe(404);
    expect((await bob.send("DELETE", `/threads/${threadId}`)).status).toBe(404);
    const given = await ada.send("PATCH", `/threads/${threadId}`, { metadata: { owner: "bob", topic: "y" } });
    expect(given.body["metadata"]).toMatchObject({ owner: "ada", topic: "y" });
    const run = await ada.send("POST", `/threads/${threadId}/runs`, {
      assistant_id: "counter",
      metadata: { owner: "z" },
    });
    expect(run.body["metadata"]).toMatchObject({ owner: "ada" });
    expect((await bob.send("GET", `/threads/${threadId}/runs/${idOf(run, "run_id")}`)).status).toBe(404);
    // A second key of the same identity is the same person.
    const again = await user({ identity: "ada", ...EVERYTHING });
    expect((await again.send("GET", `/threads/${threadId}`)).status).toBe(200);
  });

  it("of the server itself are there for all, and nobody can claim to be it", async () => {
    const { user } = await openKeys();
    const ada = await user({ identity: "ada", ...EVERYTHING });
    const bob = await user({ identity: "bob", ...EVERYTHING });
    const system = (await bob.send("POST", "/assistants/search", { graph_id: "counter" }))
      .body as unknown as readonly Row[];
    expect(system).toHaveLength(1);
    const id = String(system[0]?.["assistant_id"]);
    expect((await bob.send("GET", `/assistants/${id}`)).status).toBe(200);
    expect((await bob.send("PATCH", `/assistants/${id}`, { name: "mine" })).status).toBe(404);
    const fake = await ada.send("POST", "/assistants", { graph_id: "counter", metadata: { created_by: "system" } });
    expect(fake.body["metadata"]).toEqual({ owner: "ada" });
    const fakeId = idOf(fake, "assistant_id");
    await ada.send("PATCH", `/assistants/${fakeId}`, { metadata: { created_by: "system", owner: "bob" } });
    expect((await ada.send("GET", `/assistants/${fakeId}`)).body["metadata"]).toEqual({ owner: "ada" });
    expect((await bob.send("GET", `/assistants/${fakeId}`)).status).toBe(404);
    const run = await bob.send("POST", "/runs/wait", { assistant_id: fakeId, input: {} });
    expect(run.status).toBe(404);
    expect((await bob.send("POST", "/runs/wait", { assistant_id: "counter", input: {} })).status).toBe(200);
  });

  it("of tenants are apart; whoever has none does nothing, and where there are none nobody has one", async () => {
    const { user } = await openKeys({ cacheMs: 0, tenantKey: "org", ownerKey: null });
    const [a, b, c] = await Promise.all([
      user({ identity: "ada", tenant: "acme", ...EVERYTHING }),
      user({ identity: "bob", tenant: "acme", ...EVERYTHING }),
      user({ identity: "ada", tenant: "other", ...EVERYTHING }),
    ]);
    const threadId = idOf(await a.send("POST", "/threads", { metadata: { org: "other" } }), "thread_id");
    expect((await b.send("GET", `/threads/${threadId}`)).body["metadata"]).toEqual({ org: "acme" });
    expect((await c.send("GET", `/threads/${threadId}`)).status).toBe(404);
    const none = await user({ identity: "ada", ...EVERYTHING });
    expect(await none.send("GET", `/threads/${threadId}`)).toMatchObject({ status: 403 });
    const { user: userOfOthers } = await openKeys();
    const stray = await userOfOthers({ identity: "ada", tenant: "acme", ...EVERYTHING });
    expect((await stray.send("POST", "/threads/search", {})).status).toBe(403);
  });

  it("of tenants use up what is theirs alone", async () => {
    const requestsPerCaller = { perSecond: 0.001, burst: 2 };
    const app = await openHttpApp({ auth: apiKey({ tenantKey: "org" }), limits: { requestsPerCaller } });
    const [acme, again, other] = await Promise.all(
      ["acme", "acme", "other"].map(async (tenant) => {
        const { secret } = await app.apiKeys.create({ identity: "ada", tenant, ...EVERYTHING });
        return as(app, { "x-api-key": secret });
      }),
    );
    const statuses: (number | undefined)[] = [];
    for (const send of [acme, again, acme, other]) statuses.push((await send?.("POST", "/threads/search", {}))?.status);
    expect(statuses).toEqual([200, 200, 429, 200]);
  });

  it("are all seen with rows:all, which * does not include", async () => {
    const { user } = await openKeys({ cacheMs: 0, tenantKey: "tenant" });
    const ada = await user({ identity: "ada", tenant: "acme", ...EVERYTHING });
    const operator = await user({ identity: "op", permissions: ["*", "rows:all"] });
    const threadId = idOf(await ada.send("POST", "/threads", {}), "thread_id");
    expect((await operator.send("GET", `/threads/${threadId}`)).status).toBe(200);
    const forAda = await operator.send("POST", "/threads", { metadata: { owner: "ada", tenant: "acme" } });
    expect((await ada.send("GET", `/threads/${idOf(forAda, "thread_id")}`)).status).toBe(200);
    await ada.send("PUT", "/store/items", { namespace: ["acme", "ada"], key: "k", value: {} });
    expect((await operator.send("GET", "/store/items?namespace=acme.ada&key=k")).body).toMatchObject({ key: "k" });
  });
});

describe("items of the store", () => {
  it("lie under the caller's own labels, and searches see nothing else", async () => {
    const { user } = await openKeys({ cacheMs: 0, tenantKey: "tenant" });
    const ada = await user({ identity: "ada@x.org", tenant: "acme", ...EVERYTHING });
    const eve = await user({ identity: "*", tenant: "acme", ...EVERYTHING });
    const mine = ["acme", "ada@x%2Eorg", "notes"];
    expect((await ada.send("PUT", "/store/items", { namespace: mine, key: "k", value: { a: 1 } })).status).toBe(204);
    for (const namespace of [
      ["acme"],
      ["acme", "eve"],
      ["other", "ada@x%2Eorg"],
      ["notes"],
      ["acme", "ada@x%2Eorgx"],
    ]) {
      const put = await ada.send("PUT", "/store/items", { namespace, key: "k", value: {} });
      expect([namespace, put.status]).toEqual([namespace, 403]);
    }
    expect((await eve.send("PUT", "/store/items", { namespace: ["acme", "%2A"], key: "k", value: {} })).status).toBe(
      204,
    );
    const all = async (who: typeof ada, body: object) => {
      const { items = [] } = (await who.send("POST", "/store/items/search", body)).body as { items?: readonly Row[] };
      return items.map((item) => item["namespace"]);
    };
    for (const body of [{}, { namespace_prefix: ["acme"] }, { namespace_prefix: mine }]) {
      expect(await all(ada, body)).toEqual([mine]);
    }
    expect((await ada.send("POST", "/store/items/search", { namespace_prefix: ["other"] })).status).toBe(403);
    expect((await eve.send("POST", "/store/items/search", { namespace_prefix: mine })).status).toBe(403);
    const spaces = async (who: typeof ada, body: object) => (await who.send("POST", "/store/namespaces", body)).body;
    expect(await spaces(ada, {})).toEqual({ namespaces: [mine] });
    expect(await spaces(eve, { prefix: ["acme"] })).toEqual({ namespaces: [["acme", "%2A"]] });
    expect((await eve.send("POST", "/store/namespaces", { prefix: ["*", "*"] })).status).toBe(403);
    expect((await eve.send("GET", `/store/items?namespace=${mine.join(".")}&key=k`)).status).toBe(403);
    expect((await eve.send("DELETE", "/store/items", { namespace: mine, key: "k" })).status).toBe(403);
  });
});

describe("digests", () => {
  it("are equal or not, and never of another length", () => {
    const a = "a".repeat(64);
    expect(isSameDigest(a, a)).toBe(true);
    for (const other of ["b".repeat(64), "a".repeat(63), "a".repeat(65), "", a.toUpperCase(), `${a.slice(0, 63)}g`]) {
      expect(isSameDigest(a, other), other).toBe(false);
    }
    expect(isSameDigest("", "")).toBe(false);
  });
});
