import { HeddleError } from "./errors.js";
import type { FoundItem, ItemStore } from "./item-store.js";

type PutParams = Parameters<ItemStore["put"]>[0];
type SearchParams = Parameters<ItemStore["search"]>[0];

/** What somebody wants stored. */
export type ItemPut = Pick<PutParams, "namespace" | "key" | "value" | "access"> & {
  /** The paths to embed instead of the store's own; `false`: none. Without an index it is kept for when there is one. */
  readonly index?: false | readonly string[];
  /** `null`: for ever. Absent: the store's default. */
  readonly ttlMs?: number | null;
};

/**
 * The long-term store with the configured index and times to live: what services and graphs go through. Errors of the
 * model (`EMBEDDING_FAILED`) come before anything is written.
 */
export interface IndexedItems extends Pick<ItemStore, "get" | "delete" | "listNamespaces"> {
  /** `null`: no index is configured; nothing is embedded, and searches have no `query`. */
  readonly index: { readonly dims: number; readonly fields: readonly string[] } | null;
  /**
   * Store items one after the other, once all of them are embedded, in few calls of the model.
   * @throws HeddleError `ITEM_INVALID` for a path that is none, or an item with too many texts; `EMBEDDING_FAILED`
   */
  putAll(puts: readonly ItemPut[]): Promise<readonly Awaited<ReturnType<ItemStore["put"]>>[]>;
  /**
   * As {@link ItemStore.search}; with `query` the nearest in meaning first, with a `score`, of those that the configured index
   * embedded. A blank query is none.
   * @throws HeddleError `UNSUPPORTED_OPTION` for a query without an index; `EMBEDDING_FAILED`
   */
  search(
    params: Omit<SearchParams, "nearest" | "fingerprint"> & { readonly query?: string },
  ): Promise<readonly FoundItem[]>;
}

const MINUTE_MS = 60_000;

/** Longest time to live: about a hundred years. */
export const MAX_TTL_MINUTES = 52_560_000;

/** A time to live as the wire has it, in minutes, as stores have it; `null`: for ever. */
export function ttlMsOf(minutes: number | null): number | null {
  return minutes === null ? null : Math.max(1, Math.round(minutes * MINUTE_MS));
}

/** The error for a field that asks for the index of a store that has none. */
export function withoutIndex(field: "index" | "query"): HeddleError {
  const way = field === "query" ? "leave query out and use filter" : "leave index out or send false";
  return new HeddleError("UNSUPPORTED_OPTION", {
    message: `${field} is not supported: this server's long-term store has no semantic index. Configure store.index, or ${way}.`,
    details: { field },
  });
}
