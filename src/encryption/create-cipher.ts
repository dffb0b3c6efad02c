import { createHmac, randomBytes } from "node:crypto";
import { areSealed, type Cipher, describePlace, type Place } from "../core/cipher.js";
import { HeddleError } from "../core/errors.js";
import {
  decrypt,
  encrypt,
  type Envelope,
  envelopeHead,
  KEY_BYTES,
  NONCE_BYTES,
  parseEnvelope,
  unwrapKey,
  wrapKey,
} from "./envelope.js";
import type { KeyRing } from "./key-ring.js";

/** Random nonces of 96 bits repeat too likely beyond 2^32 of them under one key (NIST SP 800-38D §8.3). */
const MAX_SEALS = 2 ** 31;
const DATA_KEY_MS = 24 * 3_600_000;
/** Opened data keys that are kept: one per process and day that wrote. */
const MAX_OPENED = 10_000;

export interface CipherOptions {
  readonly ring: KeyRing;
  /** Default false. */
  readonly strict?: boolean;
  /** Default none. */
  readonly clearItemFields?: readonly string[];
  /** Values sealed under one data key at most. Default 2^31. */
  readonly maxSeals?: number;
  /** How long a data key seals. Default a day. */
  readonly dataKeyMs?: number;
  /** Epoch milliseconds. Default the process's clock. */
  readonly now?: () => number;
}

/** A data key that seals, made by this process. */
interface DataKey {
  readonly key: Buffer;
  readonly nonceKey: Buffer;
  readonly head: Buffer;
  readonly until: number;
  seals: number;
}

/**
 * Envelope encryption: each process makes a random data key, which the active master key wraps, and seals with it for a day; the wrapped
 * key travels in every value. Nothing is written anywhere else, so that every value can be opened with the key ring alone.
 */
export function createCipher(options: CipherOptions): Cipher {
  const {
    ring,
    strict = false,
    clearItemFields = [],
    maxSeals = MAX_SEALS,
    dataKeyMs = DATA_KEY_MS,
    now = Date.now,
  } = options;
  const { activeId, keys } = ring;
  const master = keys.get(activeId);
  if (master === undefined) throw new TypeError(`The key ring has no key "${activeId}"`);
  let current: DataKey | null = null;
  const opened = new Map<string, Buffer>();

  const dataKey = (): DataKey => {
    const time = now();
    if (current === null || current.seals >= maxSeals || time >= current.until) {
      const key = randomBytes(KEY_BYTES);
      const nonceKey = createHmac("sha256", key).update("heddle nonces").digest();
      current = {
        key,
        nonceKey,
        head: envelopeHead(activeId, wrapKey(master, key)),
        until: time + dataKeyMs,
        seals: 0,
      };
    }
    current.seals += 1;
    return current;
  };

  const openedKey = ({ keyId, wrapped }: Envelope, place: Place): Buffer => {
    const masterKey = keys.get(keyId);
    if (masterKey === undefined) throw unknownKey(keyId, activeId, place);
    const name = `${keyId}:${wrapped.toString("base64")}`;
    const known = opened.get(name);
    if (known !== undefined) return known;
    const key = unwrapKey(masterKey, wrapped);
    if (key === null)
      throw failed(
        keyId,
        place,
        `the key "${keyId}" of this process is not the one that it was encrypted with, or it was changed`,
      );
    if (opened.size >= MAX_OPENED) opened.delete(opened.keys().next().value ?? "");
    opened.set(name, key);
    return key;
  };

  const open = (sealed: Uint8Array, place: Place): Buffer => {
    const envelope = parseEnvelope(sealed);
    if (envelope === null) throw failed(null, place, "it was changed");
    const plain = decrypt(openedKey(envelope, place), envelope, place);
    if (plain === null) throw failed(envelope.keyId, place, "it was changed, or belongs to another place");
    return plain;
  };

  return {
    activeKeyId: activeId,
    strict,
    clearItemFields,
    sealText(text, place) {
      const { key, head } = dataKey();
      const plain = Buffer.from(text.isWellFormed() ? text : escaped(text));
      return encrypt({ dataKey: key, head, nonce: randomBytes(NONCE_BYTES), plain, place }).toString("base64url");
    },
    openText: (sealed, place) => open(Buffer.from(sealed, "base64url"), place).toString("utf8"),
    sealBytes(plain, place) {
      const { key, nonceKey, head } = dataKey();
      // A function of place and value, which repeats only when both do: nobody learns more than that they are equal.
      const said = JSON.stringify(place);
      const nonce = createHmac("sha256", nonceKey)
        .update(`${said.length}:${said}`)
        .update(plain)
        .digest()
        .subarray(0, NONCE_BYTES);
      return encrypt({ dataKey: key, head, nonce, plain, place });
    },
    openBytes: open,
    keyIdOf(sealed) {
      const bytes = typeof sealed === "string" ? Buffer.from(sealed, "base64url") : sealed;
      return areSealed(bytes) ? (parseEnvelope(bytes)?.keyId ?? null) : null;
    },
  };
}

/** JSON text: UTF-8 has no lone surrogates, JSON has an escape for them. */
function escaped(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, (unit) => String.raw`\u${(unit.codePointAt(0) ?? 0).toString(16)}`);
}

function unknownKey(keyId: string, activeId: string, place: Place): HeddleError {
  return failed(
    keyId,
    place,
    `it is encrypted under the key "${keyId}", which is not among the keys of this process (active: "${activeId}"). Add it to the ring`,
  );
}

function failed(keyId: string | null, place: Place, why: string): HeddleError {
  return new HeddleError("DECRYPTION_FAILED", {
    message: `A stored value cannot be decrypted: ${why} (${describePlace(place)}).`,
    details: { keyId, place },
  });
}
