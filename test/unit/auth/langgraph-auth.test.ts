import { Auth, HTTPException, isStudioUser } from "@langchain/langgraph-sdk/auth";
import { describe, expect, it } from "vitest";
import { isLanggraphAuth, openLanggraphAuth } from "../../../src/auth/langgraph-auth.js";
import { STUDIO_USER } from "../../../src/auth/langgraph-user.js";
import { withStudio } from "../../../src/auth/studio.js";
import type { AuthAction, AuthResource, Caller } from "../../../src/core/auth.js";
import { ANONYMOUS, isAuthRefusal } from "../../../src/core/auth.js";

const warnings: string[] = [];
const logger = { debug() {}, info() {}, warn: (_: object, message: string) => void warnings.push(message), error() {} };
const request = (headers: Record<string, string> = {}) => new Request("http://x/threads", { headers });
const open = (auth: unknown) => {
  if (!isLanggraphAuth(auth)) throw new Error("no Auth");
  return openLanggraphAuth(auth, { logger });
};
const ANN: Caller = { identity: "ann", permissions: ["p"], user: { identity: "ann" } };

const ask = (auth: Auth, resource: AuthResource, action: AuthAction, value = {}) =>
  Promise.resolve(open(auth).authorizer?.authorize(ANN, { resource, action, value }));
const authenticated = () => new Auth().authenticate(() => "ann");

describe("authenticate", () => {
  it("takes an identity", async () => {
    const caller = await open(new Auth().authenticate(() => "ann")).authenticate(request());
    expect(caller).toEqual({
      identity: "ann",
      permissions: [],
      user: { identity: "ann", permissions: [], is_authenticated: true, display_name: "ann" },
    });
  });

  it("takes a user, also of a class, and keeps its extras as JSON", async () => {
    class User {
      readonly team = "blue";
      readonly since = new Date(0);
      get identity() {
        return "ann";
      }
      get permissions() {
        return ["read"];
      }
    }
    const caller = await open(new Auth().authenticate(async () => new User())).authenticate(request());
    expect(caller.permissions).toEqual(["read"]);
    expect(caller.user).toEqual({
      identity: "ann",
      permissions: ["read"],
      is_authenticated: true,
      display_name: "ann",
      team: "blue",
      since: "1970-01-01T00:00:00.000Z",
    });
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a number", 7],
    ["an empty identity", ""],
    ["an object without identity", { permissions: [] }],
    ["an identity that is no string", { identity: 7 }],
    ["an empty identity in an object", { identity: "", permissions: [] }],
    ["permissions that are no list", { identity: "ann", permissions: "all" }],
    ["permissions that are no strings", { identity: "ann", permissions: [1] }],
    ["what JSON can't hold", { identity: "ann", n: 1n }],
  ])("fails closed when it returns %s", async (_name, returned) => {
    const provider = open(new Auth().authenticate(() => returned as string));
    await expect((async () => provider.authenticate(request()))()).rejects.toThrow(TypeError);
  });

  it("refuses with an HTTPException's status, message and headers", async () => {
    const thrown = new HTTPException(429, {
      message: "Slowly",
      headers: [
        ["Retry-After", "3"],
        ["Content-Type", "text/html"],
        ["Content-Length", "99"],
      ],
    });
    const provider = open(
      new Auth().authenticate(() => {
        throw thrown;
      }),
    );
    const error = await Promise.resolve()
      .then(() => provider.authenticate(request()))
      .catch((caught: unknown) => caught);
    if (!isAuthRefusal(error)) throw error;
    expect(error).toMatchObject({ status: 429, code: "FORBIDDEN", message: "Slowly", headers: { "retry-after": "3" } });
    expect(Object.keys(error.headers)).toEqual(["retry-after"]);
  });

  it("refuses by the exception's shape alone, and takes other statuses for faults", async () => {
    const refusal = async (thrown: unknown) => {
      const provider = open(
        new Auth().authenticate(() => {
          throw thrown;
        }),
      );
      return Promise.resolve()
        .then(() => provider.authenticate(request()))
        .catch((caught: unknown) => caught);
    };
    expect(await refusal({ status: 403, headers: {}, message: "" })).toMatchObject({
      status: 403,
      message: "Forbidden",
    });
    expect(await refusal({ status: 401, headers: {} })).toMatchObject({ status: 401, message: "Unauthorized" });
    expect(await refusal({ status: 302, headers: {} })).toMatchObject({ status: 500, code: "INTERNAL" });
    expect(await refusal({ status: 503, headers: {}, message: "later" })).toMatchObject({
      status: 503,
      message: "later",
    });
    const other = new Error("db is down");
    expect(await refusal(other)).toBe(other);
    const invalid = await refusal({ status: 401, headers: { a: "x\r\nset-cookie: y" } });
    expect(isAuthRefusal(invalid)).toBe(false);
    expect(invalid).toBeInstanceOf(Error);
  });

  it("says when a handler has read the body, which the route needs", async () => {
    const provider = open(
      new Auth().authenticate(async (incoming) => {
        await incoming.text();
        return "ann";
      }),
    );
    const post = () => new Request("http://x/threads", { method: "POST", body: "{}" });
    await expect((async () => provider.authenticate(post()))()).rejects.toThrow(/clone/);
  });

  it("asks nobody without the handler, and says so", async () => {
    warnings.length = 0;
    const provider = open(new Auth().on("*", () => false));
    expect(await provider.authenticate(request())).toBe(ANONYMOUS);
    expect(provider.authorizer).toBeNull();
    expect(warnings).toEqual([expect.stringMatching(/no authenticate handler/)]);
  });

  it("lets Studio in where it may, as the user that the SDK recognises", async () => {
    const provider = open(new Auth().authenticate(() => "ann"));
    const headers = { "x-auth-scheme": "langsmith" };
    expect((await provider.authenticate(request(headers))).identity).toBe("ann");
    const studio = await withStudio(provider).authenticate(request(headers));
    expect(studio.user).toEqual(STUDIO_USER);
    expect(isStudioUser(studio.user as never)).toBe(true);
    expect((await withStudio(provider).authenticate(request())).identity).toBe("ann");
  });
});

