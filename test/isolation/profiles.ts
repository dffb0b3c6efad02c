import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import type { HeddleServer } from "../../src/app.js";
import { apiKey } from "../../src/auth/api-key.js";
import { jwt } from "../../src/auth/jwt.js";
import type { AppOptions } from "../../src/config/options.js";
import type { JsonObject } from "../../src/core/json.js";

/** A way to keep callers apart, as a deployer would set it up. */
export interface Profile {
  readonly name: string;
  readonly auth: () => NonNullable<AppOptions["auth"]>;
  /** How the store answers for another's namespace: refused as such, or found to be hidden or missing (§7.6). */
  readonly store: "refuses" | "filters";
  /** The headers by which a user is known. Of users with different names nobody sees what is another's. */
  headersOf(server: HeddleServer, name: string): Promise<Record<string, string>>;
  /** Where a user's items lie. */
  readonly labelsOf: (name: string) => readonly string[];
  /** What OpenWOP calls a user's tenant: a part of ids. */
  readonly tenantOf: (name: string) => string;
  /** The headers of somebody who may do nothing. */
  deniedHeaders(server: HeddleServer): Promise<Record<string, string>>;
}

interface Value {
  metadata?: Record<string, unknown> | null;
  namespace?: readonly string[] | null;
}

const DENIED = "denied";
const bearer = (name: string) => ({ authorization: `Bearer ${name}` });
const authenticated = () =>
  new Auth().authenticate((request) => {
    const name = /^Bearer (\w+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    if (name === undefined) throw new HTTPException(401, { message: "Who are you?" });
    return name;
  });

/** The rules of LangGraph's guide: what is made is stamped, the rest is filtered. */
function ownersOnly(auth: Auth): Auth {
  return auth
    .on(["assistants:create", "threads:create", "threads:create_run", "crons:create"], ({ value, user }) => {
      if (user.identity === DENIED) return false;
      const made = value as Value;
      made.metadata = { ...made.metadata, owner: user.identity };
      return { owner: user.identity };
    })
    .on(["assistants:update", "threads:update", "crons:update"], ({ value, user }) => {
      if (user.identity === DENIED) return false;
      // Nobody gives away what is theirs: it would show up at somebody else's.
      const patch = value as Value;
      if (patch.metadata?.["owner"] !== undefined) patch.metadata["owner"] = user.identity;
      return { owner: user.identity };
    })
    .on(["assistants", "threads", "crons"], ({ user }) =>
      user.identity === DENIED ? false : { owner: user.identity },
    );
}

const bearers = {
  headersOf: async (_: HeddleServer, name: string) => bearer(name),
  deniedHeaders: async () => bearer(DENIED),
  labelsOf: (name: string) => [name],
  tenantOf: (name: string) => name,
} as const;

/** Items: a namespace that does not begin with the caller's name is refused. */
export const OWNERS: Profile = {
  ...bearers,
  name: "the SDK's Auth, owners",
  store: "refuses",
  auth: () =>
    ownersOnly(authenticated()).on("store", ({ value, user }) => {
      const { namespace } = value as Value;
      if (user.identity === DENIED || namespace?.[0] !== user.identity) {
        throw new HTTPException(403, { message: "Not authorized" });
      }
    }),
};

/** Items: found by a filter, as threads are. */
export const FILTERED_ITEMS: Profile = {
  ...bearers,
  name: "the SDK's Auth, owners and filtered items",
  store: "filters",
  auth: () =>
    ownersOnly(authenticated()).on("store", ({ user }) =>
      user.identity === DENIED ? false : { namespace: { $contains: user.identity } },
    ),
};

const ALL = ["*"];

async function keyOf(
  server: HeddleServer,
  request: { readonly identity: string; readonly tenant: string; readonly permissions: readonly string[] },
): Promise<Record<string, string>> {
  const { secret } = await server.apiKeys.create(request);
  return { "x-api-key": secret };
}

/** Everybody has the same identity, in a tenant of their own. */
export const TENANTS: Profile = {
  name: "API keys, tenants",
  store: "refuses",
  auth: () => apiKey({ tenantKey: "tenant" }),
  headersOf: (server, name) => keyOf(server, { identity: "admin", tenant: name, permissions: ALL }),
  labelsOf: (name) => [name, "admin"],
  tenantOf: (name) => name,
  deniedHeaders: (server) => keyOf(server, { identity: "admin", tenant: DENIED, permissions: [] }),
};

/** Everybody is in the same tenant. */
export const COLLEAGUES: Profile = {
  name: "API keys, owners in one tenant",
  store: "refuses",
  auth: () => apiKey({ tenantKey: "tenant" }),
  headersOf: (server, name) => keyOf(server, { identity: name, tenant: "acme", permissions: ALL }),
  labelsOf: (name) => ["acme", name],
  tenantOf: () => "acme",
  deniedHeaders: (server) => keyOf(server, { identity: DENIED, tenant: "acme", permissions: [] }),
};

const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "one", alg: "ES256" } as JsonObject] };
const ISSUER = "https://login.example.com/";
const AUDIENCE = "https://agents.example.com";

