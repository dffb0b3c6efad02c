import { z } from "zod";
import type { Item } from "../core/item.js";
import type { JsonText } from "../core/json.js";
import { decode, present, unsupported } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { asJsonText, encodeFields, encodeList, isoText, quote, toJsonText } from "./json.js";
import type { Query } from "./query.js";
import { anyJson, jsonObject, limit, offset, queryBoolean, queryStrings, strings, text } from "./schema.js";

const ENCODERS: FieldEncoders<Item, "namespace" | "key" | "value" | "created_at" | "updated_at"> = {
  namespace: (item) => toJsonText(item.namespace),
  key: (item) => quote(item.key),
  value: (item) => toJsonText(item.value),
  created_at: (item) => isoText(item.createdAt),
  updated_at: (item) => isoText(item.updatedAt),
};

/** An item of the long-term store (docs/wire/langgraph-api.md §2.2); `null` when there is none. */
export function encodeItem(item: Item | null): JsonText {
  return item === null ? asJsonText("null") : encodeFields(ENCODERS, item);
}

export function encodeItems(items: readonly Item[]): JsonText {
  return asJsonText(`{"items":${encodeList(items.map(encodeItem))}}`);
}

/** An object, as both SDKs read it (§2.10.5). */
export function encodeNamespaces(namespaces: readonly (readonly string[])[]): JsonText {
  return toJsonText({ namespaces });
}

const refuseExpiry = (field: "ttl" | "refresh_ttl", value: unknown): void => {
  if (value !== undefined && value !== null && value !== false) unsupported(field, "items do not expire; leave it out");
};

export const itemPutBody = z
  .object({
    namespace: strings,
    key: text,
    value: jsonObject,
    index: z.union([z.literal(false), strings], { error: "expected false or an array of paths" }).nullish(),
    ttl: anyJson.optional(),
  })
  .meta({ id: "ItemPut" });

/** §2.10.1. `index: false` is what happens anyway: nothing is embedded. */
export function decodeItemPut(body: unknown) {
  const { namespace, key, value, index, ttl } = decode(itemPutBody, body);
  if (Array.isArray(index)) unsupported("index", "items are not embedded; leave it out or send false");
  refuseExpiry("ttl", ttl);
  return { namespace, key, value };
}

export const itemGetQuery = z.object({
  namespace: queryStrings.optional(),
  key: text,
  refresh_ttl: queryBoolean.optional(),
});

/** §2.10.2: the namespace dot-joined, or repeated (Appendix A27). */
export function decodeItemGet(query: Query) {
  const { namespace, key, refresh_ttl: refreshTtl } = decode(itemGetQuery, query);
  refuseExpiry("refresh_ttl", refreshTtl);
  return { namespace: splitNamespace(namespace ?? []), key };
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
    query: z.string().nullish(),
    refresh_ttl: z.boolean().nullish(),
  })
  .meta({ id: "ItemSearch" });

/** §2.10.4 */
export function decodeItemSearch(body: unknown) {
  const sent = decode(itemSearchBody, body);
  if (sent.query) unsupported("query", "this server has no semantic index; use filter");
  refuseExpiry("refresh_ttl", sent.refresh_ttl);
  return {
    namespacePrefix: sent.namespace_prefix ?? [],
    limit: sent.limit ?? 10,
    offset: sent.offset ?? 0,
    ...present({ filter: sent.filter }),
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
