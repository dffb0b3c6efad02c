import { randomBytes } from "node:crypto";
import type { Cipher } from "../../src/core/cipher.js";
import { createCipher, type CipherOptions } from "../../src/encryption/create-cipher.js";
import { parseKeyRing } from "../../src/encryption/key-ring.js";

/** A key ring entry with a key of its own. */
export function newKey(id: string): string {
  return `${id}:${randomBytes(32).toString("base64")}`;
}

/** @param keys ring entries, the active one first */
export function cipherOf(
  keys: string | readonly string[] = newKey("test"),
  options: Omit<CipherOptions, "ring"> = {},
): Cipher {
  return createCipher({ ring: parseKeyRing([keys].flat().join("\n"), "test"), ...options });
}
