import type { AuthAction, AuthResource } from "../core/auth.js";
import { isHeddleError } from "../core/errors.js";
import type { AuditedOperation, OperationListener } from "../core/request-scope.js";
import type { Authorize, AuthValue } from "./authorization.js";

/** What names a resource in the value of an authorization event (docs/wire/langgraph-api.md §7.3). Nothing else is told. */
const IDS = ["assistant_id", "thread_id", "run_id", "cron_id", "graph_id", "namespace", "key"] as const;

/** Longer ids are cut: they come from clients. */
const MAX_ID_CHARS = 256;
const MAX_LABELS = 32;

/** The same as `authorize`, and tell of each operation what it was and whether it was allowed. */
export function auditedAuthorize(authorize: Authorize, tell: OperationListener): Authorize {
  return async (caller, resource, action, value) => {
    // After the authorizer, which is asked for the value as it came.
    const told = (allowed: boolean) => operationOf(resource, action, value, allowed);
    try {
      const grant = await authorize(caller, resource, action, value);
      tell(caller, told(true));
      return grant;
    } catch (error) {
      tell(caller, isRefusal(error) ? told(false) : { ...told(false), isUndecided: true });
      throw error;
    }
  };
}

function isRefusal(error: unknown): boolean {
  return isHeddleError(error) && (error.code === "FORBIDDEN" || error.code === "UNAUTHENTICATED");
}

function operationOf(resource: AuthResource, action: AuthAction, value: AuthValue, allowed: boolean): AuditedOperation {
  const ids: Record<string, string | readonly string[]> = {};
  for (const name of IDS) {
    const id = value[name];
    if (typeof id === "string") ids[name] = id.slice(0, MAX_ID_CHARS);
    else if (name === "namespace" && Array.isArray(id)) {
      ids[name] = id.slice(0, MAX_LABELS).map((label) => String(label).slice(0, MAX_ID_CHARS));
    }
  }
  return { action: `${resource}:${action}`, resource: ids, allowed };
}
