import type { AccessFilter } from "./auth.js";
import type { Item, ItemFilter } from "./item.js";
import type { JsonObject } from "./json.js";

/**
 * The long-term store (docs/wire/langgraph-api.md §2.10). Namespaces match by whole segments: `["a"]` never matches
 * `["ab"]`. `access` applies to the value's fields plus `namespace` and `key` (§7.6).
 */
export interface ItemStore {
  /** Upsert: keeps `createdAt`, bumps `updatedAt`. */
  put(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly value: JsonObject;
    readonly access: AccessFilter;
  }): Promise<{ readonly kind: "stored" } | { readonly kind: "hidden" } | { readonly kind: "forbidden" }>;
  get(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly access: AccessFilter;
  }): Promise<
    { readonly kind: "found"; readonly item: Item } | { readonly kind: "missing" } | { readonly kind: "hidden" }
  >;
  delete(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly access: AccessFilter;
  }): Promise<{ readonly kind: "deleted" } | { readonly kind: "missing" } | { readonly kind: "hidden" }>;
  /** Most recently updated first. */
  search(params: {
    readonly namespacePrefix: readonly string[];
    readonly filter?: ItemFilter;
    readonly limit: number;
    readonly offset: number;
    readonly access: AccessFilter;
  }): Promise<readonly Item[]>;
  /** Sorted; `*` in prefix or suffix matches one label; `maxDepth` truncates and removes duplicates. */
  listNamespaces(params: {
    readonly prefix?: readonly string[];
    readonly suffix?: readonly string[];
    readonly maxDepth?: number;
    readonly limit: number;
    readonly offset: number;
    readonly access: AccessFilter;
  }): Promise<readonly (readonly string[])[]>;
  close(): Promise<void>;
}
