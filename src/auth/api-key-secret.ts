import { randomBytes, timingSafeEqual } from "node:crypto";

/** What tells our keys from other secrets, also for those who search repositories for leaked ones. */
const PREFIX = "hdl_";
const SECRET_BYTES = 32;
const SECRET = /^hdl_[A-Za-z0-9_-]{43}$/;
const DIGEST = /^[0-9a-f]{64}$/;

/** A new secret of 256 random bits: `hdl_` and 43 characters. */
export function newApiKeySecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString("base64url");
}

/** Whether a text may be a secret at all. No storage is asked about others. */
export function isApiKeySecret(text: string): boolean {
  return SECRET.test(text);
}

/** Constant time: always 32 bytes against 32 bytes. False for what is no digest. */
export function isSameDigest(a: string, b: string): boolean {
  if (!DIGEST.test(a) || !DIGEST.test(b)) return false;
  return timingSafeEqual(Buffer.from(a, "hex"), Buffer.from(b, "hex"));
}
