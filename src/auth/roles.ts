import type { AuthAction, AuthResource } from "../core/auth.js";

/** Every event that is authorized (docs/wire/langgraph-api.md §7.3). */
const ACTIONS: Readonly<Record<AuthResource, readonly AuthAction[]>> = {
  assistants: ["create", "read", "update", "delete", "search"],
  threads: ["create", "read", "update", "delete", "search", "create_run"],
  crons: ["create", "read", "update", "delete", "search"],
  store: ["put", "get", "delete", "search", "list_namespaces"],
};

const ANY = "*";
/** Not to be confined to one's own rows and namespaces. Not part of `*`: it must be given by name. */
const ALL_OWNERS = "rows:all";

const RESOURCES = Object.entries(ACTIONS);
const PERMISSIONS: ReadonlySet<string> = new Set([
  ANY,
  ALL_OWNERS,
  ...RESOURCES.map(([resource]) => `${resource}:${ANY}`),
  ...RESOURCES.flatMap(([resource, actions]) => actions.map((action) => `${resource}:${action}`)),
  ...Object.values(ACTIONS).flatMap((actions) => actions.map((action) => `${ANY}:${action}`)),
]);
const ROLE_NAME = /^[A-Za-z][\w.-]{0,63}$/;

/** `threads:read`, `threads:*`, `*:read`, `*`, `rows:all`. */
export function isPermission(text: string): boolean {
  return PERMISSIONS.has(text);
}

/** Whether a text may name a role: a letter, then letters, digits, `_`, `-`, `.`; at most 64. */
export function isRoleName(text: string): boolean {
  return ROLE_NAME.test(text);
}

/** Permissions by the name of a role. */
export type Roles = Readonly<Record<string, readonly string[]>>;

export interface RoleCheck {
  /** Whether one of a caller's permissions, or of its roles, allows an action. Whatever is not allowed is forbidden. */
  allows(granted: readonly string[], resource: AuthResource, action: AuthAction): boolean;
  seesAllOwners(granted: readonly string[]): boolean;
}

/**
 * @param options.onlyRoles what a caller brings counts only where it names a role: for claims of others' tokens
 */
export function createRoleCheck(roles: Roles, options: { readonly onlyRoles: boolean }): RoleCheck {
  const byName = new Map(Object.entries(roles).map(([name, permissions]) => [name, new Set(permissions)]));
  const has = (granted: readonly string[], wanted: readonly string[]): boolean =>
    granted.some((one) => {
      const role = byName.get(one);
      if (role !== undefined) return wanted.some((permission) => role.has(permission));
      return !options.onlyRoles && wanted.includes(one);
    });
  return {
    allows: (granted, resource, action) =>
      has(granted, [`${resource}:${action}`, `${resource}:${ANY}`, `${ANY}:${action}`, ANY]),
    seesAllOwners: (granted) => has(granted, [ALL_OWNERS]),
  };
}
