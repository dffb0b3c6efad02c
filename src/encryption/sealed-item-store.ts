import type { AccessCondition, AccessFilter } from "../core/auth.js";
import type { Cipher } from "../core/cipher.js";
import { HeddleError } from "../core/errors.js";
import { checkItemFilter } from "../core/item-filter.js";
import { plainItems } from "../stores/plain-items.js";
import type { ItemStore } from "../core/item-store.js";
import type { JsonObject } from "../core/json.js";
import { openItem, sealItem } from "./sealed-rows.js";

/** What access filters see of an item beside its value (docs/wire/langgraph-api.md §7.6). */
const ADDRESS = new Set(["namespace", "key"]);

/**
 * The long-term store with sealed values. Filters reach only `namespace`, `key` and the fields that
 * {@link Cipher.clearItemFields} names; one on anything else is refused, rather than matching nothing.
 */
export function sealedItemStore(store: ItemStore, cipher: Cipher): ItemStore {
  const clear = new Set(cipher.clearItemFields);
  return plainItems({
    async put({ namespace, key, value, access }) {
      checkAccess(access, clear);
      return store.put({ namespace, key, value: sealItem(cipher, { namespace, key, value }), access });
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
      const { filter = {} } = params;
      checkItemFilter(filter);
      for (const field of Object.keys(filter)) if (!clear.has(field)) throw notClear("filter", field);
      return (await store.search(params)).map((item) => openItem(cipher, item));
    },
    async listNamespaces(params) {
      checkAccess(params.access, clear);
      return store.listNamespaces(params);
    },
    close: () => store.close(),
  });
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
