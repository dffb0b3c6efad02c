import type { ApiKey, ApiKeyStore } from "../../core/api-key.js";
import type { ApiKeyDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

/** API keys in a MongoDB database. */
export function createMongoApiKeys(session: Session): ApiKeyStore {
  const { apiKeys } = session;
  return {
    async create({ draft: { keyId, expiresInMs, ...draft } }) {
      const createdAt = session.now();
      const expiresAt = expiresInMs === null ? null : createdAt + expiresInMs;
      const key: ApiKey = { ...draft, keyId, createdAt, expiresAt, revokedAt: null };
      const made = await session.retrying(() => insertOnce(apiKeys, apiKeyDocument(key)));
      const existing = made ? null : await session.retrying(() => apiKeys.findOne({ _id: keyId }));
      return existing === null ? key : apiKeyOf(existing);
    },

    async list({ after, limit }) {
      const filter = after === null ? {} : { _id: { $gt: after } };
      const found = await session.retrying(() => apiKeys.find(filter).sort({ _id: 1 }).limit(limit).toArray());
      return found.map(apiKeyOf);
    },

    async revoke({ keyId }) {
      const revokedAt = session.now();
      await session.retrying(() => apiKeys.updateOne({ _id: keyId, revokedAt: null }, { $set: { revokedAt } }));
      const found = await session.retrying(() => apiKeys.findOne({ _id: keyId }));
      return found === null ? null : apiKeyOf(found);
    },

    async findByDigest({ digest }) {
      const found = await session.retrying(() => apiKeys.findOne({ digest }));
      return found === null ? null : { key: apiKeyOf(found), now: session.now() };
    },
  };
}

export function apiKeyDocument({ keyId, permissions, ...key }: ApiKey): ApiKeyDocument {
  return { ...key, _id: keyId, permissions: JSON.stringify(permissions) };
}

export function apiKeyOf({ _id, permissions, ...key }: ApiKeyDocument): ApiKey {
  return { ...key, keyId: _id, permissions: JSON.parse(permissions) as readonly string[] };
}
