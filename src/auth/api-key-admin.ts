import { v7 } from "uuid";
import type { ApiKey, ApiKeyStore } from "../core/api-key.js";
import { HeddleError } from "../core/errors.js";
import { secretDigest } from "../core/secret-digest.js";
import { isPlainText, MAX_TEXT_CHARACTERS, unknownPermission } from "./access-rules.js";
import { newApiKeySecret } from "./api-key-secret.js";
import { isPermission, isRoleName } from "./roles.js";

const PAGE = 200;
/** A century; more is a slip of the pen. */
const MAX_TTL_MS = 100 * 365 * 86_400_000;

export interface ApiKeyRequest {
  /** Who asks with the key. 1–256 characters. */
  readonly identity: string;
  /** `resource:action` with `*`, or names of roles. None: the key may do nothing. */
  readonly permissions: readonly string[];
  /** Default none. */
  readonly tenant?: string | null;
  /** What it is for. Default empty. */
  readonly label?: string;
  /** From 1,000. Default: it never expires. */
  readonly expiresInMs?: number | null;
}

/** A key without what only the storage needs. */
export type ListedApiKey = Omit<ApiKey, "digest">;

/** Keys of `apiKey()`, for who runs the server: there is no route for it. */
export interface ApiKeyAdmin {
  /**
   * @returns the key and its secret, which nobody can read again
   * @throws HeddleError `INVALID_REQUEST` names the field
   */
  create(request: ApiKeyRequest): Promise<{ readonly key: ListedApiKey; readonly secret: string }>;
  /** All of them, oldest first, also revoked and expired ones. */
  list(): Promise<readonly ListedApiKey[]>;
  /** For good. `null`: no such key. Servers notice within `cacheMs`, in open streams within `limits.reauthenticateMs`. */
  revoke(keyId: string): Promise<ListedApiKey | null>;
}

export function createApiKeyAdmin(keys: ApiKeyStore): ApiKeyAdmin {
  return {
    async create(request) {
      const { identity, permissions, tenant = null, label = "", expiresInMs = null } = request;
      checkText("identity", identity);
      if (tenant !== null) checkText("tenant", tenant);
      if (label !== "") checkText("label", label);
      for (const permission of permissions) {
        if (!isPermission(permission) && !isRoleName(permission)) {
          throw invalid("permissions", `${unknownPermission(permission)}, or the name of a role`);
        }
      }
      if (
        expiresInMs !== null &&
        !(Number.isInteger(expiresInMs) && expiresInMs >= 1_000 && expiresInMs <= MAX_TTL_MS)
      ) {
        throw invalid("expiresInMs", "must be whole milliseconds from 1,000, or null for never");
      }
      const secret = newApiKeySecret();
      const key = await keys.create({
        draft: {
          keyId: v7(),
          digest: secretDigest(secret),
          label,
          identity,
          tenant,
          permissions: [...new Set(permissions)],
          expiresInMs,
        },
      });
      return { key: listed(key), secret };
    },

    async list() {
      const all: ApiKey[] = [];
      for (;;) {
        const page = await keys.list({ after: all.at(-1)?.keyId ?? null, limit: PAGE });
        if (page.length === 0) return all.map(listed);
        all.push(...page);
      }
    },

    async revoke(keyId) {
      const revoked = await keys.revoke({ keyId });
      return revoked === null ? null : listed(revoked);
    },
  };
}

function listed(key: ApiKey): ListedApiKey {
  const { digest: _, ...rest } = key;
  return rest;
}

function checkText(field: string, value: string): void {
  if (!isPlainText(value))
    throw invalid(field, `must have 1 to ${MAX_TEXT_CHARACTERS} characters, none of them control characters`);
}

function invalid(field: string, rule: string): HeddleError {
  return new HeddleError("INVALID_REQUEST", { message: `${field}: ${rule}.` });
}
