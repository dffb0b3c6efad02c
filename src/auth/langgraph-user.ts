import type { Caller } from "../core/auth.js";
import { copyJson, isJsonObject } from "../core/json.js";

/** Who asks, for services, and the user as the handlers of `Auth` see it: also what no JSON can hold. */
export interface AuthenticatedUser {
  readonly caller: Caller;
  readonly user: Readonly<Record<string, unknown>>;
}

/** Studio's user: `isStudioUser` of the SDK recognises it (docs/wire/langgraph-api.md §7.2). */
export const STUDIO_USER = Object.freeze({
  kind: "StudioUser",
  identity: "langgraph-studio-user",
  display_name: "langgraph-studio-user",
  permissions: [],
  is_authenticated: true,
});

/**
 * What `authenticate` returned, completed as handlers and graphs expect it: an identity, or an object with one.
 * @throws TypeError for anything else: a fault of the deployer's handler, never a caller without identity
 */
export function authenticatedUser(returned: unknown): AuthenticatedUser {
  if (typeof returned === "string") return completed({}, returned, undefined);
  if (typeof returned === "object" && returned !== null && "identity" in returned) {
    // Read here, since a copy leaves getters of a class behind.
    return completed(returned, returned.identity, "permissions" in returned ? returned.permissions : undefined);
  }
  throw new TypeError("authenticate must return an identity, or an object that has one as `identity`");
}

function completed(returned: object, identity: unknown, permissions: unknown): AuthenticatedUser {
  if (typeof identity !== "string" || identity === "") {
    throw new TypeError("authenticate returned a user whose `identity` is not a string, or empty");
  }
  const user: Record<string, unknown> = { ...returned };
  const held = stringsOf(permissions ?? []);
  user["identity"] = identity;
  user["permissions"] = held;
  user["is_authenticated"] ??= true;
  user["display_name"] ??= identity;
  const stored: unknown = copyJson(user as never);
  if (!isJsonObject(stored)) throw new TypeError("authenticate returned a user that is no JSON object");
  return { caller: { identity, permissions: held, user: stored }, user };
}

function stringsOf(permissions: unknown): readonly string[] {
  if (Array.isArray(permissions) && permissions.every((one) => typeof one === "string")) return [...permissions];
  throw new TypeError("authenticate returned a user whose `permissions` are not a list of strings");
}
