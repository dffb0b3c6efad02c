import type { createLocalJWKSet, errors, JSONWebKeySet, LocalJWKSet } from "jose";
import { AuthRefusal } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { JsonObject } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import { discoverJwksUri, fetchJsonObject } from "./jwt-fetch.js";
import type { JwtSettings } from "./jwt-options.js";

/** A failed fetch is not tried again before: nobody's requests hammer an issuer that is away. */
const RETRY_MS = 5_000;
/** Keys of an issuer that is away count this long beyond their age. */
const STALE_MS = 3_600_000;
const ASYMMETRIC: ReadonlySet<unknown> = new Set(["RSA", "EC", "OKP"]);

export type KeyResolver = (...args: Parameters<LocalJWKSet>) => ReturnType<LocalJWKSet>;

interface Jose {
  readonly createLocalJWKSet: typeof createLocalJWKSet;
  readonly errors: typeof errors;
}

/**
 * The key of a token by its `kid` and `alg`. Public keys alone: a symmetric one in the set is left out, and the `jwk`, `jku` and
 * `x5u` of a token's header are never looked at.
 */
export function createKeyResolver(
  settings: JwtSettings,
  deps: { readonly jose: Jose; readonly clock: Clock; readonly logger: Logger },
): KeyResolver {
  const { jose } = deps;
  if (settings.jwks !== null) return jose.createLocalJWKSet(publicKeys(settings.jwks));
  const remote = createRemoteKeys(settings, deps);
  // Known before the first request where that can be; a server starts without its issuer all the same.
  remote.current().catch(() => undefined);
  return async (header, token) => {
    const keys = await remote.current();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof jose.errors.JWKSNoMatchingKey)) throw error;
      // Perhaps a new one, after a rotation.
      const newer = await remote.newer(keys);
      if (newer === null) throw error;
      return newer(header, token);
    }
  };
}

interface RemoteKeys {
  /** @throws AuthRefusal 503 when they can't be had */
  current(): Promise<KeyResolver>;
  /** Keys that were fetched after `known`; `null` when there are none, or it is too early to ask. */
  newer(known: KeyResolver): Promise<KeyResolver | null>;
}

function createRemoteKeys(
  { issuer, jwksUri, keysCacheMs, keysCooldownMs }: JwtSettings,
  deps: { readonly jose: Jose; readonly clock: Clock; readonly logger: Logger },
): RemoteKeys {
  const { jose, clock, logger } = deps;
  let held: { readonly keys: KeyResolver; readonly at: number } | null = null;
  let blockedUntil = 0;
  let fetching: Promise<void> | null = null;

  const fetchKeys = async (): Promise<void> => {
    try {
      const set = await fetchJsonObject(jwksUri ?? (await discoverJwksUri(issuer)));
      held = { keys: jose.createLocalJWKSet(publicKeys(set)), at: clock.now() };
      blockedUntil = clock.now() + keysCooldownMs;
    } catch (error) {
      blockedUntil = clock.now() + Math.min(RETRY_MS, keysCooldownMs);
      logger.warn({ err: error, issuer }, "the keys of the issuer of tokens can't be fetched");
    } finally {
      fetching = null;
    }
  };
  /** One fetch for all who wait, and none before its time. */
  const refresh = async (): Promise<void> => {
    if (fetching === null && clock.now() < blockedUntil) return;
    await (fetching ??= fetchKeys());
  };

  return {
    async current() {
      if (held === null || clock.now() - held.at >= keysCacheMs) await refresh();
      if (held !== null && clock.now() - held.at < keysCacheMs + STALE_MS) return held.keys;
      throw new AuthRefusal({
        status: 503,
        message: "The issuer of tokens can't be reached",
        headers: { "retry-after": "5" },
      });
    },
    async newer(known) {
      if (held?.keys === known) await refresh();
      return held === null || held.keys === known ? null : held.keys;
    },
  };
}

/** @throws Error for what is no key set */
function publicKeys(set: JsonObject | { readonly keys: readonly JsonObject[] }): JSONWebKeySet {
  const { keys } = set;
  if (!Array.isArray(keys)) throw new TypeError('a key set must have a list "keys"');
  const usable = keys.filter((key) => isJsonObject(key) && ASYMMETRIC.has(key["kty"]));
  return { keys: usable as JSONWebKeySet["keys"] };
}
