import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { Item, ItemFilter } from "../core/item.js";
import { mayHoldVisible } from "../core/item-filter.js";
import type { ItemStore } from "../core/item-store.js";
import type { JsonObject } from "../core/json.js";
import type { Authorize } from "./authorization.js";

/** The long-term store over HTTP (docs/wire/langgraph-api.md §2.10). */
export type ItemsService = ReturnType<typeof createItemsService>;

export function createItemsService(deps: { readonly items: ItemStore; readonly authorize: Authorize }) {
  const { items, authorize } = deps;

  return {
    async put(
      caller: Caller,
      request: { readonly namespace: readonly string[]; readonly key: string; readonly value: JsonObject },
    ): Promise<void> {
      const { access, value: granted } = await authorize(caller, "store", "put", { ...request });
      const { namespace, key, value } = granted;
      requireNamespace(namespace);
      requireKey(key);
      const outcome = await items.put({ namespace, key, value, access });
      if (outcome.kind === "hidden") throw new HeddleError("NOT_FOUND", { message: "Item not found" });
      if (outcome.kind === "forbidden") throw notAuthorized();
    },

    async get(
      caller: Caller,
      request: { readonly namespace: readonly string[]; readonly key: string },
    ): Promise<Item | null> {
      const { access, value } = await authorize(caller, "store", "get", { ...request });
      const { namespace, key } = value;
      const outcome = await items.get({ namespace, key, access });
      if (outcome.kind === "hidden") throw new HeddleError("NOT_FOUND", { message: "Item not found" });
      return outcome.kind === "found" ? outcome.item : null;
    },

    async delete(
      caller: Caller,
      request: { readonly namespace: readonly string[]; readonly key: string },
    ): Promise<void> {
      const { access, value } = await authorize(caller, "store", "delete", { ...request });
      const { namespace, key } = value;
      // No item has an empty namespace (§2.10.3 lets a client leave it out): nothing to delete, and nothing wrong.
      if (namespace.length > 0) requireNamespace(namespace);
      requireKey(key);
      const outcome = await items.delete({ namespace, key, access });
      if (outcome.kind === "hidden") throw new HeddleError("NOT_FOUND", { message: "Item not found" });
      // What is missing can be judged by its place only (§7.6).
      if (outcome.kind === "missing" && !mayHoldVisible(access, { namespace, key })) throw notAuthorized();
    },

    async search(
      caller: Caller,
      request: {
        readonly namespacePrefix: readonly string[];
        readonly filter?: ItemFilter;
        readonly limit: number;
        readonly offset: number;
        readonly query?: string;
      },
    ): Promise<readonly Item[]> {
      const { access, value } = await authorize(caller, "store", "search", {
        namespace: request.namespacePrefix,
        filter: request.filter,
        limit: request.limit,
        offset: request.offset,
        query: request.query,
      });
      return items.search({
        // What a handler left out confines nobody.
        namespacePrefix: value.namespace ?? request.namespacePrefix,
        ...(value.filter === undefined ? {} : { filter: value.filter }),
        limit: request.limit,
        offset: request.offset,
        access,
      });
    },

    async listNamespaces(
      caller: Caller,
      request: {
        readonly prefix?: readonly string[];
        readonly suffix?: readonly string[];
        readonly maxDepth?: number;
        readonly limit: number;
        readonly offset: number;
      },
    ): Promise<readonly (readonly string[])[]> {
      const { access, value } = await authorize(caller, "store", "list_namespaces", {
        namespace: request.prefix,
        suffix: request.suffix,
        max_depth: request.maxDepth,
        limit: request.limit,
        offset: request.offset,
      });
      // The prefix as the handler left it: one that confines callers to a namespace of theirs must not be undone.
      const { prefix: _, ...rest } = request;
      return items.listNamespaces({
        ...rest,
        ...(value.namespace === undefined ? {} : { prefix: value.namespace }),
        access,
      });
    },
  };
}

function notAuthorized(): HeddleError {
  return new HeddleError("FORBIDDEN", { message: "Not authorized" });
}

/** SQLite holds half a surrogate pair as U+FFFD: two keys would be one. */
function requireKey(key: string): void {
  if (key.isWellFormed()) return;
  throw new HeddleError("ITEM_INVALID", { message: "key: is no well-formed Unicode: it has half a surrogate pair" });
}

function requireNamespace(namespace: readonly string[]): void {
  if (namespace.length === 0) throw new HeddleError("ITEM_INVALID", { message: "Namespace is required" });
  for (const label of namespace) {
    if (label === "" || label.includes(".")) {
      throw new HeddleError("ITEM_INVALID", {
        message: `Namespace labels cannot be empty or contain periods. Received: ${namespace.join(".")}. Escape periods, for example in e-mail addresses, before you use them as labels.`,
      });
    }
  }
}
