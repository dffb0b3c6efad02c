import type { ApiKey } from "../core/api-key.js";

/** A row of the API keys' table, in SQL storages: permissions are JSON text. */
export type ApiKeyColumns = {
  readonly key_id: string;
  readonly digest: string;
  readonly label: string;
  readonly identity: string;
  readonly tenant: string | null;
  readonly permissions: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
};

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
