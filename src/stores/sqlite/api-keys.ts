import type { ApiKeyStore } from "../../core/api-key.js";
import { apiKeyColumns, type ApiKeyColumns, apiKeyOf } from "../api-key-columns.js";
import type { Session } from "./session.js";

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
