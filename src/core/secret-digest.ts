import { createHash } from "node:crypto";

/** SHA-256 as 64 hex digits: what is stored of a key or a ticket of 256 random bits, and looked up. */
export function secretDigest(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
