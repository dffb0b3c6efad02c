import pc from "picocolors";
import type { ApiKeyAdmin, ListedApiKey } from "../../auth/api-key-admin.js";
import { HeddleError } from "../../core/errors.js";
import { type TablesFlags, withTables } from "../with-tables.js";

export interface CreateKeyFlags extends TablesFlags {
  readonly identity: string;
  readonly permission?: readonly string[];
  readonly tenant?: string;
  readonly label?: string;
  /** Milliseconds. */
  readonly expiresIn?: number;
}

/**
 * `heddle keys create`: make a key of `apiKey()` and print its secret, once.
 * @returns the exit code
 */
export function createKey(flags: CreateKeyFlags): Promise<number> {
  return withKeys(flags, async (keys, place) => {
    const { identity, tenant = null, label = "", expiresIn = null, permission = ["*"] } = flags;
    const { key, secret } = await keys.create({
      identity,
      tenant,
      label,
      permissions: permission,
      expiresInMs: expiresIn,
    });
    if (flags.json === true) return [json({ ...keyDocument(key), secret })];
    return [
      secret,
      pc.dim("  the secret, shown this once: clients send it as x-api-key"),
      ...keyLines(key),
      `  in          ${place}`,
    ];
  });
}

/** `heddle keys list`: all keys of a storage, without secrets. @returns the exit code */
export function listKeys(flags: TablesFlags): Promise<number> {
  return withKeys(flags, async (keys, place) => {
    const all = await keys.list();
    if (flags.json === true) return [json(all.map(keyDocument))];
    if (all.length === 0) return [`no keys in ${place}`];
    return all.flatMap((key) => [pc.bold(key.keyId)].concat(keyLines(key).slice(1)));
  });
}

/** `heddle keys revoke`: a key, for good. @returns the exit code: 1 when there is no such key */
export function revokeKey(keyId: string, flags: TablesFlags): Promise<number> {
  return withKeys(flags, async (keys, place) => {
    const key = await keys.revoke(keyId);
    if (key === null) {
      throw new HeddleError("NOT_FOUND", {
        message: `There is no key ${keyId} in ${place}. See \`heddle keys list\`.`,
      });
    }
    if (flags.json === true) return [json(keyDocument(key))];
    return [
      `revoked ${key.keyId} of ${key.identity}`,
      pc.dim("  servers notice within a second (cacheMs), open streams within half a minute (limits.reauthenticateMs)"),
    ];
  });
}

function withKeys(
  flags: TablesFlags,
  work: (keys: ApiKeyAdmin, place: string) => Promise<readonly string[]>,
): Promise<number> {
  return withTables(flags, {
    instead: "make keys in its process with server.apiKeys.create()",
    work: async ({ keys }, place) => {
      const { createApiKeyAdmin } = await import("../../auth/api-key-admin.js");
      return work(createApiKeyAdmin(keys), place);
    },
  });
}

function keyLines(key: ListedApiKey): readonly string[] {
  const rows: readonly (readonly [string, string])[] = [
    ["key", key.keyId],
    ["identity", key.identity],
    ...(key.tenant === null ? [] : [["tenant", key.tenant] as const]),
    ...(key.label === "" ? [] : [["label", key.label] as const]),
    ["permissions", key.permissions.join(" ") || "none"],
    ["created", isoTime(key.createdAt)],
    ["expires", key.expiresAt === null ? "never" : isoTime(key.expiresAt)],
    ...(key.revokedAt === null ? [] : [["revoked", isoTime(key.revokedAt)] as const]),
  ];
  return rows.map(([name, value]) => `  ${pc.dim(name.padEnd(11))} ${value}`);
}

/** For scripts: names as on the wire. */
function keyDocument(key: ListedApiKey): object {
  return {
    key_id: key.keyId,
    identity: key.identity,
    tenant: key.tenant,
    label: key.label,
    permissions: key.permissions,
    created_at: isoTime(key.createdAt),
    expires_at: key.expiresAt === null ? null : isoTime(key.expiresAt),
    revoked_at: key.revokedAt === null ? null : isoTime(key.revokedAt),
  };
}

function json(value: object): string {
  return JSON.stringify(value, null, 2);
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
