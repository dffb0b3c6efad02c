import { createCipheriv, createDecipheriv } from "node:crypto";
import { type Place, SEALED_BYTES } from "../core/cipher.js";

/** AES-256 everywhere. */
export const KEY_BYTES = 32;
/** A data key under AES key wrap (RFC 3394): eight bytes more. */
const WRAPPED_BYTES = KEY_BYTES + 8;
export const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** RFC 3394 §2.2.3.1: what tells a wrong key. */
const WRAP_IV = Buffer.alloc(8, 0xa6);
export const MAX_KEY_ID_BYTES = 64;

/**
 * A sealed value: magic and version, length and text of the master key's id, data key wrapped by it (RFC 3394), nonce; then the
 * ciphertext and tag of AES-256-GCM (NIST SP 800-38D). What precedes the nonce is the same for all values of a data key, and
 * authenticated with the place.
 */
export interface Envelope {
  readonly keyId: string;
  readonly wrapped: Buffer;
  /** Everything before the nonce. */
  readonly head: Buffer;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/** What precedes the nonce. @param keyId at most {@link MAX_KEY_ID_BYTES} bytes */
export function envelopeHead(keyId: string, wrapped: Buffer): Buffer {
  const id = Buffer.from(keyId);
  return Buffer.concat([SEALED_BYTES, Buffer.of(id.length), id, wrapped]);
}

/** The parts of a sealed value; `null` when it is none, or cut off. */
export function parseEnvelope(sealed: Uint8Array): Envelope | null {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const idAt = SEALED_BYTES.length + 1;
  const wrappedAt = idAt + (bytes[SEALED_BYTES.length] ?? 0);
  const nonceAt = wrappedAt + WRAPPED_BYTES;
  const bodyAt = nonceAt + NONCE_BYTES;
  const tagAt = bytes.length - TAG_BYTES;
  if (tagAt < bodyAt || !bytes.subarray(0, SEALED_BYTES.length).equals(SEALED_BYTES)) return null;
  return {
    keyId: bytes.toString("utf8", idAt, wrappedAt),
    wrapped: bytes.subarray(wrappedAt, nonceAt),
    head: bytes.subarray(0, nonceAt),
    nonce: bytes.subarray(nonceAt, bodyAt),
    ciphertext: bytes.subarray(bodyAt, tagAt),
    tag: bytes.subarray(tagAt),
  };
}

export function wrapKey(masterKey: Buffer, dataKey: Buffer): Buffer {
  const cipher = createCipheriv("id-aes256-wrap", masterKey, WRAP_IV);
  return Buffer.concat([cipher.update(dataKey), cipher.final()]);
}

/** `null` when the master key is another one, or the wrapped key was changed. */
export function unwrapKey(masterKey: Buffer, wrapped: Buffer): Buffer | null {
  try {
    const decipher = createDecipheriv("id-aes256-wrap", masterKey, WRAP_IV);
    const key = Buffer.concat([decipher.update(wrapped), decipher.final()]);
    return key.length === KEY_BYTES ? key : null;
  } catch {
    return null;
  }
}

/** @param head of the data key's envelopes */
export function encrypt(params: {
  readonly dataKey: Buffer;
  readonly head: Buffer;
  readonly nonce: Buffer;
  readonly plain: Uint8Array;
  readonly place: Place;
}): Buffer {
  const { dataKey, head, nonce, plain, place } = params;
  const cipher = createCipheriv("aes-256-gcm", dataKey, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aadOf(head, place));
  const body = cipher.update(plain);
  // GCM's last call yields nothing but the tag.
  cipher.final();
  return Buffer.concat([head, nonce, body, cipher.getAuthTag()]);
}

/** `null` when it was changed, or belongs to another place. */
export function decrypt(dataKey: Buffer, { head, nonce, ciphertext, tag }: Envelope, place: Place): Buffer | null {
  try {
    const decipher = createDecipheriv("aes-256-gcm", dataKey, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(aadOf(head, place));
    decipher.setAuthTag(tag);
    const plain = decipher.update(ciphertext);
    decipher.final();
    return plain;
  } catch {
    return null;
  }
}

/** The head has a length of its own, and JSON tells the parts of a place apart. */
function aadOf(head: Buffer, place: Place): Buffer {
  return Buffer.concat([head, Buffer.from(JSON.stringify(place))]);
}
