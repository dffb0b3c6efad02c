import { readFile } from "node:fs/promises";
import type { Cipher, CipherSettings, EncryptionKeysFrom, EncryptionKeySource } from "../core/cipher.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import { createCipher } from "./create-cipher.js";
import { type KeyRing, parseKeyRing, toKeyRing } from "./key-ring.js";

/** What a module exports under a name: `file:export`. */
export type ExportLoader = (source: { readonly path: string; readonly cwd: string }) => Promise<unknown>;

/**
 * The cipher of a configuration; `undefined` where nothing is encrypted.
 * @throws HeddleError `CONFIG_INVALID` when keys are missing, malformed, or a function of the user fails; `UNSUPPORTED_OPTION` for an
 * `Encryption` object as LangGraph's Python SDK has it
 */
export async function openCipher(
  settings: CipherSettings | null,
  loadExport: ExportLoader,
): Promise<Cipher | undefined> {
  if (settings === null) return undefined;
  const { from, strict, clearItemFields } = settings;
  return createCipher({ ring: await ringOf(from, loadExport), strict, clearItemFields });
}

async function ringOf(from: EncryptionKeysFrom, loadExport: ExportLoader): Promise<KeyRing> {
  switch (from.kind) {
    case "text":
      return parseKeyRing(from.text, from.name);
    case "file":
      return parseKeyRing(await textOf(from.path, from.name), `${from.name} (${from.path})`);
    case "function":
      return called(from.load, "encryption.keys");
    default:
      return called(keySourceOf(await loadExport(from), from.path), `encryption.path (${from.path})`);
  }
}

async function textOf(path: string, name: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new HeddleError("CONFIG_INVALID", { message: `${name}: ${path} cannot be read.`, cause: error });
  }
}

function keySourceOf(value: unknown, path: string): EncryptionKeySource {
  if (typeof value === "function") return value as EncryptionKeySource;
  const isPythonic = typeof value === "object" && value !== null && "encrypt" in value && "decrypt" in value;
  throw new HeddleError(isPythonic ? "UNSUPPORTED_OPTION" : "CONFIG_INVALID", {
    message: isPythonic
      ? `encryption.path: ${path} has handlers that encrypt and decrypt values, which exist for Python only. Export a function that returns { active: "id", keys: { id: <32 bytes, or their base64> } }: Heddle encrypts itself.`
      : `encryption.path: ${path} must export a function that returns { active: "id", keys: { id: <32 bytes, or their base64> } }.`,
  });
}

async function called(load: EncryptionKeySource, name: string): Promise<KeyRing> {
  let given: unknown;
  try {
    given = await load();
  } catch (error) {
    if (isHeddleError(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new HeddleError("CONFIG_INVALID", { message: `${name} failed: ${reason}`, cause: error });
  }
  return toKeyRing(given, name);
}