async function tokenOf(claims: JWTPayload): Promise<Record<string, string>> {
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: "ES256", kid: "one" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setExpirationTime("1 hour")
    .sign(privateKey);
  return { authorization: `Bearer ${token}` };
}

/** What a member may do takes all kinds of permissions; a guest's are nothing. */
const ROLES = {
  member: ["threads:*", "assistants:*", "crons:*", "*:search", "store:put", "store:get", "store:delete"],
  lister: ["*:list_namespaces"],
  guest: [],
};

/** Tokens: everybody is in the same tenant and team, with roles from a claim. */
export const TOKENS: Profile = {
  name: "tokens, roles, owners in one tenant and team",
  store: "refuses",
  auth: () =>
    jwt({
      issuer: ISSUER,
      audience: AUDIENCE,
      jwks,
      permissionsClaim: "realm_access.roles",
      tenantClaim: "org",
      metadataClaims: { team: "app.team" },
      roles: ROLES,
    }),
  headersOf: (_, name) =>
    tokenOf({ sub: name, org: "acme", app: { team: "blue" }, realm_access: { roles: ["member", "lister"] } }),
  labelsOf: (name) => ["acme", "blue", name],
  tenantOf: () => "acme",
  // `*` is a permission, and none that a token may bring where there are roles.
  deniedHeaders: () =>
    tokenOf({ sub: DENIED, org: "acme", app: { team: "blue" }, realm_access: { roles: ["guest", "*", "rows:all"] } }),
};

/** Tokens: everybody has the same subject, in a team of their own; whoever has a token may do everything. */
export const TEAMS: Profile = {
  name: "tokens, teams",
  store: "refuses",
  auth: () =>
    jwt({
      issuer: ISSUER,
      audience: AUDIENCE,
      jwks,
      permissionsClaim: "scope",
      metadataClaims: { team: "team" },
      ownerKey: null,
    }),
  headersOf: (_, name) => tokenOf({ sub: "app", team: name, scope: "openid *" }),
  labelsOf: (name) => [name],
  tenantOf: () => "app",
  deniedHeaders: () => tokenOf({ sub: "app", team: DENIED, scope: "openid profile" }),
};

/** Keys whose permissions are names of roles. */
export const MEMBERS: Profile = {
  name: "API keys, roles",
  store: "refuses",
  auth: () => apiKey({ roles: ROLES, tenantKey: "tenant" }),
  headersOf: (server, name) => keyOf(server, { identity: name, tenant: name, permissions: ["member", "lister"] }),
  labelsOf: (name) => [name, name],
  tenantOf: (name) => name,
  deniedHeaders: (server) => keyOf(server, { identity: DENIED, tenant: DENIED, permissions: ["guest"] }),
};
