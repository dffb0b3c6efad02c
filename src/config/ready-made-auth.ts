import { z } from "zod";

/** `auth.api_key` and `auth.jwt`: Heddle's own ways to authenticate without code. What is in them is judged when they are opened. */
export interface ReadyMadeAuth {
  readonly method: "apiKey" | "jwt";
  /** Options of `apiKey()` or `jwt()`. */
  readonly options: Readonly<Record<string, unknown>>;
}

const strings = z.array(z.string());
const ruleKeys = {
  roles: z.record(z.string(), strings).optional(),
  owner_key: z.string().nullable().optional(),
  tenant_key: z.string().nullable().optional(),
};

const apiKeySection = z.strictObject({ ...ruleKeys, header: z.string().optional(), cache_ms: z.number().optional() });

const jwtSection = z.strictObject({
  ...ruleKeys,
  issuer: z.string(),
  audience: z.union([z.string(), strings]),
  jwks_uri: z.string().optional(),
  algorithms: strings.optional(),
  type: z.string().optional(),
  clock_tolerance_seconds: z.number().optional(),
  max_age_seconds: z.number().optional(),
  identity_claim: z.string().optional(),
  permissions_claim: z.string().optional(),
  tenant_claim: z.string().optional(),
  metadata_claims: z.record(z.string(), z.string()).optional(),
  user_claims: strings.optional(),
  keys_cache_ms: z.number().optional(),
  keys_cooldown_ms: z.number().optional(),
});

/** Beside the other keys of `auth`. */
export const readyMadeSections = { api_key: apiKeySection.optional(), jwt: jwtSection.optional() };

/** What of `auth` says how to authenticate: at most one of these. */
export const AUTH_METHODS = ["path", "api_key", "jwt"] as const;

export function readyMadeOf(auth: {
  readonly api_key?: z.infer<typeof apiKeySection> | undefined;
  readonly jwt?: z.infer<typeof jwtSection> | undefined;
}): ReadyMadeAuth | null {
  if (auth.api_key !== undefined) return { method: "apiKey", options: camelKeys(auth.api_key) };
  return auth.jwt === undefined ? null : { method: "jwt", options: camelKeys(auth.jwt) };
}

/** Our own keys, not what is in them: names of roles and claims are the user's. */
function camelKeys(section: object): Readonly<Record<string, unknown>> {
  const entries = Object.entries(section).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([name, value]) => [name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]),
  );
}
