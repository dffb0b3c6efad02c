import type { EpochMs } from "./json.js";

/** A key that somebody shows instead of a password. Its secret is nowhere: only what it hashes to. */
export interface ApiKey {
  /** UUID, in the order of creation. Names the key in lists and logs. */
  readonly keyId: string;
  /** SHA-256 of the secret, 64 hex digits in lower case. The secret has 256 random bits: no salt and no slow hash needed. */
  readonly digest: string;
  /** What it is for, in its owner's words. */
  readonly label: string;
  /** Who asks with it: `Caller.identity`. */
  readonly identity: string;
  readonly tenant: string | null;
  /** `threads:read`, `threads:*`, `*` (auth/roles). */
  readonly permissions: readonly string[];
  readonly createdAt: EpochMs;
  /** `null`: never. */
  readonly expiresAt: EpochMs | null;
  readonly revokedAt: EpochMs | null;
}

export interface NewApiKey extends Omit<ApiKey, "createdAt" | "expiresAt" | "revokedAt"> {
  /** `null`: never. Counted by the store's clock. */
  readonly expiresInMs: number | null;
}

/** A key and the store's time at which it was read: no other clock decides whether it has expired. */
export interface FoundApiKey {
  readonly key: ApiKey;
  readonly now: EpochMs;
}

/** Keys of `apiKey()`. Their rows are never deleted: a revoked one still says whose it was. */
export interface ApiKeyStore {
  /** Repeating it with the same `keyId` changes nothing and returns what is there. */
  create(params: { readonly draft: NewApiKey }): Promise<ApiKey>;
  /** By `keyId`, so oldest first; revoked and expired ones included. An empty page is the end. */
  list(params: { readonly after: string | null; readonly limit: number }): Promise<readonly ApiKey[]>;
  /** The first revocation's time stays. `null`: no such key. */
  revoke(params: { readonly keyId: string }): Promise<ApiKey | null>;
  /** Also one that is revoked or expired. */
  findByDigest(params: { readonly digest: string }): Promise<FoundApiKey | null>;
}
