import { createHmac, timingSafeEqual } from "node:crypto";
import type { EpochMs } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";

/** What a token allows: `inspect` only to look at an interrupt, `resolve` also to answer it. */
export const TOKEN_INTENTS = ["resolve", "inspect"] as const;
export type TokenIntent = (typeof TOKEN_INTENTS)[number];

/** What a signed token says (docs/wire/openwop.md §3.2 Interrupts). */
export interface TokenClaims {
  readonly runId: string;
  readonly nodeId: string;
  readonly interruptId: string;
  readonly expiresAt: EpochMs;
  readonly intent: TokenIntent;
}

/** How long a token holds whose interrupt has no `timeoutMs`. */
export const TOKEN_LIVES_MS = 30 * 60_000;

/** Longer ones are none of ours: not worth a digest. */
const MAX_TOKEN_CHARS = 2_048;

/** `base64url(JSON).base64url(HMAC-SHA-256)`: safe in a path. */
export function signToken(claims: TokenClaims, key: Buffer): string {
  const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
  return `${payload}.${signature(payload, key).toString("base64url")}`;
}

/** What a token says, compared in constant time; `null` for one that was not signed with this key. Its time is the caller's to look at. */
export function readToken(token: string, key: Buffer): TokenClaims | null {
  if (token.length > MAX_TOKEN_CHARS) return null;
  const [payload, signed, ...rest] = token.split(".");
  if (payload === undefined || signed === undefined || rest.length > 0) return null;
  const expected = signature(payload, key);
  const given = Buffer.from(signed, "base64url");
  // Base64 has several texts for the same bytes: only ours is taken.
  if (given.length !== expected.length || signed !== given.toString("base64url")) return null;
  return timingSafeEqual(given, expected) ? claimsOf(payload) : null;
}

function signature(payload: string, key: Buffer): Buffer {
  return createHmac("sha256", key).update(payload).digest();
}

function claimsOf(payload: string): TokenClaims | null {
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  } catch {
    return null;
  }
  if (!isJsonObject(claims)) return null;
  const { runId, nodeId, interruptId, expiresAt } = claims;
  const intent = TOKEN_INTENTS.find((one) => one === claims["intent"]);
  if (typeof runId !== "string" || typeof nodeId !== "string" || typeof interruptId !== "string") return null;
  return typeof expiresAt === "number" && intent !== undefined
    ? { runId, nodeId, interruptId, expiresAt, intent }
    : null;
}
