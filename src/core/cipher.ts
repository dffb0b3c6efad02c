import { HeddleError } from "./errors.js";
import { asJsonText, isJsonObject, type JsonObject, type JsonText, type JsonValue, toJsonText } from "./json.js";

/**
 * Where a sealed value lies: its kind of row, the keys of the row, its field. Bound into the ciphertext, so that one that was
 * copied to another place does not open there.
 */
export type Place = readonly (string | number)[];

/** Encrypts values at rest (docs/guides/encryption.md). Everything is synchronous: keys are there before it is. */
export interface Cipher {
  /** Names the key that seals. */
  readonly activeKeyId: string;
  /** Refuse clear values where sealed ones are expected, instead of taking them for older than the encryption. */
  readonly strict: boolean;
  /** Top-level keys of an item's value that stay clear beside the sealed value, for filters. */
  readonly clearItemFields: readonly string[];
  /** A text as one line of printable ASCII. */
  sealText(text: string, place: Place): string;
  /**
   * @throws HeddleError `DECRYPTION_FAILED` with `{keyId, place}`: its key is not in the ring, it was changed, or it belongs to
   * another place
   */
  openText(sealed: string, place: Place): string;
  /**
   * Bytes as bytes that begin with {@link SEALED_BYTES}. Equal values of one place become equal bytes while this process keeps its
   * data key, so that a storage can tell that it has a value already.
   */
  sealBytes(bytes: Uint8Array, place: Place): Uint8Array;
  /** @throws HeddleError as {@link Cipher.openText} */
  openBytes(sealed: Uint8Array, place: Place): Uint8Array;
  /** Id of the master key of a sealed value, without opening it; `null` for what is not sealed by any version of this. */
  keyIdOf(sealed: string | Uint8Array): string | null;
}

/** Master keys as a function of the user returns them: 32 bytes each, or their base64 or hex. Those beside the active one only open. */
export interface EncryptionKeys {
  /** Id of the key that seals. */
  readonly active: string;
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
}

/** Asked once, when the storage is opened: a vault, or a KMS that decrypts stored keys. */
export type EncryptionKeySource = () => EncryptionKeys | Promise<EncryptionKeys>;

/** Where the master keys come from, as the configuration decided. */
export type EncryptionKeysFrom =
  | { readonly kind: "text"; readonly text: string; readonly name: string }
  /** Absolute. */
  | { readonly kind: "file"; readonly path: string; readonly name: string }
  | { readonly kind: "function"; readonly load: EncryptionKeySource }
  /** `path` is `file:export`, relative to `cwd`. */
  | { readonly kind: "module"; readonly path: string; readonly cwd: string };

/** What a cipher is opened from. */
export interface CipherSettings {
  readonly from: EncryptionKeysFrom;
  readonly strict: boolean;
  readonly clearItemFields: readonly string[];
}

/** What sealed bytes begin with; no JSON and no text does. */
export const SEALED_BYTES: Uint8Array = Uint8Array.of(0, 72, 68, 76, 1);

/** The key of the object that stands for a sealed JSON value. Users may have it too: only with {@link SEALED_TEXT} it is ours. */
export const SEALED_KEY = "$heddle";

/** What sealed texts begin with: {@link SEALED_BYTES} in base64url, as far as it does not depend on the byte behind them. */
export const SEALED_TEXT = "AEhETA";

/** What sealed JSON text begins with as {@link sealJsonText} writes it. */
export const SEALED_JSON_HEAD = `{"${SEALED_KEY}":"${SEALED_TEXT}`;

const HEAD = `{"${SEALED_KEY}":"`;
const TAIL = `"}`;
/** Also as a `jsonb` column spells it. */
const SEALED_JSON = /^\{"\$heddle": ?"AEhETA[\w-]*"\}$/;

/** Whether bytes claim to be sealed. */
export function areSealed(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && SEALED_BYTES.every((byte, at) => bytes[at] === byte);
}

/** The sealed text inside `{"$heddle": "AEhETA…"}`; `null` for any other value, also for one of a user's with that key. */
export function sealedTextOf(value: JsonValue | undefined): string | null {
  const sealed = isJsonObject(value) && Object.hasOwn(value, SEALED_KEY) ? value[SEALED_KEY] : undefined;
  return typeof sealed === "string" && sealed.startsWith(SEALED_TEXT) ? sealed : null;
}

/** Whether JSON text is `{"$heddle":"AEhETA…"}` and nothing else. */
export function isSealedJsonText(text: string): boolean {
  return text.startsWith(`{"${SEALED_KEY}":`) && SEALED_JSON.test(text);
}

export function sealJsonText(cipher: Cipher, text: JsonText, place: Place): JsonText {
  return asJsonText(`${HEAD}${cipher.sealText(text, place)}${TAIL}`);
}

/**
 * Open what {@link sealJsonText} made; clear text is returned as it is.
 * @throws HeddleError `DECRYPTION_FAILED`, also for clear text when the cipher is strict
 */
export function openJsonText(cipher: Cipher, text: JsonText, place: Place): JsonText {
  if (!isSealedJsonText(text)) return admitClear(cipher, place, text);
  const sealed = text.slice(text.indexOf('"', HEAD.length - 2) + 1, -TAIL.length);
  return asJsonText(cipher.openText(sealed, place));
}

/** A JSON value as `{"$heddle": "…"}`. */
export function sealJson(cipher: Cipher, value: JsonValue, place: Place): JsonObject {
  return { [SEALED_KEY]: cipher.sealText(toJsonText(value), place) };
}

/** @throws HeddleError as {@link openJsonText} */
export function openJson(cipher: Cipher, value: JsonValue, place: Place): JsonValue {
  const sealed = sealedTextOf(value);
  if (sealed === null) return admitClear(cipher, place, value);
  return JSON.parse(cipher.openText(sealed, place)) as JsonValue;
}

/** A clear value where a sealed one is expected. @throws HeddleError `DECRYPTION_FAILED` when the cipher is strict */
export function admitClear<T>(cipher: Pick<Cipher, "strict">, place: Place, value: T): T {
  if (!cipher.strict) return value;
  throw new HeddleError("DECRYPTION_FAILED", {
    message:
      `A stored value is not encrypted, which encryption.strict does not allow (${describePlace(place)}). Run ` +
      "`heddle encrypt --rewrite`, or switch strict off.",
    details: { place },
  });
}

/** What is found where nothing is configured to open it. */
export function encryptedWithoutKey(place: Place, keyId: string | null): HeddleError {
  return new HeddleError("DECRYPTION_FAILED", {
    message:
      `Stored data is encrypted${keyId === null ? "" : ` under the key "${keyId}"`}, and this process has no keys ` +
      `(${describePlace(place)}). Set HEDDLE_ENCRYPTION_KEY or the option \`encryption\`.`,
    details: { keyId, place },
  });
}

/** For messages: ids, no values. */
export function describePlace(place: Place): string {
  return place.join(" ");
}
