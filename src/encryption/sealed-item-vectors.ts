import type { Cipher } from "../core/cipher.js";
import { vectorBytes, vectorOf } from "../core/item-vectors.js";
import type { ItemEmbedding, ItemVector } from "../core/item-store.js";
import type { JsonObject } from "../core/json.js";

/**
 * Where an item's vectors lie: in its stored value, beside the sealed one. A vector tells much of the text that it was made of, so
 * where values are encrypted no storage gets it.
 */
const VECTORS_KEY = "$heddle.vectors";

/** What the fingerprints begin with of embeddings whose vectors are sealed: those that were clear before are stale at once. */
const SEALED = "sealed:";
const CLEAR = "clear:";

/** `{}` when there are none. */
export function sealVectors(cipher: Cipher, place: ItemPlace, vectors: readonly ItemVector[]): JsonObject {
  if (vectors.length === 0) return {};
  const header = Buffer.from(JSON.stringify(vectors.map(({ path, values }) => [path, values.length])));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const bytes = Buffer.concat([length, header, ...vectors.map(({ values }) => vectorBytes(values))]);
  return { [VECTORS_KEY]: Buffer.from(cipher.sealBytes(bytes, vectorsAt(place))).toString("base64") };
}

/** @param stored the item's value as it is stored @throws HeddleError `DECRYPTION_FAILED` */
export function openVectors(cipher: Cipher, place: ItemPlace, stored: JsonObject): readonly ItemVector[] {
  const sealed = Object.hasOwn(stored, VECTORS_KEY) ? stored[VECTORS_KEY] : undefined;
  if (typeof sealed !== "string") return [];
  const bytes = Buffer.from(cipher.openBytes(Buffer.from(sealed, "base64"), vectorsAt(place)));
  let at = 4 + bytes.readUInt32LE(0);
  const header = JSON.parse(bytes.subarray(4, at).toString("utf8")) as readonly (readonly [string, number])[];
  return header.map(([path, dims]) => {
    const values = vectorOf(bytes.subarray(at, (at += dims * 4)));
    return { path, values };
  });
}

export function sealedEmbedding(embedding: ItemEmbedding): ItemEmbedding {
  return { ...embedding, fingerprint: sealedFingerprint(embedding.fingerprint) };
}

export function sealedFingerprint(fingerprint: string): string {
  return `${SEALED}${fingerprint}`;
}

/** What {@link sealedEmbedding} was given; one of clear vectors is no longer current. */
export function openedEmbedding(embedding: ItemEmbedding | null): ItemEmbedding | null {
  if (embedding === null) return null;
  const { fingerprint } = embedding;
  const opened = fingerprint.startsWith(SEALED) ? fingerprint.slice(SEALED.length) : `${CLEAR}${fingerprint}`;
  return { ...embedding, fingerprint: opened };
}

/** Packed vectors of a copied row, and the other way round. */
export function unpackVectors(vectors: readonly { readonly path: string; readonly values: string }[]) {
  return vectors.map(({ path, values }) => ({ path, values: vectorOf(Buffer.from(values, "base64")) }));
}

export function packVectors(vectors: readonly ItemVector[]): { readonly path: string; readonly values: string }[] {
  return vectors.map(({ path, values }) => ({ path, values: vectorBytes(values).toString("base64") }));
}

interface ItemPlace {
  readonly namespace: readonly string[];
  readonly key: string;
}

function vectorsAt({ namespace, key }: ItemPlace): readonly string[] {
  return ["item-vectors", JSON.stringify(namespace), key];
}
