import type { ApiKey, ApiKeyStore } from "../../core/api-key.js";
import type { StoreClock } from "../../core/clock.js";

/** An API key store whose rows `heddle copy` can read and write. */
export interface MemoryApiKeys extends ApiKeyStore {
  /** By `keyId`. Frozen: what is handed out cannot change them. */
  readonly rows: Map<string, ApiKey>;
}

/** API keys that end with the process. */
export function createMemoryApiKeys(clock: StoreClock): MemoryApiKeys {
  const rows = new Map<string, ApiKey>();
  return {
    rows,
    async create({ draft: { expiresInMs, ...draft } }) {
      const existing = rows.get(draft.keyId);
      if (existing !== undefined) return existing;
      const createdAt = clock.now();
      const expiresAt = expiresInMs === null ? null : createdAt + expiresInMs;
      const key = frozenKey({ ...draft, createdAt, expiresAt, revokedAt: null });
      rows.set(key.keyId, key);
      return key;
    },

    async list({ after, limit }) {
      return [...rows.values()]
        .filter(({ keyId }) => after === null || keyId > after)
        .sort((a, b) => (a.keyId < b.keyId ? -1 : 1))
        .slice(0, limit);
    },

    async revoke({ keyId }) {
      const key = rows.get(keyId);
      if (key === undefined) return null;
      const revoked = Object.freeze({ ...key, revokedAt: key.revokedAt ?? clock.now() });
      rows.set(keyId, revoked);
      return revoked;
    },

    async findByDigest({ digest }) {
      for (const key of rows.values()) if (key.digest === digest) return { key, now: clock.now() };
      return null;
    },
  };
}

export function frozenKey(key: ApiKey): ApiKey {
  return Object.freeze({ ...key, permissions: Object.freeze([...key.permissions]) });
}
