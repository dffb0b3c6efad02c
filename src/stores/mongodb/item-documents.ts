import type { Filter } from "mongodb";
import { namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemEmbedding, ItemVector } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import type { EpochMs } from "../../core/json.js";
import type { TransferredItem } from "../../core/row-transfer.js";
import { vectorBytes } from "../../core/item-vectors.js";
import type { ItemDocument, ItemExtras } from "./documents.js";
import { parseObject } from "./rows.js";

/** All of a document but its vectors, which few need. */
export const WITHOUT_VECTORS = { vectors: 0 } as const;

/** Key of an item's document. */
export function itemId(namespace: readonly string[], key: string): string {
  return JSON.stringify([namespace, key]);
}

export function itemsUnder(prefix: readonly string[]): Filter<ItemDocument> {
  if (prefix.length === 0) return {};
  const { from, to } = namespaceRange(prefix);
  return { $or: [{ namespace: namespaceText(prefix) }, { namespace: { $gte: from, $lt: to } }] };
}

/** Items that have not expired: those without a time too. */
export function liveAt(now: EpochMs): Filter<ItemDocument> {
  return { expiresAt: { $not: { $lte: now } } };
}

export function isLive({ expiresAt }: Pick<ItemDocument, "expiresAt">, now: EpochMs): boolean {
  return expiresAt === undefined || expiresAt > now;
}

/**
 * What of a put lies beside the value: fields that it sets, and those that it removes. Absent rather than null, so that sparse
 * indexes leave them out.
 */
export function extrasOf(given: {
  readonly now: EpochMs;
  readonly ttlMs: number | null;
  readonly embedding: ItemEmbedding | null | undefined;
  readonly vectors: readonly ItemVector[];
}): { readonly set: ItemExtras; readonly unset: Readonly<Partial<Record<keyof ItemExtras, "">>> } {
  const { now, ttlMs, embedding, vectors } = given;
  return withUnset({
    ...(ttlMs !== null && { ttlMs, expiresAt: now + ttlMs }),
    ...embeddingFields(embedding ?? null, packed(vectors)),
  });
}

/** `embedding`, `vectors` and `dims`, as far as there are any. */
export function embeddingFields(
  embedding: ItemEmbedding | null,
  vectors: NonNullable<ItemExtras["vectors"]>,
): Pick<ItemExtras, "embedding" | "vectors" | "dims"> {
  const [first] = vectors;
  return {
    ...(embedding !== null && { embedding: { fingerprint: embedding.fingerprint, paths: embedding.paths } }),
    ...(first !== undefined && { vectors, dims: first.values.length / 4 }),
  };
}

export function packed(vectors: readonly ItemVector[]): NonNullable<ItemExtras["vectors"]> {
  return vectors.map(({ path, values }) => ({ path, values: vectorBytes(values) }));
}

const EXTRAS = ["ttlMs", "expiresAt", "embedding", "vectors", "dims"] as const;

export function withUnset(set: ItemExtras, names: readonly (keyof ItemExtras)[] = EXTRAS) {
  const missing = names.filter((name) => !Object.hasOwn(set, name));
  return { set, unset: Object.fromEntries(missing.map((name) => [name, "" as const])) };
}

export function itemOf(document: Pick<ItemDocument, "namespace" | "key" | "value" | "createdAt" | "updatedAt">): Item {
  return {
    namespace: JSON.parse(document.namespace) as readonly string[],
    key: document.key,
    value: parseObject(document.value),
    createdAt: document.createdAt,
    updatedAt: document.updatedAt,
  };
}

export function embeddingOf({ embedding }: Pick<ItemDocument, "embedding">): ItemEmbedding | null {
  return embedding === undefined ? null : { fingerprint: embedding.fingerprint, paths: embedding.paths };
}

/** The item with all that a copy carries. */
export function transferredItem(document: ItemDocument): TransferredItem {
  return {
    ...itemOf(document),
    ttlMs: document.ttlMs ?? null,
    expiresAt: document.expiresAt ?? null,
    embedding: embeddingOf(document),
    vectors: (document.vectors ?? []).map(({ path, values }) => ({ path, values: values.toString("base64") })),
  };
}
