import type { Caller } from "./auth.js";
import { callerKey } from "./limits.js";

/**
 * Whose records of a protocol a caller's are ({@link RecordKey.owner}): callers of one identity, tenant and set of marks share
 * them, nobody else sees them. `""` without authentication, and for the server itself.
 */
export function ownerOf(caller: Pick<Caller, "identity" | "user">): string {
  return caller.identity === null ? "" : callerKey(caller, null);
}
