import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiKey } from "../../../src/auth/api-key.js";
import type { Logger } from "../../../src/core/logger.js";
import {
  follow,
  openEventSource,
  pathOf,
  PROTOCOL_STORAGES,
  refused,
  serve,
  type Served,
  soon,
  workflow,
} from "./served.js";

/* Numbered assertions of docs/wire/state-store.md §4.3 on who asks. */

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

describe("29: without auth", () => {
  it("nobody is asked, and credentials in the query are nothing", async () => {
    const state = await serve("memory");
    try {
      const id = workflow();
      expect(await state.send("POST", pathOf(id, "k"), { value: 1 }, bearer("whatever"))).toMatchObject({
        status: 200,
      });
      const { source } = await openEventSource(`${state.url}${pathOf(id, "k")}/stream?api_key=nobody's`);
      source.close();
    } finally {
      await state.close();
    }
  });
});

describe.each(PROTOCOL_STORAGES)("with API keys on %s", (storage) => {
  let state: Served;
  const lines: string[] = [];
  const log = (fields: object, message: string): void => void lines.push(JSON.stringify({ ...fields, message }));
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  let ada: string;
  let bob: string;
  beforeAll(async () => {
    state = await serve(storage, { auth: apiKey({ cacheMs: 0, tenantKey: "tenant" }), logger });
    const make = async (identity: string, tenant: string): Promise<string> =>
      (await state.server.apiKeys.create({ identity, tenant, permissions: ["*"] })).secret;
    ada = await make("admin", "a.d*a%");
    bob = await make("admin", "bob");
  }, 60_000);
  afterAll(() => state.close());

  it("29: 401 without and with a bad key, 200 with a good one, and health is open", async () => {
    const path = pathOf(workflow(), "k");
    const unauthorized = refused(401, "UNAUTHORIZED");
    for (const headers of [{}, bearer("nonsense"), { authorization: "Basic eDp5" }]) {
      expect(await state.send("POST", path, { value: 1 }, headers)).toMatchObject(unauthorized);
      expect(await state.send("GET", `${path}/stream`, undefined, headers)).toMatchObject(unauthorized);
    }
    for (const headers of [bearer(ada), { authorization: `bEaReR ${ada}` }, { "x-api-key": ada }]) {
      expect(await state.send("POST", path, { value: 1 }, headers)).toMatchObject({ status: 200 });
    }
    expect(await state.send("GET", "/health")).toMatchObject({ status: 200, body: { status: "ok" } });
  });

  it.each(["api_key", "token"])(
    "29: a stream takes ?%s=, other requests don't, and logs have no word of it",
    async (name) => {
      const id = workflow();
      const path = pathOf(id, "k");
      const query = `?${name}=${ada}`;
      const { source, messages } = await openEventSource(`${state.url}${path}/stream${query}`);
      try {
        await state.send("POST", path, { value: 1 }, bearer(ada));
        await soon(
          () => messages.length === 1,
          () => "the message",
        );
      } finally {
        source.close();
      }
      expect(await state.send("GET", `${path}/stream?${name}=nonsense`)).toMatchObject(refused(401, "UNAUTHORIZED"));
      // Headers say who asks where both are sent.
      expect((await state.send("GET", `${path}/stream${query}`, undefined, bearer("nonsense"))).status).toBe(401);
      expect((await state.send("GET", `${path}${query}`)).status).toBe(401);
      expect((await state.send("POST", `${path}/version${query}`, { value: 1, version: 1 })).status).toBe(401);
      expect((await state.send("GET", `/v1/state/${id}${query}`)).status).toBe(401);
      await soon(
        () => lines.some((line) => line.includes("/stream")),
        () => "a log line",
      );
      expect(lines.filter((line) => line.includes(ada))).toEqual([]);
    },
  );

  it("30: two tenants with the same workflow and key never meet", async () => {
    const id = workflow();
    const path = pathOf(id, "k");
    const streams = [
      await openEventSource(`${state.url}${path}/stream?token=${ada}`),
      await openEventSource(`${state.url}${path}/stream?token=${bob}`),
    ] as const;
    try {
      expect((await state.send("POST", path, { value: "ada's" }, bearer(ada))).body).toEqual({ version: 1 });
      expect((await state.send("GET", path, undefined, bearer(bob))).status).toBe(404);
      expect((await state.send("GET", `/v1/state/${id}`, undefined, bearer(bob))).body).toEqual({ keys: [] });
      expect((await state.send("DELETE", path, undefined, bearer(bob))).body).toEqual({ deleted: false });
      const swapped = await state.send("POST", `${path}/version`, { value: "bob's", version: 1 }, bearer(bob));
      expect(swapped).toMatchObject(refused(409, "VERSION_CONFLICT", { currentVersion: 0 }));
      expect((await state.send("POST", path, { value: "bob's" }, bearer(bob))).body).toEqual({ version: 1 });
      expect((await state.send("GET", path, undefined, bearer(ada))).body).toEqual({ value: "ada's", version: 1 });
      await soon(
        () => streams.every(({ messages }) => messages.length > 0),
        () => "both messages",
      );
      const heard = streams.map(({ messages }) =>
        messages.map(({ data }) => (JSON.parse(data as string) as { newValue: unknown }).newValue),
      );
      expect(heard).toEqual([["ada's"], ["bob's"]]);
    } finally {
      for (const { source } of streams) source.close();
    }
  });

  it("30: a key that may not write is refused as such", async () => {
    const { secret } = await state.server.apiKeys.create({
      identity: "eve",
      tenant: "bob",
      permissions: ["store:get", "store:search"],
    });
    const id = workflow();
    expect(await state.send("POST", pathOf(id, "k"), { value: 1 }, bearer(secret))).toMatchObject(
      refused(403, "FORBIDDEN"),
    );
    expect((await state.send("DELETE", pathOf(id, "k"), undefined, bearer(secret))).status).toBe(403);
    expect((await state.send("GET", pathOf(id, "k"), undefined, bearer(secret))).status).toBe(404);
    expect((await state.send("GET", `/v1/state/${id}`, undefined, bearer(secret))).body).toEqual({ keys: [] });
  });
});

