import { promisify } from "node:util";
import { deflateRaw, deflateRawSync, inflateRawSync } from "node:zlib";
import { HeddleError } from "../core/errors.js";
import type { Sealing } from "./sealing.js";
import { joinTexts, splitTexts, type Encoded } from "./serde.js";

/**
 * What packed bytes begin with; no JSON and no text does, and sealed bytes have another last byte (core/cipher.ts). A user's bytes that
 * begin like this are packed in any case, so that nobody takes them for ours.
 */
const HEAD = Uint8Array.of(0, 72, 68, 76, 2);
/** What follows the head: bytes as they are, text or bytes through deflate, or a part of a content (sharing.ts). */
const RAW = 0;
const TEXT = 1;
const BYTES = 2;
const PART = 3;
/** Head, kind, and the length before it was packed. */
const PREFIX_BYTES = HEAD.length + 1 + 4;

/** Shorter values stay as they are: a call of zlib costs 20 to 40 µs whatever it packs, and saves next to nothing. */
const MIN_PACKED_BYTES = 1024;
/** From here on another thread packs: below that, waiting for it takes longer than doing it. */
const MIN_ASYNC_BYTES = 64 * 1024;
/**
 * Of deflate. On JSON of messages (153 kB of English text): level 1 packs 3.7 : 1 in 0.9 ms, 3 packs 3.8 : 1 in 1.3 ms, 6 packs 4.1 : 1 in
 * 6 ms, brotli 4 the same as 6. Unpacking takes 0.3 ms, whatever the level. zstd is in Node 22.15, and 22.12 is supported.
 */
const LEVEL = 3;
/** What is not shorter by this factor stays as it is: reading it would cost time for nothing. */
const MAX_PACKED_SHARE = 0.9;

const deflateAside = promisify(deflateRaw);

/** Whether bytes are of {@link pack}. */
export function isPacked(data: Encoded): data is Uint8Array {
  return data instanceof Uint8Array && data[0] === 0 && HEAD.every((byte, at) => data[at] === byte);
}

/** An encoded value as it is stored: through deflate where that pays. {@link unpack} reads both. */
export function pack(data: Encoded): Encoded {
  const bytes = packable(data);
  if (bytes === null) return guard(data);
  return packed(data, bytes, deflateRawSync(bytes, { level: LEVEL }));
}

/** {@link pack} without keeping this thread from its work: a promise where the value is large. */
export function packAside(data: Encoded): Encoded | Promise<Encoded> {
  const bytes = packable(data);
  if (bytes === null) return guard(data);
  if (bytes.length < MIN_ASYNC_BYTES) return packed(data, bytes, deflateRawSync(bytes, { level: LEVEL }));
  return deflateAside(bytes, { level: LEVEL }).then((deflated) => packed(data, bytes, deflated));
}

/** A value that is not to be packed; a user's bytes that look packed are. */
export function guard(data: Encoded): Encoded {
  return isPacked(data) ? withPrefix(RAW, data.length, data) : data;
}

/**
 * The inverse of {@link pack} and {@link guard}; what is not packed, and parts of contents, as they are.
 * @throws HeddleError `STORAGE_UNAVAILABLE` for what is damaged
 */
function unpack(data: Encoded): Encoded {
  if (!isPacked(data)) return data;
  const { kind, length, rest } = readPrefix(data);
  if (kind === PART) return data;
  if (kind === RAW) return new Uint8Array(rest);
  const bytes = inflated(rest, length);
  if (kind === BYTES) return new Uint8Array(bytes);
  const text = bytes.toString("utf8");
  return splitTexts(text) ?? text;
}

/** A value that is the beginning of a content, and a rest of its own. */
export interface Part {
  /** Id of the content. */
  readonly content: string;
  /** How many UTF-16 units of the content; `null`: all of it, and no rest. */
  readonly units: number | null;
  /** @param text of the content */
  rest(text: string): string;
}

const WHOLE = 0xffff_ffff;
/** What deflate looks for in what precedes: messages resemble one another more than anything else. At most 32 kB are of use. */
const DICTIONARY_UNITS = 8 * 1024;
/** How the rest of a part is stored. */
const PLAIN = 0;
const DEFLATED = 1;

