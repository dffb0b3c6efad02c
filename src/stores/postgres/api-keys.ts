import type { ApiKey, ApiKeyStore } from "../../core/api-key.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toText } from "../../databases/postgres/storable.js";
import { type ApiKeyColumns, apiKeyOf } from "../api-key-columns.js";
import type { Session } from "./session.js";

export const API_KEY_COLUMNS =
  "key_id, digest, label, identity, tenant, permissions, created_at, expires_at, revoked_at";

const idempotent = true;
const CREATE: Statement = {
  name: "heddle_create_api_key",
  idempotent,
  text: `WITH made AS (
      INSERT INTO heddle_api_keys (key_id, digest, label, identity, tenant, permissions, created_at, expires_at)
      SELECT $2, $3, $4, $5, $6, $7, now, now + $8::bigint FROM (SELECT heddle_now($1) AS now OFFSET 0) AS clock
      ON CONFLICT (key_id) DO NOTHING RETURNING ${API_KEY_COLUMNS}
    ) SELECT ${API_KEY_COLUMNS} FROM made
    UNION ALL SELECT ${API_KEY_COLUMNS} FROM heddle_api_keys WHERE key_id = $2`,
};
const LIST: Statement = {
  name: "heddle_list_api_keys",
  idempotent,
  text: `SELECT ${API_KEY_COLUMNS} FROM heddle_api_keys WHERE key_id > $1 ORDER BY key_id LIMIT $2`,
};
const REVOKE: Statement = {
  name: "heddle_revoke_api_key",
  idempotent,
  text: `UPDATE heddle_api_keys SET revoked_at = coalesce(revoked_at, heddle_now($1)) WHERE key_id = $2
    RETURNING ${API_KEY_COLUMNS}`,
};
const FIND: Statement = {
  name: "heddle_find_api_key",
  idempotent,
  text: `SELECT ${API_KEY_COLUMNS}, heddle_now($1) AS now FROM heddle_api_keys WHERE digest = $2 LIMIT 1`,
};

/** API keys in a Postgres database. */
export function createPostgresApiKeys(session: Session): ApiKeyStore {
  return {
    async create({ draft }) {
      const { keyId, digest, label, identity, tenant, permissions, expiresInMs } = draft;
      const [row] = await session.query<ApiKeyColumns>(CREATE, [
        session.now(),
        toText(keyId),
        toText(digest),
        toText(label),
        toText(identity),
        tenant === null ? null : toText(tenant),
        JSON.stringify(permissions),
        expiresInMs,
      ]);
      if (row === undefined) throw new Error(`The API key ${keyId} is not there after its creation`);
      return readApiKey(row);
    },

    async list({ after, limit }) {
      const rows = await session.query<ApiKeyColumns>(LIST, [toText(after ?? ""), limit]);
      return rows.map(readApiKey);
    },

    async revoke({ keyId }) {
      const [row] = await session.query<ApiKeyColumns>(REVOKE, [session.now(), toText(keyId)]);
      return row === undefined ? null : readApiKey(row);
    },

    async findByDigest({ digest }) {
      const [row] = await session.query<ApiKeyColumns & { readonly now: number }>(FIND, [
        session.now(),
        toText(digest),
      ]);
      return row === undefined ? null : { key: readApiKey(row), now: row.now };
    },
  };
}

/** Text of users may hold NUL, which Postgres does not take as it is. */
export function readApiKey(row: ApiKeyColumns): ApiKey {
  return apiKeyOf({
    ...row,
    key_id: fromText(row.key_id),
    digest: fromText(row.digest),
    label: fromText(row.label),
    identity: fromText(row.identity),
    tenant: row.tenant === null ? null : fromText(row.tenant),
  });
}
