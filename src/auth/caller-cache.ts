import { createHash } from "node:crypto";
import type { AuthProvider, Caller } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import { withAuthenticate } from "./provider.js";

/** `auth.cache` (docs/wire/langgraph-api.md §5.1). */
export interface CallerCacheOptions {
  /** Names of the headers that decide who asks, lower case. At least one. */
  readonly headers: readonly string[];
  readonly ttlMs: number;
  /** The least recently used are forgotten first. */
  readonly maxEntries: number;
}

/**
 * Ask once for requests with the same values of some headers. Only callers are kept, never refusals, and of the headers only
 * a SHA-256. Requests with none of the headers are asked about each time. Whoever is revoked stays until `ttlMs` has passed.
 */
export function withCallerCache(provider: AuthProvider, clock: Clock, options: CallerCacheOptions): AuthProvider {
  const { headers, ttlMs, maxEntries } = options;
  type Entry = { readonly caller: Promise<Caller>; until: EpochMs };
  const kept = new Map<string, Entry>();

  const ask = (key: string, request: Request): Promise<Caller> => {
    const caller = Promise.resolve(provider.authenticate(request));
    const entry: Entry = { caller, until: clock.now() + ttlMs };
    kept.set(key, entry);
    caller.then(
      ({ validUntil }) => {
        if (validUntil !== undefined) entry.until = Math.min(entry.until, validUntil);
      },
      () => {
        if (kept.get(key) === entry) kept.delete(key);
      },
    );
    for (const oldest of kept.keys()) {
      if (kept.size <= maxEntries) break;
      kept.delete(oldest);
    }
    return caller;
  };

  return withAuthenticate(provider, (request) => {
    const values = headers.map((name) => request.headers.get(name));
    if (values.every((value) => value === null)) return provider.authenticate(request);
    const key = createHash("sha256").update(JSON.stringify(values)).digest("base64");
    const entry = kept.get(key);
    kept.delete(key);
    if (entry === undefined || entry.until <= clock.now()) return ask(key, request);
    // Last in the map: most recently used.
    kept.set(key, entry);
    return entry.caller;
  });
}
