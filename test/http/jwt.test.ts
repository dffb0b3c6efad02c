import { createHmac } from "node:crypto";
import { exportSPKI, generateKeyPair } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jwt } from "../../src/auth/jwt.js";
import type { JwtOptions } from "../../src/auth/jwt-options.js";
import { TokenIssuer } from "../support/token-issuer.js";
import { type HttpApp, openHttpApp } from "./app.js";
import type { Row } from "./users.js";

let issuer: TokenIssuer;
beforeEach(async () => {
  issuer = await new TokenIssuer().open();
});
afterEach(() => issuer.close());

const openJwt = (options: Partial<JwtOptions> = {}) =>
  openHttpApp({ auth: jwt({ issuer: issuer.url, audience: "agents", ...options }) });

async function ask(app: HttpApp, token: string, method = "POST", path = "/threads/search", body: unknown = {}) {
  const response = await app.request(method, path, method === "GET" ? undefined : body, {
    headers: { authorization: `Bearer ${token}` },
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as Row, headers: response.headers };
}

const base64 = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A token whose header and payload are ours and whose signature is whatever `sign` makes of them. */
function forged(header: object, sign: (input: string) => string): string {
  const payload = { iss: issuer.url, aud: "agents", sub: "ada", iat: now(), exp: now() + 60 };
  const input = `${base64(header)}.${base64(payload)}`;
  return `${input}.${sign(input)}`;
}

const now = (): number => Math.floor(Date.now() / 1000);

describe("jwt()", () => {
  it.each(["RS256", "PS256", "ES256", "EdDSA"])("takes a good token, signed with %s", async (alg) => {
    await issuer.addKey("one", alg);
    const app = await openJwt();
    const token = await issuer.token({}, { alg });
    expect((await ask(app, token)).status).toBe(200);
    expect(issuer.hits).toEqual({ discovery: 1, keys: 1 });
    expect(JSON.stringify(app.log)).not.toContain(token);
  });

  it("takes keys from jwksUri, and those that it is given, without discovery", async () => {
    await issuer.addKey("one");
    const token = await issuer.token();
    expect((await ask(await openJwt({ jwksUri: `${issuer.url}/keys` }), token)).status).toBe(200);
    expect((await ask(await openJwt({ jwks: issuer.jwks }), token)).status).toBe(200);
    expect(issuer.hits).toEqual({ discovery: 0, keys: 1 });
  });

  it("refuses a token that is expired, early, of another issuer or audience, or that lacks a claim", async () => {
    await issuer.addKey("one");
    const app = await openJwt({ maxAgeSeconds: 600 });
    const wrong: readonly (readonly [Record<string, unknown>, number])[] = [
      [{ exp: now() - 6 }, 401],
      [{ exp: null }, 401],
      [{ exp: undefined }, 401],
      [{ exp: "9999999999" }, 401],
      [{ nbf: now() + 30 }, 401],
      [{ iat: now() - 3_600 }, 401],
      [{ aud: "others" }, 401],
      [{ aud: ["others"] }, 401],
      [{ aud: undefined }, 401],
      [{ iss: `${issuer.url}/` }, 401],
      [{ iss: undefined }, 401],
      [{ iss: [issuer.url] }, 401],
      [{ sub: undefined }, 403],
      [{ sub: "" }, 403],
      [{ sub: 7 }, 403],
      [{ sub: { $ne: null } }, 403],
      [{ sub: "a\u0000b" }, 403],
    ];
    for (const [claims, status] of wrong) {
      const answer = await ask(app, await issuer.token(claims));
      expect([claims, answer.status]).toEqual([claims, status]);
    }
    for (const claims of [{ exp: now() - 2 }, { nbf: now() + 3 }, { aud: ["others", "agents"] }]) {
      expect([claims, (await ask(app, await issuer.token(claims))).status]).toEqual([claims, 200]);
    }
    const expired = await ask(app, await issuer.token({ exp: now() - 60 }));
    expect(expired.body).toEqual({ detail: "The token has expired" });
    expect(expired.headers.get("www-authenticate")).toContain('error="invalid_token"');
  });

  it("refuses what is not signed: alg none in any spelling, no signature, another payload", async () => {
    await issuer.addKey("one");
    const app = await openJwt();
    const good = await issuer.token();
    const [header = "", payload = "", signature = ""] = good.split(".");
    const other = base64({ iss: issuer.url, aud: "agents", sub: "root", exp: now() + 60 });
    const tokens = [
      ...["none", "None", "NONE", "nOnE", ""].map((alg) => forged({ alg, kid: "one" }, () => "")),
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${header}.${other}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -2)}`,
      `.${payload}.${signature}`,
      "..",
      "a.b.c",
      "x".repeat(20_000),
      `${good}.${good}`,
    ];
    for (const token of tokens)
      expect([token.slice(0, 80), (await ask(app, token)).status]).toEqual([token.slice(0, 80), 401]);
    expect((await ask(app, good)).status).toBe(200);
  });

  it("refuses a token that is signed with the public key as a secret: RS256 is no HS256", async () => {
    const pem = await exportSPKI(await issuer.addKey("one", "RS256"));
    const app = await openJwt();
    const jwk = JSON.stringify(issuer.jwks.keys[0]);
    for (const secret of [pem, pem.trim(), jwk, String(issuer.jwks.keys[0]?.["n"])]) {
      for (const alg of ["HS256", "HS384", "HS512", "RS256"]) {
        const hash = `sha${alg.slice(2)}`;
        const token = forged({ alg, kid: "one" }, (input) =>
          createHmac(hash, secret).update(input).digest("base64url"),
        );
        expect((await ask(app, token)).status).toBe(401);
      }
    }
  });

  it("refuses symmetric keys, also when the issuer publishes one", async () => {
    await issuer.addKey("one");
    const k = base64("a secret that everybody knows, of 32+");
    issuer.publish([...issuer.jwks.keys, { kty: "oct", kid: "two", alg: "HS256", k }]);
    const app = await openJwt();
    const secret = Buffer.from(k, "base64url");
    const token = forged({ alg: "HS256", kid: "two" }, (input) =>
      createHmac("sha256", secret).update(input).digest("base64url"),
    );
    expect((await ask(app, token)).status).toBe(401);
  });

  it("looks for keys nowhere but at the issuer: jwk, jku, x5u, crit and strange kids change nothing", async () => {
    await issuer.addKey("one");
    const app = await openJwt();
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
    const attacker = await new TokenIssuer().open();
    try {
      const jwk = await crypto.subtle.exportKey("jwk", publicKey);
      attacker.publish([{ ...jwk, kid: "one", alg: "ES256" }]);
      const headers = [
        { jwk },
        { jku: `${attacker.url}/keys` },
        { x5u: `${attacker.url}/keys` },
        { crit: ["exp"], exp: 1 },
        { b64: false, crit: ["b64"] },
      ];
      for (const header of headers) {
        expect((await ask(app, await issuer.token({}, { header, key: privateKey }).catch(() => "a.b.c"))).status).toBe(
          401,
        );
      }
      const kids = ["../../dev/null", "' OR '1'='1", "/etc/passwd", `${attacker.url}/keys`, "__proto__", "one\u0000"];
      for (const kid of kids)
        expect((await ask(app, await issuer.token({}, { kid, key: privateKey }))).status).toBe(401);
      expect(attacker.hits).toEqual({ discovery: 0, keys: 0 });
    } finally {
      await attacker.close();
    }
  });

  it("keeps to the algorithms it is told", async () => {
    await issuer.addKey("one", "ES256");
    const app = await openJwt({ algorithms: ["RS256"] });
    expect((await ask(app, await issuer.token())).status).toBe(401);
  });

  it("keeps to the type it is told", async () => {
    await issuer.addKey("one");
    const app = await openJwt({ type: "at+jwt" });
    expect((await ask(app, await issuer.token({}, { header: { typ: "JWT" } }))).status).toBe(401);
    expect((await ask(app, await issuer.token({}, { header: { typ: "at+jwt" } }))).status).toBe(200);
  });
});

describe("the issuer's keys", () => {
  it("are fetched again for an unknown id, and not more often than once per cool-down", async () => {
    await issuer.addKey("one");
    const app = await openJwt({ keysCooldownMs: 60_000 });
    expect((await ask(app, await issuer.token())).status).toBe(200);
    await issuer.addKey("two");
    const { privateKey } = await generateKeyPair("ES256");
    await Promise.all(
      Array.from({ length: 30 }, async (_, n) =>
        ask(app, await issuer.token({}, { kid: `made-up-${n}`, key: privateKey })),
      ),
    );
    expect(issuer.hits).toEqual({ discovery: 1, keys: 1 });
  });

  it("may be away at the start and while it runs: 503 until they are there, and what is known goes on", async () => {
    await issuer.addKey("one");
    issuer.status = 500;
    const app = await openJwt();
    const token = await issuer.token();
    const away = await ask(app, token);
    expect([away.status, away.headers.get("retry-after")]).toEqual([503, "5"]);
    for (let n = 0; n < 20; n += 1) await ask(app, token);
    expect(issuer.hits.keys).toBe(1);
    expect(app.log.some(({ level, message }) => level === "warn" && message.includes("issuer"))).toBe(true);
  });

  it.each([
    ["speaks for another issuer", { issuer: "https://elsewhere.example" }],
    ["names no keys", { jwks_uri: undefined }],
    ["names keys on the network without encryption", { jwks_uri: "http://10.0.0.1/keys" }],
    ["names a file", { jwks_uri: "file:///etc/passwd" }],
  ])("are not taken from a document that %s", async (_, document) => {
    await issuer.addKey("one");
    issuer.document = document;
    expect((await ask(await openJwt(), await issuer.token())).status).toBe(503);
    expect(issuer.hits.keys).toBe(0);
  });

  it.each([
    ["no JSON", "<html>"],
    ["no key set", "[]"],
    ["a set without keys", '{"keys":1}'],
    ["half a megabyte and more", `{"keys":[],"x":"${"x".repeat(600_000)}"}`],
  ])("are not taken from %s", async (_, body) => {
    await issuer.addKey("one");
    issuer.body = body;
    expect((await ask(await openJwt(), await issuer.token())).status).toBe(503);
  });
});

describe("claims", () => {
  it("say who asks, and rows are theirs", async () => {
    await issuer.addKey("one");
    const app = await openJwt({
      identityClaim: "email",
      tenantClaim: "org",
      metadataClaims: { team: "app_metadata.team" },
    });
    const claims = (email: string, org: string, team: string) => ({ email, org, app_metadata: { team } });
    const ada = await issuer.token(claims("ada@x.org", "acme", "red"));
    const made = await ask(app, ada, "POST", "/threads", { metadata: { tenant: "other", team: "blue", owner: "eve" } });
    expect(made.body["metadata"]).toEqual({ tenant: "acme", team: "red", owner: "ada@x.org" });
    const path = `/threads/${String(made.body["thread_id"])}`;
    expect((await ask(app, ada, "GET", path)).status).toBe(200);
    for (const [email, org, team] of [
      ["bob@x.org", "acme", "red"],
      ["ada@x.org", "other", "red"],
      ["ada@x.org", "acme", "blue"],
    ] as const) {
      expect((await ask(app, await issuer.token(claims(email, org, team)), "GET", path)).status).toBe(404);
    }
    for (const missing of [{ org: "acme" }, { email: "a", org: "acme" }, { email: "a", app_metadata: { team: "x" } }]) {
      expect((await ask(app, await issuer.token(missing))).status).toBe(403);
    }
    expect(
      (await ask(app, ada, "PUT", "/store/items", { namespace: ["acme", "red", "ada@x%2Eorg"], key: "k", value: {} }))
        .status,
    ).toBe(204);
    expect(
      (await ask(app, ada, "PUT", "/store/items", { namespace: ["acme", "blue"], key: "k", value: {} })).status,
    ).toBe(403);
  });

  it("name roles; with roles of ours, nothing else in them counts", async () => {
    await issuer.addKey("one");
    const roles = { reader: ["*:search", "*:read"], writer: ["threads:*"] };
    const app = await openJwt({ permissionsClaim: "realm_access.roles", roles });
    const statuses = async (granted: unknown) => {
      const token = await issuer.token({ realm_access: { roles: granted } });
      return [(await ask(app, token)).status, (await ask(app, token, "POST", "/threads", {})).status];
    };
    expect(await statuses(["reader"])).toEqual([200, 403]);
    expect(await statuses(["reader", "writer"])).toEqual([200, 200]);
    expect(await statuses("writer reader")).toEqual([200, 200]);
    for (const granted of [
      [],
      ["*"],
      ["threads:*"],
      ["rows:all"],
      [["writer"]],
      { writer: true },
      undefined,
      "constructor",
    ]) {
      expect([granted, await statuses(granted)]).toEqual([granted, [403, 403]]);
    }
  });

  it("are permissions themselves where there are no roles; without a claim for them nothing is forbidden", async () => {
    await issuer.addKey("one");
    const scoped = await openJwt({ permissionsClaim: "scope" });
    expect((await ask(scoped, await issuer.token({ scope: "openid threads:search" }))).status).toBe(200);
    expect((await ask(scoped, await issuer.token({ scope: "openid" }))).status).toBe(403);
    expect((await ask(await openJwt(), await issuer.token())).status).toBe(200);
  });
});

describe("wrong options", () => {
  it.each([
    [{ issuer: "" }, /issuer: is needed/],
    [{ issuer: "http://login.example.com" }, /issuer: must be an https/],
    [{ issuer: "https://u:p@login.example.com" }, /issuer: must be an https/],
    [{ audience: [] }, /audience: is needed/],
    [{ audience: "" }, /audience: is needed/],
    [{ jwksUri: "http://login.example.com/keys" }, /jwksUri: must be an https/],
    [{ jwksUri: "https://a/k", jwks: { keys: [] } }, /jwksUri: is of no use/],
    [{ algorithms: [] }, /algorithms: name at least one/],
    [{ algorithms: ["HS256"] }, /algorithms: "HS256" is not among/],
    [{ algorithms: ["ES256", "none"] }, /algorithms: "none" is not among/],
    [{ clockToleranceSeconds: 301 }, /clockToleranceSeconds/],
    [{ maxAgeSeconds: 0 }, /maxAgeSeconds/],
    [{ keysCooldownMs: 0 }, /keysCooldownMs/],
    [{ roles: { a: ["*"] } }, /permissionsClaim: is needed/],
    [{ tenantKey: "t" }, /tenantClaim: is needed/],
    [{ metadataClaims: { owner: "x" } }, /must differ/],
  ])("%j are refused by name", (options, message) => {
    expect(() => jwt({ issuer: "https://login.example.com", audience: "agents", ...options })).toThrow(message);
  });
});