/** A value that is all of a content. */
export function packWhole(content: string): Uint8Array {
  return withPrefix(PART, WHOLE, Buffer.concat([Buffer.of(PLAIN, content.length), Buffer.from(content, "latin1")]));
}

/** A value that is the first units of a content and a rest, which is packed with what precedes it in mind. */
export function packPart(content: string, text: string, units: number, rest: string): Uint8Array {
  const bytes = Buffer.from(rest);
  const deflated = deflateRawSync(bytes, { level: LEVEL, dictionary: dictionaryOf(text, units) });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  const [kind, stored] =
    deflated.length + length.length < bytes.length ? [DEFLATED, Buffer.concat([length, deflated])] : [PLAIN, bytes];
  return withPrefix(
    PART,
    units,
    Buffer.concat([Buffer.of(kind, content.length), Buffer.from(content, "latin1"), stored]),
  );
}

/** `null` for what is no part. */
export function readPart(data: Encoded): Part | null {
  if (!isPacked(data)) return null;
  const { kind, length: units, rest } = readPrefix(data);
  if (kind !== PART) return null;
  const [how = PLAIN, idLength = 0] = rest;
  const stored = rest.subarray(2 + idLength);
  return {
    content: rest.toString("latin1", 2, 2 + idLength),
    units: units === WHOLE ? null : units,
    rest: (text) =>
      how === PLAIN
        ? stored.toString("utf8")
        : inflated(stored.subarray(4), stored.readUInt32LE(), dictionaryOf(text, units)).toString("utf8"),
  };
}

function dictionaryOf(text: string, units: number): Buffer {
  return Buffer.from(text.slice(Math.max(0, units - DICTIONARY_UNITS), units));
}

/** Packs before it seals, and unpacks what it has opened. @param compress false: packs nothing, reads everything */
export function packingSealing(sealing: Sealing, compress: boolean): Sealing {
  const prepared = compress ? pack : guard;
  return {
    ...sealing,
    seal: (data, place) => sealing.seal(prepared(data), place),
    open: (data, place) => unpack(sealing.open(data, place)),
  };
}

/** `null` for what is too short. */
function packable(data: Encoded): Buffer | null {
  if (data instanceof Uint8Array) {
    return data.length < MIN_PACKED_BYTES ? null : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }
  const text = typeof data === "string" ? data : joinTexts(data);
  return text.length < MIN_PACKED_BYTES ? null : Buffer.from(text);
}

function packed(data: Encoded, bytes: Buffer, deflated: Buffer): Encoded {
  if (deflated.length + PREFIX_BYTES > bytes.length * MAX_PACKED_SHARE) return guard(data);
  return withPrefix(data instanceof Uint8Array ? BYTES : TEXT, bytes.length, deflated);
}

function withPrefix(kind: number, length: number, rest: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + rest.length);
  bytes.set(HEAD);
  bytes[HEAD.length] = kind;
  bytes.writeUInt32LE(length, HEAD.length + 1);
  bytes.set(rest, PREFIX_BYTES);
  return bytes;
}

function readPrefix(data: Uint8Array): { readonly kind: number; readonly length: number; readonly rest: Buffer } {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < PREFIX_BYTES) throw damaged();
  return {
    kind: bytes[HEAD.length] ?? RAW,
    length: bytes.readUInt32LE(HEAD.length + 1),
    rest: bytes.subarray(PREFIX_BYTES),
  };
}

function inflated(bytes: Buffer, length: number, dictionary?: Buffer): Buffer {
  try {
    // One piece of the right size: without it zlib makes pieces of 16 kB and joins them.
    const found = inflateRawSync(bytes, {
      chunkSize: Math.max(64, length),
      maxOutputLength: Math.max(1, length),
      ...(dictionary !== undefined && dictionary.length > 0 && { dictionary }),
    });
    if (found.length === length) return found;
  } catch (error) {
    throw damaged(error);
  }
  throw damaged();
}

function damaged(cause?: unknown): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: "A compressed value of a checkpoint is damaged: it cannot be unpacked.",
    ...(cause !== undefined && { cause }),
  });
}