describe("authorization handlers", () => {
  it.each([
    [["threads:read", "threads", "*:read", "*"], "threads:read"],
    [["threads", "*:read", "*"], "threads"],
    [["*:read", "*"], "*:read"],
    [["*"], "*"],
    [["assistants", "*:create", "threads:create"], null],
  ] as const)("of %j the first in the order of §7.3 is asked, and only that", async (events, expected) => {
    const auth = authenticated();
    const asked: string[] = [];
    for (const event of events) auth.on(event as "*", () => void asked.push(event));
    await ask(auth, "threads", "read");
    expect(asked).toEqual(expected === null ? [] : [expected]);
  });

  it("get the event, the value, the user and the permissions", async () => {
    const auth = authenticated();
    const seen: unknown[] = [];
    auth.on("threads:create", (operation) => void seen.push(operation));
    const value = { thread_id: "t" };
    await ask(auth, "threads", "create", value);
    expect(seen).toEqual([
      {
        event: "threads:create",
        resource: "threads",
        action: "create",
        value,
        user: { identity: "ann" },
        permissions: ["p"],
      },
    ]);
  });

  it("see the user as authenticate returned it, methods included", async () => {
    const auth = new Auth()
      .authenticate(() => ({ identity: "ann", permissions: [], may: (what: string) => what === "read" }))
      .on("threads:read", ({ user }) => (user as unknown as { may(what: string): boolean }).may("read"))
      .on("threads:delete", ({ user }) => (user as unknown as { may(what: string): boolean }).may("delete"));
    const provider = open(auth);
    const caller = await provider.authenticate(request());
    const may = async (action: AuthAction) =>
      provider.authorizer?.authorize(caller, { resource: "threads", action, value: {} });
    await expect(may("read")).resolves.toMatchObject({ access: { kind: "all" } });
    await expect(may("delete")).rejects.toMatchObject({ code: "FORBIDDEN" });
  });

  it.each([undefined, null, true, {}])("allow everything with %j", async (result) => {
    const auth = authenticated().on("*", () => result as boolean);
    await expect(ask(auth, "threads", "read")).resolves.toMatchObject({ access: { kind: "all" } });
  });

  it("allow what a filter matches", async () => {
    const auth = authenticated().on("*", () => ({ owner: "ann" }));
    await expect(ask(auth, "threads", "read")).resolves.toMatchObject({
      access: { kind: "match", where: { owner: "ann" } },
    });
  });

  it("refuse with false, and as an HTTPException says", async () => {
    await expect(
      ask(
        authenticated().on("*", () => false),
        "threads",
        "read",
      ),
    ).rejects.toMatchObject({
      code: "FORBIDDEN",
    });
    const teapot = authenticated().on("*", () => {
      throw new HTTPException(418, { message: "No" });
    });
    await expect(ask(teapot, "threads", "read")).rejects.toMatchObject({ status: 418, message: "No" });
  });

  it.each<[unknown, RegExp]>([
    ["yes", /Got "string" instead/],
    [1, /Got "number" instead/],
    [["owner"], /Got "array" instead/],
    [() => true, /Got "function" instead/],
    [{ owner: { $like: "a%" } }, /filter is not valid: owner\.\$like/],
    [{ owner: undefined }, /filter is not valid: owner/],
  ])("fail as a fault when they return %s", async (result, message) => {
    const auth = authenticated().on("*", () => result as boolean);
    const failure: unknown = await ask(auth, "threads", "read").catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "INTERNAL", message: expect.stringMatching(message) as string });
    expect(failure).toMatchObject({ message: expect.stringMatching(/threads:read/) as string });
  });

  it("are found among own keys only", async () => {
    const auth = authenticated();
    auth["~handlerCache"].callbacks = Object.create({ "*": () => false }) as never;
    await expect(ask(auth, "threads", "read")).resolves.toMatchObject({ access: { kind: "all" } });
  });
});

it("knows the SDK's Auth by its shape", () => {
  expect(isLanggraphAuth(new Auth())).toBe(true);
  expect(isLanggraphAuth({ "~handlerCache": {} })).toBe(true);
  for (const other of [null, undefined, "auth", {}, { "~handlerCache": null }, () => new Auth()]) {
    expect(isLanggraphAuth(other)).toBe(false);
  }
});
