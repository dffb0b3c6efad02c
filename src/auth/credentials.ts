import { AuthRefusal } from "../core/auth.js";

/** Longer ones are nobody's: Node takes 16 KiB of headers in all. */
const MAX_CHARACTERS = 16_384;

/** The token of `authorization: Bearer …` (RFC 6750 §2.1); `null` when there is none. */
export function bearerToken(headers: Headers): string | null {
  const [scheme = "", token, ...rest] = (headers.get("authorization") ?? "").trim().split(/ +/);
  if (scheme.toLowerCase() !== "bearer" || token === undefined || rest.length > 0) return null;
  return token.length > MAX_CHARACTERS ? null : token;
}

/** 401 as RFC 6750 §3 has it. @param message without quotes and backslashes: it is said in a header, too */
export function unauthenticated(message: string, code?: "invalid_token"): AuthRefusal {
  const challenge =
    code === undefined
      ? 'Bearer realm="heddle"'
      : `Bearer realm="heddle", error="${code}", error_description="${message}"`;
  return new AuthRefusal({ status: 401, message, headers: { "www-authenticate": challenge } });
}