interface StoreValue {
  namespace?: string[];
  key?: string;
  value?: Record<string, unknown>;
}

describe("the SDK's Auth", () => {
  const users = () =>
    new Auth().authenticate((request) => {
      const name = /^Bearer (\w+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
      if (name === undefined) throw new HTTPException(401, { message: "Who are you?" });
      return name;
    });

  it.each([
    ["without handlers", users()],
    [
      "that wants the caller's name first",
      users().on("store", ({ value, user }) => {
        if ((value as StoreValue).namespace?.[0] !== user.identity) throw new HTTPException(403, { message: "no" });
      }),
    ],
    [
      "that puts the caller's name first",
      users().on("store", ({ value, user }) => {
        const place = value as StoreValue;
        place.namespace = [user.identity, ...(place.namespace ?? [])];
      }),
    ],
    ["that filters", users().on("store", ({ user }) => ({ namespace: { $contains: user.identity } }))],
  ])("30: %s keeps callers apart", async (_, auth) => {
    const state = await serve("memory", { auth });
    try {
      const path = pathOf("shared", "k");
      for (const name of ["ada", "bob"]) {
        expect((await state.send("POST", path, { value: name }, bearer(name))).body).toEqual({ version: 1 });
      }
      for (const name of ["ada", "bob"]) {
        expect((await state.send("GET", path, undefined, bearer(name))).body).toEqual({ value: name, version: 1 });
        expect((await state.send("GET", "/v1/state/shared", undefined, bearer(name))).body).toEqual({ keys: ["k"] });
      }
      expect((await state.send("DELETE", path, undefined, bearer("ada"))).body).toEqual({ deleted: true });
      expect((await state.send("GET", path, undefined, bearer("bob"))).body).toEqual({ value: "bob", version: 1 });
    } finally {
      await state.close();
    }
  });

  it("filters by value hide values, their changes and their keys", async () => {
    const auth = users().on("store", () => ({ value: "public" }));
    const state = await serve("memory", { auth });
    try {
      const key = pathOf("w", "k");
      expect(await state.send("POST", key, { value: "secret" }, bearer("ada"))).toMatchObject({ status: 403 });
      expect(await state.send("POST", key, { value: "public" }, bearer("ada"))).toMatchObject({ status: 200 });
      expect((await state.send("POST", `${key}/version`, { value: "public", version: 1 }, bearer("ada"))).body).toEqual(
        { version: 2 },
      );
      expect((await state.send("GET", "/v1/state/w", undefined, bearer("ada"))).body).toEqual({ keys: ["k"] });
      // Nor how often a value has changed that may be hidden.
      const following = await follow(`${state.url}${key}/stream`, bearer("ada"));
      expect(following.response.status).toBe(200);
      expect(following.response.headers.get("x-state-version")).toBeNull();
      following.close();
    } finally {
      await state.close();
    }
  });

  it("a handler may change what is written, and is refused what there is no place for", async () => {
    const auth = users().on("store:put", ({ value, user }) => {
      const item = (value as StoreValue).value ?? {};
      if (user.identity === "ada") item["value"] = { by: user.identity, was: item["value"] };
      else item["owner"] = user.identity;
    });
    const state = await serve("memory", { auth });
    try {
      await state.send("POST", pathOf("w", "k"), { value: 1 }, bearer("ada"));
      expect((await state.send("GET", pathOf("w", "k"), undefined, bearer("ada"))).body).toEqual({
        value: { by: "ada", was: 1 },
        version: 1,
      });
      const answer = await state.send("POST", pathOf("w", "k"), { value: 1 }, bearer("bob"));
      expect(answer).toMatchObject(refused(400, "INVALID_REQUEST"));
    } finally {
      await state.close();
    }
  });
});
