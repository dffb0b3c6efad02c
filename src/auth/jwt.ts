import type { JWTVerifyOptions } from "jose";
import type { AuthDeps, AuthFactory, AuthProvider, AuthRefusal } from "../core/auth.js";
import { authFactory } from "../core/auth.js";
import type { EpochMs, JsonObject } from "../core/json.js";
import { refuseProblems, rowMarks } from "./access-rules.js";
import { bearerToken, unauthenticated } from "./credentials.js";
import { createIsolation } from "./isolation.js";
import { callerOfClaims } from "./jwt-claims.js";
import { createKeyResolver } from "./jwt-keys.js";
import { type JwtOptions, type JwtSettings, jwtSettings, problemsOfJwt } from "./jwt-options.js";
import { createRoleCheck } from "./roles.js";

/**
 * Signed tokens of an issuer (RFC 7519, OpenID Connect), as `authorization: Bearer …`.
 * @example jwt({ issuer: "https://login.example.com/", audience: "https://agents.example.com" })
 * @throws HeddleError `CONFIG_INVALID` names every wrong option
 */
export function jwt(options: JwtOptions): AuthFactory {
  const settings = jwtSettings(options);
  refuseProblems("jwt", problemsOfJwt(settings));
  return authFactory((deps) => openJwt(settings, deps));
}

async function openJwt(settings: JwtSettings, { clock, logger }: AuthDeps): Promise<AuthProvider> {
  const { issuer, audience, algorithms, type, clockToleranceSeconds, maxAgeSeconds, roles, rules } = settings;
  // Only for those who use it.
  const jose = await import("jose");
  const keyOf = createKeyResolver(settings, { jose, clock, logger });
  const options: JWTVerifyOptions = {
    issuer,
    audience: [...audience],
    algorithms: [...algorithms],
    clockTolerance: clockToleranceSeconds,
    requiredClaims: ["exp"],
    ...(type !== null && { typ: type }),
    ...(maxAgeSeconds !== null && { maxTokenAge: maxAgeSeconds }),
  };
  const refusalOf = (error: unknown): unknown => {
    if (error instanceof jose.errors.JWTExpired) return unauthenticated("The token has expired", "invalid_token");
    const isClaim = error instanceof jose.errors.JWTClaimValidationFailed;
    // jose 6.2.17 throws a TypeError for keys that are too weak.
    if (!(error instanceof jose.errors.JOSEError) && !(error instanceof TypeError)) return error;
    logger.debug({ err: error }, "a token was refused");
    return invalidToken(isClaim ? `: claim ${error.claim}` : "");
  };
  return {
    async authenticate(request) {
      const token = bearerToken(request.headers);
      if (token === null) throw unauthenticated("Send a token as authorization: Bearer");
      let claims: JsonObject;
      try {
        const verified = await jose.jwtVerify(token, keyOf, { ...options, currentDate: new Date(clock.now()) });
        claims = verified.payload as JsonObject;
      } catch (error) {
        throw refusalOf(error);
      }
      return { ...callerOfClaims(claims, settings), validUntil: validUntil(claims, settings) };
    },
    authorizer: createIsolation({
      marks: rowMarks(rules, Object.keys(settings.metadataClaims)),
      roles: settings.permissionsClaim === null ? null : createRoleCheck(roles ?? {}, { onlyRoles: roles !== null }),
    }),
  };
}

/** When `exp` or `maxAgeSeconds` would make the token be refused. */
function validUntil({ exp, iat }: JsonObject, { clockToleranceSeconds, maxAgeSeconds }: JwtSettings): EpochMs {
  const oldestAt = maxAgeSeconds === null || typeof iat !== "number" ? Number.POSITIVE_INFINITY : iat + maxAgeSeconds;
  // `exp` is required, and checked to be a number.
  return (Math.min(Number(exp), oldestAt) + clockToleranceSeconds) * 1_000;
}

function invalidToken(why: string): AuthRefusal {
  return unauthenticated(`The token is not valid${why}`, "invalid_token");
}
