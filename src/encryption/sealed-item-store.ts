import type { AccessCondition, AccessFilter } from "../core/auth.js";
import type { Cipher } from "../core/cipher.js";
import { HeddleError } from "../core/errors.js";
import { checkItemFilter } from "../core/item-filter.js";
import type { ItemStore } from "../core/item-store.js";
import { unitQuery, unitVectors, type VectorOptions } from "../core/item-vectors.js";
import type { JsonObject } from "../core/json.js";
import { nearestSealedItems } from "./nearest-sealed-items.js";
import { openItem, sealItem } from "./sealed-rows.js";
import { openedEmbedding, sealedEmbedding, sealedFingerprint } from "./sealed-item-vectors.js";

/** What access filters see of an item beside its value (docs/wire/langgraph-api.md §7.6). */
const ADDRESS = new Set(["namespace", "key"]);

/**
 * The long-term store with sealed values. Filters reach only `namespace`, `key` and the fields that
 * {@link Cipher.clearItemFields} names; one on anything else is refused, rather than matching nothing. Vectors are sealed too: a
 * semantic search reads, opens and compares those of all items under its prefix, one by one.
 * @param vectors absent: it keeps none
 */
export function sealedItemStore(store: ItemStore, cipher: Cipher, vectors?: VectorOptions): ItemStore {
  const clear = new Set(cipher.clearItemFields);

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
      return params.limit <= 0 ? [] : nearestSealedItems({ store, cipher }, params, query);
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
