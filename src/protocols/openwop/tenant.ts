import type { Caller } from "../../core/auth.js";

/** The tenant of everybody, without authentication. */
const ONLY_TENANT = "default";

/** What OpenWOP calls a caller's tenant or workspace: `user.tenant` where authentication says one, else who it is. */
export function tenantOf({ identity, user }: Pick<Caller, "identity" | "user">): string {
  const tenant = user?.["tenant"];
  return typeof tenant === "string" && tenant !== "" ? tenant : (identity ?? ONLY_TENANT);
}

/** Whether a caller may name this tenant as its own: without authentication there is nobody it could be kept from. */
export function mayBeTenant(caller: Pick<Caller, "identity" | "user">, tenantId: string): boolean {
  return caller.identity === null || tenantId === tenantOf(caller);
}
