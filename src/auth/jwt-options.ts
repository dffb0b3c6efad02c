import type { JsonObject } from "../core/json.js";
import { type AccessRules, problemsOfRules } from "./access-rules.js";
import type { Roles } from "./roles.js";

/** What tokens may be signed with unless said otherwise: RSA, RSA-PSS, ECDSA P-256, Ed25519. */
const DEFAULT_ALGORITHMS: readonly string[] = ["RS256", "PS256", "ES256", "EdDSA"];
const ALGORITHMS: ReadonlySet<string> = new Set(
  DEFAULT_ALGORITHMS.concat("RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "Ed25519"),
);

export interface JwtOptions extends AccessRules {
  /** Who must have issued a token: its `iss`, to the letter. Its keys are found by OpenID Connect Discovery. */
  readonly issuer: string;
  /** One of these must be in a token's `aud`: the name of this API at the issuer. */
  readonly audience: string | readonly string[];
  /** Where the issuer's keys are, instead of discovery: `https://`, or `http://` of this machine. */
  readonly jwksUri?: string;
  /** The issuer's public keys themselves (RFC 7517 §5), instead of discovery. */
  readonly jwks?: { readonly keys: readonly JsonObject[] };
  /** Default RS256, PS256, ES256, EdDSA. Never `none` and HS256: who can check those could sign them. */
  readonly algorithms?: readonly string[];
  /** What `typ` in a token's header must be, e.g. `at+jwt` (RFC 9068). Default: it is not looked at. */
  readonly type?: string;
  /** By how much clocks may differ, for `exp` and `nbf`. 0–300; default 5. */
  readonly clockToleranceSeconds?: number;
  /** Reject tokens issued longer ago (`iat`). Default: only `exp` counts. */
  readonly maxAgeSeconds?: number;
  /** Claims by name, or by a path with periods where there is none of that name (`realm_access.roles`). */
  readonly identityClaim?: string;
  /** A list of strings, or a string of words. Then permissions are checked; without it whoever has a token may do everything. */
  readonly permissionsClaim?: string;
  /** Every token needs it. Sets `tenantKey`, whose default is then `tenant`. */
  readonly tenantClaim?: string;
  /** Claim by metadata key: rows get and need it as they do the owner. Every token needs each. */
  readonly metadataClaims?: Readonly<Record<string, string>>;
  /** Claims that graphs get in `langgraph_auth_user`, stored with runs. Default none. */
  readonly userClaims?: readonly string[];
  /** Keys are fetched again when they are this old. Default 600,000. */
  readonly keysCacheMs?: number;
  /** An unknown key id makes them be fetched again at most this often, whoever makes ids up. Default 30,000. */
  readonly keysCooldownMs?: number;
}

/** {@link JwtOptions} with every default filled in. */
export interface JwtSettings {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly jwksUri: string | null;
  readonly jwks: { readonly keys: readonly JsonObject[] } | null;
  readonly algorithms: readonly string[];
  readonly type: string | null;
  readonly clockToleranceSeconds: number;
  readonly maxAgeSeconds: number | null;
  readonly identityClaim: string;
  readonly permissionsClaim: string | null;
  readonly tenantClaim: string | null;
  readonly metadataClaims: Readonly<Record<string, string>>;
  readonly userClaims: readonly string[];
  readonly keysCacheMs: number;
  readonly keysCooldownMs: number;
  /** `null`: claims are permissions themselves. */
  readonly roles: Roles | null;
  readonly rules: AccessRules;
}

export function jwtSettings(options: JwtOptions): JwtSettings {
  const { audience, tenantClaim = null } = options;
  return {
    issuer: options.issuer,
    audience: typeof audience === "string" ? [audience] : audience,
    jwksUri: options.jwksUri ?? null,
    jwks: options.jwks ?? null,
    algorithms: options.algorithms ?? DEFAULT_ALGORITHMS,
    type: options.type ?? null,
    clockToleranceSeconds: options.clockToleranceSeconds ?? 5,
    maxAgeSeconds: options.maxAgeSeconds ?? null,
    identityClaim: options.identityClaim ?? "sub",
    permissionsClaim: options.permissionsClaim ?? null,
    tenantClaim,
    metadataClaims: options.metadataClaims ?? {},
    userClaims: options.userClaims ?? [],
    keysCacheMs: options.keysCacheMs ?? 600_000,
    keysCooldownMs: options.keysCooldownMs ?? 30_000,
    roles: options.roles ?? null,
    rules: {
      ...(options.roles !== undefined && { roles: options.roles }),
      ownerKey: options.ownerKey === undefined ? "owner" : options.ownerKey,
      tenantKey: options.tenantKey ?? (tenantClaim === null ? null : "tenant"),
    },
  };
}

/** What is wrong with some options; empty when nothing is. */
export function problemsOfJwt(settings: JwtSettings): readonly string[] {
  const { issuer, audience, jwksUri, jwks, algorithms, clockToleranceSeconds: tolerance, maxAgeSeconds } = settings;
  const problems: string[] = [];
  if (typeof issuer !== "string" || issuer === "") problems.push("issuer: is needed: the `iss` of your tokens");
  else if (jwks === null && jwksUri === null && !isTrustedUrl(issuer))
    problems.push(`issuer: ${URL_RULE}, or give jwksUri or jwks`);
  if (audience.length === 0 || audience.some((one) => typeof one !== "string" || one === "")) {
    problems.push("audience: is needed: the `aud` that your issuer gives to tokens for this server");
  }
  if (jwks !== null && jwksUri !== null) problems.push("jwksUri: is of no use beside jwks; give one of them");
  if (jwksUri !== null && !isTrustedUrl(jwksUri)) problems.push(`jwksUri: ${URL_RULE}`);
  if (jwks !== null && !Array.isArray(jwks.keys)) problems.push("jwks: must be { keys: […] }");
  if (algorithms.length === 0) problems.push("algorithms: name at least one");
  for (const algorithm of algorithms) {
    if (!ALGORITHMS.has(algorithm))
      problems.push(`algorithms: "${algorithm}" is not among ${[...ALGORITHMS].join(", ")}`);
  }
  if (!(tolerance >= 0 && tolerance <= 300)) problems.push("clockToleranceSeconds: must be from 0 to 300");
  if (maxAgeSeconds !== null && !(maxAgeSeconds > 0)) problems.push("maxAgeSeconds: must be greater than 0");
  for (const name of ["keysCacheMs", "keysCooldownMs"] as const) {
    if (!(settings[name] >= 1_000)) problems.push(`${name}: must be from 1,000`);
  }
  if (settings.roles !== null && settings.permissionsClaim === null) {
    problems.push("permissionsClaim: is needed beside roles: the claim that names a caller's roles");
  }
  if (settings.rules.tenantKey !== null && settings.tenantClaim === null) {
    problems.push("tenantClaim: is needed beside tenantKey: the claim that names a caller's tenant");
  }
  problems.push(...problemsOfRules(settings.rules, Object.keys(settings.metadataClaims)));
  return problems;
}

const URL_RULE = "must be an https:// URL; http:// only of this machine";

/** https, or http of this machine, without user, password and fragment. */
export function isTrustedUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== "" || password !== "" || hash !== "") return false;
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
