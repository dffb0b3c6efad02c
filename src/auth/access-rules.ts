import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import { isJsonObject } from "../core/json.js";
import type { RowMark } from "./isolation.js";
import { isPermission, isRoleName, type Roles } from "./roles.js";

/** What callers see and may do: the same for every ready-made way to authenticate. */
export interface AccessRules {
  /** Permissions by role: `{ reader: ["threads:read", "threads:search"], admin: ["*"] }`. */
  readonly roles?: Roles;
  /** Metadata key under which rows carry who made them; a caller sees only its own. `null`: everybody's. Default `owner`. */
  readonly ownerKey?: string | null;
  /**
   * Metadata key under which rows carry their tenant; a caller sees only its tenant's, and one without a tenant is refused.
   * `null`: there are no tenants, and callers that have one are refused. Default `null`.
   */
  readonly tenantKey?: string | null;
}

/** Of an identity, a tenant, a label. */
export const MAX_TEXT_CHARACTERS = 256;

/** The field of `Caller.user` that holds values of `metadataClaims`. */
export const USER_MARKS = "metadata";

/**
 * The marks of rows in order: tenant, what else callers bring, owner.
 * @param claimed metadata keys whose values are in the user's `metadata`
 */
export function rowMarks(rules: AccessRules, claimed: readonly string[] = []): readonly RowMark[] {
  const { ownerKey = "owner", tenantKey = null } = rules;
  const marks: RowMark[] = claimed.map((metadataKey) => ({
    metadataKey,
    name: metadataKey,
    valueOf: ({ user }) => {
      const held = user?.[USER_MARKS];
      return text(isJsonObject(held) && Object.hasOwn(held, metadataKey) ? held[metadataKey] : null);
    },
  }));
  if (tenantKey !== null) marks.unshift({ metadataKey: tenantKey, name: "tenant", valueOf: tenantOf });
  if (ownerKey !== null)
    marks.push({ metadataKey: ownerKey, name: "identity", valueOf: ({ identity }) => text(identity) });
  return marks;
}

function tenantOf({ user }: Pick<Caller, "user">): string | null {
  return text(user?.["tenant"]);
}

/** What is wrong with some rules, by field; empty when nothing is. */
export function problemsOfRules(rules: AccessRules, claimed: readonly string[] = []): readonly string[] {
  const { roles = {}, ownerKey = "owner", tenantKey = null } = rules;
  const problems: string[] = [];
  for (const [name, permissions] of Object.entries(roles)) {
    if (!isRoleName(name)) problems.push(`roles: "${name}" is no name of a role. Begin with a letter, without ":"`);
    for (const permission of permissions) {
      if (!isPermission(permission)) problems.push(`roles.${name}: ${unknownPermission(permission)}`);
    }
  }
  const keys = [tenantKey, ...claimed, ownerKey].filter((key) => key !== null);
  for (const key of keys) {
    if (key === "" || key.startsWith("$")) problems.push(`"${key}" can't be a key of metadata to filter by`);
  }
  if (new Set(keys).size < keys.length)
    problems.push(`ownerKey, tenantKey and metadataClaims must differ: ${keys.join(", ")}`);
  return problems;
}

export function unknownPermission(permission: string): string {
  return `"${permission}" is no permission. Use resource:action as in threads:read, threads:*, *:read, * or rows:all`;
}

/** Whether a text may be an identity, tenant or label: something to read in one line of a terminal. */
export function isPlainText(value: string): boolean {
  return value !== "" && value.length <= MAX_TEXT_CHARACTERS && value.isWellFormed() && !/\p{Cc}/u.test(value);
}

/** @throws HeddleError `CONFIG_INVALID` names every problem */
export function refuseProblems(what: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new HeddleError("CONFIG_INVALID", { message: problems.map((problem) => `${what}: ${problem}.`).join("\n") });
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
