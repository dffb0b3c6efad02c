import type { ApiKey, ApiKeyStore } from "../core/api-key.js";
import type { Clock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import { secretDigest } from "../core/secret-digest.js";
import { isApiKeySecret, isSameDigest } from "./api-key-secret.js";

/** Keys that are remembered at once; the ones found first are forgotten first. */
const MAX_ENTRIES = 10_000;

/** A key that may be used now, and until when by this process's clock (`null`: it never expires). */
export interface UsableApiKey {
  readonly key: ApiKey;
  readonly validUntil: EpochMs | null;
}

export interface ApiKeyLookup {
  /** The key of a secret; `null` for any other. */
  find(secret: string): Promise<UsableApiKey | null>;
  /** The key of a digest that {@link find} has met. */
  findByDigest(digest: string): Promise<UsableApiKey | null>;
}

/**
 * @param cacheMs how long a key is believed without asking again; also how long a revoked one may go on. Unknown keys are
 * asked about each time
 */
export function createApiKeyLookup(keys: ApiKeyStore, clock: Clock, cacheMs: number): ApiKeyLookup {
  const known = new Map<string, { readonly usable: UsableApiKey; readonly until: EpochMs }>();

  const remember = (usable: UsableApiKey, forMs: number): void => {
    if (forMs <= 0) return;
    const { digest } = usable.key;
    known.delete(digest);
    known.set(digest, { usable, until: clock.now() + forMs });
    for (const oldest of known.keys()) {
      if (known.size <= MAX_ENTRIES) break;
      known.delete(oldest);
    }
  };

  const findByDigest = async (digest: string): Promise<UsableApiKey | null> => {
    const cached = known.get(digest);
    if (cached !== undefined) {
      if (cached.until > clock.now() && isSameDigest(cached.usable.key.digest, digest)) return cached.usable;
      known.delete(digest);
    }
    const found = await keys.findByDigest({ digest });
    // Databases compare as they like, by collation and not in constant time: what they found is held against it once more.
    if (found === null || !isSameDigest(found.key.digest, digest)) return null;
    const { key, now } = found;
    const leftMs = key.expiresAt === null ? Number.POSITIVE_INFINITY : key.expiresAt - now;
    if (key.revokedAt !== null || leftMs <= 0) return null;
    const usable = { key, validUntil: key.expiresAt === null ? null : clock.now() + leftMs };
    remember(usable, Math.min(cacheMs, leftMs));
    return usable;
  };
  return {
    find: async (secret) => (isApiKeySecret(secret) ? findByDigest(secretDigest(secret)) : null),
    findByDigest,
  };
}
