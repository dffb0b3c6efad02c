import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { IndexedItems } from "../core/indexed-items.js";
import { ttlMsOf, withoutIndex } from "../core/indexed-items.js";
import type { Item, ItemFilter } from "../core/item.js";
import { mayHoldVisible } from "../core/item-filter.js";
import { namespaceProblem } from "../core/item-namespace.js";
import type { FoundItem } from "../core/item-store.js";
import type { JsonObject } from "../core/json.js";
import type { Authorize } from "./authorization.js";

/** The long-term store over HTTP (docs/wire/langgraph-api.md §2.10). */
export type ItemsService = ReturnType<typeof createItemsService>;

interface ItemsDeps {
  readonly items: IndexedItems;
  readonly authorize: Authorize;
}

export function createItemsService(deps: ItemsDeps) {
  return { ...singleItems(deps), ...itemLists(deps) };
}

function singleItems({ items, authorize }: ItemsDeps) {
  return {
    /**
     * @param request.index paths to embed instead of the store's own; `false`: none
     * @param request.ttl minutes; `null`: for ever; absent: the store's default
     * @throws HeddleError `UNSUPPORTED_OPTION` for paths without an index
     */
    async put(
      caller: Caller,
      request: {
        readonly namespace: readonly string[];
        readonly key: string;
        readonly value: JsonObject;
        readonly index?: false | readonly string[];
        readonly ttl?: number | null;
      },
    ): Promise<void> {
      const { access, value: granted } = await authorize(caller, "store", "put", { ...request });
      const { namespace, key, value, index, ttl } = granted;
      requireNamespace(namespace);
      requireKey(key);
      if (Array.isArray(index) && items.index === null) throw withoutIndex("index");
      const [outcome] = await items.putAll([
        {
          namespace,
          key,
          value,
          access,
          ...(index !== undefined && { index }),
          ...(ttl !== undefined && { ttlMs: ttlMsOf(ttl) }),
        },
      ]);
      if (outcome?.kind === "hidden") throw notFound();
      if (outcome?.kind === "forbidden") throw notAuthorized();
    },

    /** @param request.refreshTtl start the item's time anew; absent: as configured */
    async get(
      caller: Caller,
      request: { readonly namespace: readonly string[]; readonly key: string; readonly refreshTtl?: boolean },
    ): Promise<Item | null> {
      const { access, value } = await authorize(caller, "store", "get", {
        namespace: request.namespace,
        key: request.key,
        refresh_ttl: request.refreshTtl,
      });
      const { namespace, key, refresh_ttl: refreshTtl } = value;
      const outcome = await items.get({ namespace, key, access, ...(refreshTtl !== undefined && { refreshTtl }) });
      if (outcome.kind === "hidden") throw notFound();
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
      if (outcome.kind === "hidden") throw notFound();
      // What is missing can be judged by its place only (§7.6).
      if (outcome.kind === "missing" && !mayHoldVisible(access, { namespace, key })) throw notAuthorized();
    },
  };
}

function itemLists({ items, authorize }: ItemsDeps) {
  return {
    /**
     * @param request.query what to look for by meaning; blank is none
     * @throws HeddleError `UNSUPPORTED_OPTION` for a query without an index
     */
    async search(
      caller: Caller,
      request: {
        readonly namespacePrefix: readonly string[];
        readonly filter?: ItemFilter;
        readonly limit: number;
        readonly offset: number;
        readonly query?: string;
        readonly refreshTtl?: boolean;
      },
    ): Promise<readonly FoundItem[]> {
      const { access, value } = await authorize(caller, "store", "search", {
        namespace: request.namespacePrefix,
        filter: request.filter,
        limit: request.limit,
        offset: request.offset,
        query: request.query,
        refresh_ttl: request.refreshTtl,
      });
      const { query, refresh_ttl: refreshTtl } = value;
      const isAsked = query !== undefined && query.trim() !== "";
      if (isAsked && items.index === null) throw withoutIndex("query");
      return items.search({
        // What a handler left out confines nobody.
        namespacePrefix: value.namespace ?? request.namespacePrefix,
        ...(value.filter === undefined ? {} : { filter: value.filter }),
        limit: request.limit,
        offset: request.offset,
        access,
        ...(isAsked && { query }),
        ...(refreshTtl !== undefined && { refreshTtl }),
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

function notFound(): HeddleError {
  return new HeddleError("NOT_FOUND", { message: "Item not found" });
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
  const problem = namespaceProblem(namespace);
  if (problem !== null) throw new HeddleError("ITEM_INVALID", { message: problem });
}
