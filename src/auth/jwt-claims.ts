import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import { isPlainText, USER_MARKS } from "./access-rules.js";
import type { JwtSettings } from "./jwt-options.js";

/** Of one token; what is beyond is left out. */
const MAX_PERMISSIONS = 1_000;

/**
 * Who a verified token is of. The token itself goes nowhere.
 * @throws HeddleError `FORBIDDEN` names the claim that is missing
 */
export function callerOfClaims(claims: JsonObject, settings: JwtSettings): Caller {
  const { identityClaim, permissionsClaim, tenantClaim, metadataClaims, userClaims } = settings;
  const identity = requiredText(claims, identityClaim);
  const permissions = permissionsClaim === null ? [] : words(claimAt(claims, permissionsClaim));
  const marks = Object.entries(metadataClaims).map(([key, claim]) => [key, requiredText(claims, claim)] as const);
  const { name } = claims;
  const kept = userClaims.flatMap((claim) => {
    const value = claimAt(claims, claim);
    return value === undefined ? [] : [[claim, value] as const];
  });
  const user = {
    ...Object.fromEntries(kept),
    identity,
    display_name: typeof name === "string" && isPlainText(name) ? name : identity,
    is_authenticated: true,
    permissions,
    ...(tenantClaim !== null && { tenant: requiredText(claims, tenantClaim) }),
    ...(marks.length > 0 && { [USER_MARKS]: Object.fromEntries(marks) }),
  };
  return { identity, permissions, user };
}

/** By its name, as Auth0's `https://…/roles`; else by a path, as Keycloak's `realm_access.roles`. */
function claimAt(claims: JsonObject, name: string): JsonValue | undefined {
  if (Object.hasOwn(claims, name)) return claims[name];
  let at: JsonValue | undefined = claims;
  for (const part of name.split(".")) {
    if (at === undefined || !isJsonObject(at) || !Object.hasOwn(at, part)) return undefined;
    at = at[part];
  }
  return at;
}

function requiredText(claims: JsonObject, name: string): string {
  const value = claimAt(claims, name);
  if (typeof value === "string" && isPlainText(value)) return value;
  throw new HeddleError("FORBIDDEN", { message: `The token has no usable claim ${name}` });
}

/** A list of strings, or words in one (RFC 8693 §4.2). */
function words(value: JsonValue | undefined): readonly string[] {
  const list: readonly JsonValue[] = Array.isArray(value) ? value : typeof value === "string" ? value.split(" ") : [];
  return list.filter((one) => typeof one === "string" && one !== "").slice(0, MAX_PERMISSIONS) as readonly string[];
}
