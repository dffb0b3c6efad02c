import type { AuthDeps, AuthFactory, AuthProvider, Caller } from "../core/auth.js";
import { authFactory } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import { type AccessRules, problemsOfRules, refuseProblems, rowMarks } from "./access-rules.js";
import { createApiKeyLookup, type UsableApiKey } from "./api-key-lookup.js";
import { isApiKeySecret } from "./api-key-secret.js";
import { bearerToken, unauthenticated } from "./credentials.js";
import { createIsolation } from "./isolation.js";
import { createRoleCheck } from "./roles.js";

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const MAX_CACHE_MS = 60_000;

export interface ApiKeyOptions extends AccessRules {
  /** The header that holds the key, beside `authorization: Bearer …`. Default `x-api-key`, which the SDKs' `apiKey` sends. */
  readonly header?: string;
  /**
   * How long a key is believed without asking the storage again: a revoked one goes on for this long at most. 0–60,000;
   * default 1,000.
   */
  readonly cacheMs?: number;
}

/**
 * API keys, of which the storage holds only digests: `heddle keys create`, or `server.apiKeys`. A key says who asks, its tenant
 * and what it may do; what it does not allow is forbidden.
 * @example createApp({ graphs: { agent }, storage: "postgres://…", auth: apiKey() })
 * @throws HeddleError `CONFIG_INVALID` names every wrong option
 */
export function apiKey(options: ApiKeyOptions = {}): AuthFactory {
  const { header = "x-api-key", cacheMs = 1_000 } = options;
  const problems = [...problemsOfRules(options)];
  if (!HEADER_NAME.test(header)) problems.push(`header: "${header}" is no name of a header`);
  if (!(cacheMs >= 0 && cacheMs <= MAX_CACHE_MS)) problems.push(`cacheMs: must be from 0 to ${MAX_CACHE_MS}`);
  refuseProblems("apiKey", problems);
  return authFactory((deps) => openApiKeys({ ...options, header, cacheMs }, deps));
}

function openApiKeys(
  options: ApiKeyOptions & { readonly header: string; readonly cacheMs: number },
  { keys, clock }: AuthDeps,
): AuthProvider {
  const { header, cacheMs, roles = {}, tenantKey = null } = options;
  const usable = createApiKeyLookup(keys, clock, cacheMs);
  return {
    async authenticate(request) {
      const secret = secretOf(request.headers, header);
      if (secret === null) throw unauthenticated(`Send an API key as ${header}, or as authorization: Bearer`);
      const found = await usable.find(secret);
      if (found === null) throw unauthenticated("The API key is unknown, expired or revoked", "invalid_token");
      if (found.key.tenant !== null && tenantKey === null) {
        throw new HeddleError("FORBIDDEN", {
          message: "This key belongs to a tenant, and this server does not keep tenants apart: apiKey({ tenantKey })",
        });
      }
      return callerOf(found);
    },
    stillValid: async ({ credential }) => credential === undefined || (await usable.findByDigest(credential)) !== null,
    authorizer: createIsolation({ marks: rowMarks(options), roles: createRoleCheck(roles, { onlyRoles: false }) }),
  };
}

/**
 * What may be one of our keys, else what there is. The SDKs add `x-api-key` by themselves where LANGSMITH_API_KEY is set, beside
 * a bearer token of ours.
 * @throws 401 for two keys of ours: neither is guessed to be meant
 */
function secretOf(headers: Headers, header: string): string | null {
  const given = [headers.get(header)?.trim(), bearerToken(headers)].filter((text) => typeof text === "string");
  const [first = null, second = first] = given.filter((text) => isApiKeySecret(text));
  if (first !== second) {
    throw unauthenticated(`Two API keys: ${header} and authorization differ. Send one of them`, "invalid_token");
  }
  return first ?? given[0] ?? null;
}

/** As graphs see it, too: the vocabulary of docs/wire/langgraph-api.md §7.2. */
function callerOf({ key, validUntil }: UsableApiKey): Caller {
  const { keyId, digest, label, identity, tenant, permissions } = key;
  const user = {
    identity,
    display_name: label === "" ? identity : label,
    is_authenticated: true,
    permissions,
    key_id: keyId,
    ...(tenant !== null && { tenant }),
  };
  return { identity, permissions, user, credential: digest, ...(validUntil !== null && { validUntil }) };
}
