import { createHash } from "node:crypto";
import type { AccessFilter } from "../../core/auth.js";
import { namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemEmbedding, ItemVector } from "../../core/item-store.js";
import type { Item, ItemFilter } from "../../core/item.js";
import type { JsonObject } from "../../core/json.js";
import { fromJsonb, fromText, toText } from "../../databases/postgres/storable.js";
import { filterSql } from "./filters.js";
import { itemFilterSql } from "./item-filters.js";

export const ITEM_COLUMNS =
  "namespace, item_key, item_value::text AS item_value, created_at, updated_at, ttl_ms, expires_at, embedding, embedding_paths";
/** An item as an access filter sees it (core/item-filter `isItemVisible`). */
export const VIEW = "(i.item_value || jsonb_build_object('namespace', to_jsonb(i.labels), 'key', i.item_key))";

export type ItemColumns = {
  readonly namespace: string;
  readonly item_key: string;
  readonly item_value: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly ttl_ms: number | null;
  readonly expires_at: number | null;
  readonly embedding: string | null;
  readonly embedding_paths: readonly string[] | null;
};

/** What tells places apart, of one length: an index takes no long texts. */
export function placeOf(namespace: readonly string[], key: string): Buffer {
  return createHash("sha256")
    .update(JSON.stringify([namespace, key]))
    .digest();
}

/** How much of a namespace the index has. */
const INDEXED_CHARACTERS = 512;

/** Namespaces that are, or are under, a prefix; `null`: all. */
export function underSql(prefix: readonly string[], parameters: unknown[]): string | null {
  if (prefix.length === 0) return null;
  const { from, to } = namespaceRange(prefix);
  const own = namespaceText(prefix);
  const parameter = (value: string): string => `$${parameters.push(value)}`;
  const exact = `(i.namespace = ${parameter(own)} OR (i.namespace >= ${parameter(from)} AND i.namespace < ${parameter(to)}))`;
  // Everything under a prefix starts with its text but for the closing bracket; no character comes after the last one.
  const start = own.slice(0, -1);
  if (start.length >= INDEXED_CHARACTERS) return exact;
  const indexed = `left(i.namespace, ${INDEXED_CHARACTERS})`;
  return `${exact} AND ${indexed} >= ${parameter(start)} AND ${indexed} < ${parameter(`${start}\u{10ffff}`)}`;
}

/** Items that have not expired. @param now a test's time, or `null` */
export function liveSql(now: number | null, parameters: unknown[]): string {
  return `(i.expires_at IS NULL OR i.expires_at > (SELECT heddle_now($${parameters.push(now)}::bigint)))`;
}

/** The conditions of a search, as SQL over `i`. */
export function searchSql(
  query: {
    readonly now: number | null;
    readonly namespacePrefix: readonly string[];
    readonly filter: ItemFilter;
    readonly access: AccessFilter;
    readonly fingerprint?: string | undefined;
  },
  parameters: unknown[],
): readonly string[] {
  return [
    underSql(query.namespacePrefix, parameters),
    liveSql(query.now, parameters),
    ...itemFilterSql("i.item_value", query.filter, parameters),
    query.fingerprint === undefined ? null : `i.embedding = $${parameters.push(toText(query.fingerprint))}`,
    filterSql(VIEW, { access: query.access }, parameters),
  ].filter((condition) => condition !== null);
}

/** The two parameters of an embedding. */
export function embeddingValues(
  embedding: ItemEmbedding | null | undefined,
): readonly [string | null, readonly string[] | null] {
  if (embedding === null || embedding === undefined) return [null, null];
  return [toText(embedding.fingerprint), embedding.paths?.map(toText) ?? null];
}

/** The two parameters of vectors at unit length. */
export function vectorValues(vectors: readonly ItemVector[]): readonly [readonly string[], readonly string[]] {
  return [vectors.map(({ path }) => toText(path)), vectors.map(({ values }) => `{${values.join(",")}}`)];
}

export function itemOf(row: ItemColumns): Item {
  return {
    namespace: JSON.parse(row.namespace) as readonly string[],
    key: fromText(row.item_key),
    value: fromJsonb(row.item_value) as JsonObject,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function embeddingOf({ embedding, embedding_paths }: ItemColumns): ItemEmbedding | null {
  if (embedding === null) return null;
  return { fingerprint: fromText(embedding), paths: embedding_paths?.map(fromText) ?? null };
}
