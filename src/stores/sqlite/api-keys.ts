import type { ApiKey, ApiKeyStore } from "../../core/api-key.js";
import type { Session } from "./session.js";

export interface ApiKeyColumns {
  readonly key_id: string;
  readonly digest: string;
  readonly label: string;
  readonly identity: string;
  readonly tenant: string | null;
  readonly permissions: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
}

/** API keys in a SQLite database. */
export function createSqliteApiKeys(session: Session): ApiKeyStore {
  const { clock } = session;
  const find = (keyId: string): ApiKeyColumns | undefined =>
    session.sql<ApiKeyColumns>("SELECT * FROM api_keys WHERE key_id = ?").get(keyId);

  return {
    create: ({ draft }) =>
      session.write(() => {
        const existing = find(draft.keyId);
        if (existing !== undefined) return apiKeyOf(existing);
        const now = clock.now();
        const { expiresInMs, ...fields } = draft;
        const expiresAt = expiresInMs === null ? null : now + expiresInMs;
        const columns = apiKeyColumns({ ...fields, createdAt: now, expiresAt, revokedAt: null });
        session
          .sql(
            `INSERT INTO api_keys (key_id, digest, label, identity, tenant, permissions, created_at, expires_at, revoked_at)
             VALUES (@key_id, @digest, @label, @identity, @tenant, @permissions, @created_at, @expires_at, @revoked_at)`,
          )
          .run(columns);
        return apiKeyOf(columns);
      }),

    list: ({ after, limit }) =>
      session.read(() =>
        session
          .sql<ApiKeyColumns>("SELECT * FROM api_keys WHERE key_id > ? ORDER BY key_id LIMIT ?")
          .all(after ?? "", limit)
          .map(apiKeyOf),
      ),

    revoke: ({ keyId }) =>
      session.write(() => {
        session
          .sql("UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL")
          .run(clock.now(), keyId);
        const found = find(keyId);
        return found === undefined ? null : apiKeyOf(found);
      }),

    findByDigest: ({ digest }) =>
      session.read(() => {
        const row = session.sql<ApiKeyColumns>("SELECT * FROM api_keys WHERE digest = ? LIMIT 1").get(digest);
        return row === undefined ? null : { key: apiKeyOf(row), now: clock.now() };
      }),
  };
}

export function apiKeyColumns(key: ApiKey): ApiKeyColumns {
  return {
    key_id: key.keyId,
    digest: key.digest,
    label: key.label,
    identity: key.identity,
    tenant: key.tenant,
    permissions: JSON.stringify(key.permissions),
    created_at: key.createdAt,
    expires_at: key.expiresAt,
    revoked_at: key.revokedAt,
  };
}

export function apiKeyOf(row: ApiKeyColumns): ApiKey {
  return {
    keyId: row.key_id,
    digest: row.digest,
    label: row.label,
    identity: row.identity,
    tenant: row.tenant,
    permissions: JSON.parse(row.permissions) as readonly string[],
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  };
}
