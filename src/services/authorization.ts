import type { AuthAction, Authorizer, AuthResource, Caller, Grant } from "../core/auth.js";
import { ALL_ROWS } from "../core/auth.js";
import type { JsonObject, JsonValue } from "../core/json.js";

/** The value of an authorization event. */
export type AuthValue = Readonly<Record<string, JsonValue | undefined>>;

/** Authorize one operation of a caller; the returned grant carries the filter that the store must apply. */
export type Authorize = <V extends AuthValue>(
  caller: Caller,
  resource: AuthResource,
  action: AuthAction,
  value: V,
) => Promise<Grant<V>>;

/** Bind an authorizer, or allow everything when there is none. */
export function createAuthorize(authorizer: Authorizer | null): Authorize {
  return async (caller, resource, action, value) => {
    if (authorizer === null) return { access: ALL_ROWS, value };
    return authorizer.authorize(caller, { resource, action, value });
  };
}

/** Metadata of a grant's value, which an authorization handler may have changed. */
export function grantedMetadata(grant: Grant<AuthValue>, fallback: JsonObject): JsonObject {
  const metadata = grant.value["metadata"];
  return typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)
    ? (metadata as JsonObject)
    : fallback;
}
