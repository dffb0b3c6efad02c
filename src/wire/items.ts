import { z } from "zod";
import { MAX_TTL_MINUTES } from "../core/indexed-items.js";
import type { FoundItem } from "../core/item-store.js";
import type { JsonText } from "../core/json.js";
import { decode, present } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { asJsonText, encodeFields, encodeList, isoText, quote, toJsonText } from "./json.js";
import type { Query } from "./query.js";
import { jsonObject, limit, offset, queryBoolean, queryStrings, strings, text } from "./schema.js";

const ENCODERS: FieldEncoders<FoundItem, "namespace" | "key" | "value" | "created_at" | "updated_at" | "score"> = {
  namespace: (item) => toJsonText(item.namespace),
  key: (item) => quote(item.key),
  value: (item) => toJsonText(item.value),
  created_at: (item) => isoText(item.createdAt),
  updated_at: (item) => isoText(item.updatedAt),
  // Only what was found by meaning has one.
  score: (item) => item.score?.toString(),
};

/** An item of the long-term store (docs/wire/langgraph-api.md §2.2); `null` when there is none. */
export function encodeItem(item: FoundItem | null): JsonText {
  return item === null ? asJsonText("null") : encodeFields(ENCODERS, item);
}

/** What a search found, with a `score` where it was by meaning (§2.10.4). */
export function encodeItems(items: readonly FoundItem[]): JsonText {
  return asJsonText(`{"items":${encodeList(items.map(encodeItem))}}`);
}

/** An object, as both SDKs read it (§2.10.5). */
export function encodeNamespaces(namespaces: readonly (readonly string[])[]): JsonText {
  return toJsonText({ namespaces });
}

/** What is searched for by meaning is a sentence or two; models take a few thousand words. */
const MAX_QUERY_CHARS = 32_768;

const index = z
  .union([z.literal(false), strings], { error: "expected false or an array of paths" })
  .nullish()
  .meta({ description: "Paths of the value to embed instead of the configured ones; false: none" });

const ttl = z
  .number()
  .positive()
  .max(MAX_TTL_MINUTES)
  .nullish()
  .meta({ description: "Minutes until the item expires; null: never. Default: as configured" });

const refreshTtl = z
  .boolean()
  .nullish()
  .meta({ description: "Start the time to live of what is read anew. Default: as configured" });

export const itemPutBody = z
  .object({ namespace: strings, key: text, value: jsonObject, index, ttl })
  .meta({ id: "ItemPut" });

/** §2.10.1 */
export function decodeItemPut(body: unknown) {
  const sent = decode(itemPutBody, body);
  const { namespace, key, value } = sent;
  return { namespace, key, value, ...present({ index: sent.index }), ...(sent.ttl !== undefined && { ttl: sent.ttl }) };
}

export const itemGetQuery = z.object({
  namespace: queryStrings.optional(),
  key: text,
  refresh_ttl: queryBoolean.optional(),
});

/** §2.10.2: the namespace dot-joined, or repeated (Appendix A27). */
export function decodeItemGet(query: Query) {
  const sent = decode(itemGetQuery, query);
  return {
    namespace: splitNamespace(sent.namespace ?? []),
    key: sent.key,
    ...present({ refreshTtl: sent.refresh_ttl }),
  };
}

function splitNamespace(sent: readonly string[]): readonly string[] {
  const [only] = sent;
  if (sent.length !== 1 || only === undefined) return sent;
  return only === "" ? [] : only.split(".");
}

export const itemDeleteBody = z.object({ namespace: strings.nullish(), key: text }).meta({ id: "ItemDelete" });

export function decodeItemDelete(body: unknown) {
  const { namespace, key } = decode(itemDeleteBody, body);
  return { namespace: namespace ?? [], key };
}

export const itemSearchBody = z
  .object({
    namespace_prefix: strings.nullish(),
    filter: jsonObject.nullish(),
    limit: limit.nullish(),
    offset: offset.nullish(),
    query: z
      .string()
      .max(MAX_QUERY_CHARS)
      .nullish()
      .meta({ description: "What to look for by meaning; needs store.index" }),
    refresh_ttl: refreshTtl,
  })
  .meta({ id: "ItemSearch" });

/** §2.10.4 */
export function decodeItemSearch(body: unknown) {
  const sent = decode(itemSearchBody, body);
  return {
    namespacePrefix: sent.namespace_prefix ?? [],
    limit: sent.limit ?? 10,
    offset: sent.offset ?? 0,
    ...present({ filter: sent.filter, query: sent.query, refreshTtl: sent.refresh_ttl }),
  };
}

export const namespacesBody = z
  .object({
    prefix: strings.nullish(),
    suffix: strings.nullish(),
    max_depth: z.int().min(1).nullish(),
    limit: limit.nullish(),
    offset: offset.nullish(),
  })
  .meta({ id: "NamespacesList" });

/** §2.10.5 */
export function decodeNamespaces(body: unknown) {
  const sent = decode(namespacesBody, body);
  return {
    limit: sent.limit ?? 100,
    offset: sent.offset ?? 0,
    ...present({ prefix: sent.prefix, suffix: sent.suffix, maxDepth: sent.max_depth }),
  };
}
