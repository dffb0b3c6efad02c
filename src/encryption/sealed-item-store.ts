import type { AccessCondition, AccessFilter } from "../core/auth.js";
import type { Cipher } from "../core/cipher.js";
import { HeddleError } from "../core/errors.js";
import { checkItemFilter, matchesItemFilter } from "../core/item-filter.js";
import { namespaceText } from "../core/item-namespace.js";
import type { FoundItem, ItemStore } from "../core/item-store.js";
import { bestSimilarity, unitQuery, unitVectors, type VectorOptions } from "../core/item-vectors.js";
import type { Item } from "../core/item.js";
import type { JsonObject } from "../core/json.js";
import { openItem, sealItem } from "./sealed-rows.js";
import { openedEmbedding, openVectors, sealedEmbedding, sealedFingerprint } from "./sealed-item-vectors.js";

/** What access filters see of an item beside its value (docs/wire/langgraph-api.md §7.6). */
const ADDRESS = new Set(["namespace", "key"]);

/** Items whose vectors are opened between two questions to the storage. */
const SCAN_ITEMS = 500;

/**
 * The long-term store with sealed values. Filters reach only `namespace`, `key` and the fields that
 * {@link Cipher.clearItemFields} names; one on anything else is refused, rather than matching nothing. Vectors are sealed too: a
 * semantic search reads, opens and compares those of all items under its prefix, one by one.
 * @param vectors absent: it keeps none
 */
export function sealedItemStore(store: ItemStore, cipher: Cipher, vectors?: VectorOptions): ItemStore {
  const clear = new Set(cipher.clearItemFields);

  const nearestItems = async (
    params: Parameters<ItemStore["search"]>[0],
    query: Float64Array,
  ): Promise<readonly FoundItem[]> => {
    const { namespacePrefix, filter = {}, limit, offset, access, fingerprint, refreshTtl = false } = params;
    const current = fingerprint && sealedFingerprint(fingerprint);
    let best: { readonly item: Item; readonly score: number; readonly text: string }[] = [];
    const wanted = offset + limit;
    const cut = (): void => {
      // Of equal scores the order is that of places.
      best.sort((a, b) => b.score - a.score || (a.text < b.text ? -1 : 1));
      best = best.slice(0, wanted);
    };
    let after: string | null = null;
    do {
      const page: Awaited<ReturnType<ItemStore["scan"]>> = await store.scan({
        namespacePrefix,
        limit: SCAN_ITEMS,
        after,
        access,
      });
      for (const { item, embedding } of page.items) {
        if (current !== undefined && embedding?.fingerprint !== current) continue;
        // Of the stored value filters see the clear copies.
        if (!matchesItemFilter(item.value, filter)) continue;
        const score = bestSimilarity(query, openVectors(cipher, item, item.value));
        if (score !== null) best.push({ item, score, text: `${namespaceText(item.namespace)}${item.key}` });
      }
      if (best.length > 2 * wanted + SCAN_ITEMS) cut();
      after = page.next;
    } while (after !== null);
    cut();
    const found = best.slice(offset);
    if (refreshTtl) {
      for (const { item } of found) {
        await store.get({ namespace: item.namespace, key: item.key, access, refreshTtl });
      }
    }
    return found.map(({ item, score }) => ({ ...openItem(cipher, item), score }));
  };

  return {
    async put({ namespace, key, value, access, ttlMs = null, vectors: given, embedding }) {
      checkAccess(access, clear);
      const units = unitVectors(given, vectors);
      return store.put({
        namespace,
        key,
        value: sealItem(cipher, { namespace, key, value, vectors: units }),
        access,
        ttlMs,
        ...(embedding && { embedding: sealedEmbedding(embedding) }),
      });
    },
    async get(params) {
      checkAccess(params.access, clear);
      const outcome = await store.get(params);
      return outcome.kind === "found" ? { ...outcome, item: openItem(cipher, outcome.item) } : outcome;
    },
    async delete(params) {
      checkAccess(params.access, clear);
      return store.delete(params);
    },
    async search(params) {
      checkAccess(params.access, clear);
      const { filter = {}, nearest } = params;
      checkItemFilter(filter);
      for (const field of Object.keys(filter)) if (!clear.has(field)) throw notClear("filter", field);
      if (nearest === undefined) return (await store.search(params)).map((item) => openItem(cipher, item));
      const query = unitQuery(nearest, vectors);
      return params.limit <= 0 ? [] : nearestItems(params, query);
    },
    async listNamespaces(params) {
      checkAccess(params.access, clear);
      return store.listNamespaces(params);
    },
    async scan({ staleFor, ...params }) {
      checkAccess(params.access, clear);
      const stale = staleFor === undefined ? {} : { staleFor: sealedFingerprint(staleFor) };
      const { items, next } = await store.scan({ ...params, ...stale });
      return {
        items: items.map(({ item, embedding }) => ({
          item: openItem(cipher, item),
          embedding: openedEmbedding(embedding),
        })),
        next,
      };
    },
    async embed({ namespace, key, updatedAt, vectors: given, embedding, value }) {
      const units = unitVectors(given, vectors);
      const outcome = await store.get({ namespace, key, access: { kind: "all" } });
      if (outcome.kind !== "found" || outcome.item.updatedAt !== updatedAt) return false;
      const opened = value ?? openItem(cipher, outcome.item).value;
      return store.embed({
        namespace,
        key,
        updatedAt,
        vectors: [],
        embedding: sealedEmbedding(embedding),
        value: sealItem(cipher, { namespace, key, value: opened, vectors: units }),
      });
    },
    sweepExpired: (params) => store.sweepExpired(params),
    close: () => store.close(),
  };
}

function checkAccess(access: AccessFilter, clear: ReadonlySet<string>): void {
  if (access.kind === "match") checkCondition(access.where, clear);
}

function checkCondition(where: AccessCondition, clear: ReadonlySet<string>): void {
  for (const [field, condition] of Object.entries(where)) {
    if ((field === "$and" || field === "$or") && Array.isArray(condition)) {
      for (const part of condition as readonly JsonObject[]) checkCondition(part, clear);
    } else if (!clear.has(field) && !ADDRESS.has(field)) throw notClear("authorization filter", field);
  }
}

function notClear(what: string, field: string): HeddleError {
  return new HeddleError("UNSUPPORTED_OPTION", {
    message:
      `The ${what} names "${field}", which cannot be searched: values of items are encrypted at rest. Name the field in ` +
      "encryption.clearItemFields, which leaves a clear copy of it beside the encrypted value.",
    details: { field },
  });
}
