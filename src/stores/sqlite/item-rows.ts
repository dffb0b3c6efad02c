import { namespaceText } from "../../core/item-namespace.js";
import type { ItemEmbedding, ItemVector } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import { type JsonText, toJsonText } from "../../core/json.js";
import type { TransferredItem } from "../../core/row-transfer.js";
import { vectorBytes } from "../../core/item-vectors.js";
import { parseObject } from "./rows.js";
import type { Session } from "./session.js";

export interface ItemColumns {
  readonly id: number;
  readonly namespace: string;
  readonly item_key: string;
  readonly item_value: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly ttl_ms: number | null;
  readonly expires_at: number | null;
  /** Fingerprint; `null`: none. */
  readonly embedding: string | null;
  /** JSON array; `null`: the default fields. */
  readonly embedding_paths: string | null;
}

export const ITEM_COLUMNS = [
  "namespace",
  "item_key",
  "item_value",
  "created_at",
  "updated_at",
  "ttl_ms",
  "expires_at",
  "embedding",
  "embedding_paths",
] as const;

/** Takes the three texts of a prefix: the own one, and the range. */
export const UNDER = "(namespace = ? OR (namespace >= ? AND namespace < ?))";

export function findItem(session: Session, namespace: readonly string[], key: string): ItemColumns | undefined {
  return session
    .sql<ItemColumns>(`SELECT id, ${ITEM_COLUMNS.join(", ")} FROM items WHERE namespace = ? AND item_key = ?`)
    .get(namespaceText(namespace), key);
}

export function isLive(row: Pick<ItemColumns, "expires_at">, now: number): boolean {
  return row.expires_at === null || row.expires_at > now;
}

/** Insert an item, or replace all of it but its creation; and its vectors. Within the caller's transaction. */
export function putItem(
  session: Session,
  item: Omit<TransferredItem, "vectors" | "value"> & { readonly text: JsonText },
  vectors: readonly { readonly path: string; readonly bytes: Uint8Array }[],
): void {
  const { namespace, key, text, createdAt, updatedAt, ttlMs, expiresAt, embedding } = item;
  const row = session
    .sql<{ id: number }>(
      `INSERT INTO items (${ITEM_COLUMNS.join(", ")}) VALUES (${ITEM_COLUMNS.map(() => "?").join(", ")})
       ON CONFLICT (namespace, item_key) DO UPDATE SET
         ${ITEM_COLUMNS.slice(2)
           .map((name) => `${name} = excluded.${name}`)
           .join(", ")}
       RETURNING id`,
    )
    .get(namespaceText(namespace), key, text, createdAt, updatedAt, ttlMs, expiresAt, ...embeddingColumns(embedding));
  if (row !== undefined) replaceVectors(session, row.id, vectors);
}

export function replaceVectors(
  session: Session,
  item: number,
  vectors: readonly { readonly path: string; readonly bytes: Uint8Array }[],
): void {
  session.sql("DELETE FROM item_vectors WHERE item = ?").run(item);
  const insert = session.sql("INSERT INTO item_vectors (item, path, embedding) VALUES (?, ?, ?)");
  for (const { path, bytes } of vectors) insert.run(item, path, bytes);
}

/** `embedding` and `embedding_paths`. */
export function embeddingColumns(embedding: ItemEmbedding | null): readonly [string | null, string | null] {
  const paths = embedding?.paths ?? null;
  return [embedding?.fingerprint ?? null, paths === null ? null : toJsonText(paths)];
}

export function packed(
  vectors: readonly ItemVector[],
): readonly { readonly path: string; readonly bytes: Uint8Array }[] {
  return vectors.map(({ path, values }) => ({ path, bytes: vectorBytes(values) }));
}

export function itemOf(row: ItemColumns): Item {
  return {
    namespace: JSON.parse(row.namespace) as readonly string[],
    key: row.item_key,
    value: parseObject(row.item_value),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function embeddingOf({ embedding, embedding_paths }: ItemColumns): ItemEmbedding | null {
  if (embedding === null) return null;
  return {
    fingerprint: embedding,
    paths: embedding_paths === null ? null : (JSON.parse(embedding_paths) as readonly string[]),
  };
}

/** The item with all that a copy carries. */
export function transferredItem(session: Session, row: ItemColumns): TransferredItem {
  const vectors = session
    .sql<{ path: string; embedding: Buffer }>("SELECT path, embedding FROM item_vectors WHERE item = ?")
    .all(row.id);
  return {
    ...itemOf(row),
    ttlMs: row.ttl_ms,
    expiresAt: row.expires_at,
    embedding: embeddingOf(row),
    vectors: vectors.map(({ path, embedding }) => ({ path, values: embedding.toString("base64") })),
  };
}

export function latestFirst(a: ItemColumns, b: ItemColumns): number {
  return b.updated_at - a.updated_at || b.id - a.id;
}
