import type { ApiKey, ApiKeyStore } from "../core/api-key.js";
import type { Clock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import { secretDigest } from "../core/secret-digest.js";
import { isApiKeySecret, isSameDigest } from "./api-key-secret.js";

/** Keys that are remembered at once; the ones found first are forgotten first. */
const MAX_ENTRIES = 10_000;

/** The key of a secret that may be used now; `null` for any other. */
export type FindApiKey = (secret: string) => Promise<ApiKey | null>;

/**
 * @param cacheMs how long a key is believed without asking again; also how long a revoked one may go on. Unknown keys are
 * asked about each time
 */
export function createApiKeyLookup(keys: ApiKeyStore, clock: Clock, cacheMs: number): FindApiKey {
  const known = new Map<string, { readonly key: ApiKey; readonly until: EpochMs }>();

  const remember = (key: ApiKey, forMs: number): void => {
    if (forMs <= 0) return;
    known.delete(key.digest);
    known.set(key.digest, { key, until: clock.now() + forMs });
    for (const oldest of known.keys()) {
      if (known.size <= MAX_ENTRIES) break;
      known.delete(oldest);
    }
  };

  return async (secret) => {
    if (!isApiKeySecret(secret)) return null;
    const digest = secretDigest(secret);
    const cached = known.get(digest);
    if (cached !== undefined) {
      if (cached.until > clock.now() && isSameDigest(cached.key.digest, digest)) return cached.key;
      known.delete(digest);
    }
    const found = await keys.findByDigest({ digest });
    // Databases compare as they like, by collation and not in constant time: what they found is held against it once more.
    if (found === null || !isSameDigest(found.key.digest, digest)) return null;
    const { key, now } = found;
    const leftMs = key.expiresAt === null ? Number.POSITIVE_INFINITY : key.expiresAt - now;
    if (key.revokedAt !== null || leftMs <= 0) return null;
    remember(key, Math.min(cacheMs, leftMs));
    return key;
  };
}
