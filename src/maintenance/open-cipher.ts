import type { Cipher, CipherSettings } from "../core/cipher.js";
import { openCipher } from "../encryption/open-cipher.js";

/**
 * The cipher of a configuration as the commands that work on a storage need it: clear values are what they are about.
 * @throws HeddleError as `openCipher`
 */
export async function lenientCipher(encryption: CipherSettings | null): Promise<Cipher | undefined> {
  return openCipher(encryption && { ...encryption, strict: false }, async (source) => {
    const { loadExport } = await import("../engine/loading/load-export.js");
    return (await loadExport({ field: "encryption.path", ...source, version: 0 })).value;
  });
}
