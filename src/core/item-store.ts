import type { AccessFilter } from "./auth.js";
import type { Item, ItemFilter } from "./item.js";
import type { EpochMs, JsonObject } from "./json.js";

/** A vector of one text of an item. The store keeps it at unit length; a zero vector is as near to all as to none (score 0). */
export interface ItemVector {
  /** Where in the value the text is: unique within an item. */
  readonly path: string;
  /** As many finite numbers as the store was opened for (`DriverContext.vectors.dims`). */
  readonly values: Float32Array;
}

/** How an item's vectors were made: what tells whether they are current. The store compares fingerprints and reads nothing into them. */
export interface ItemEmbedding {
  /** Of embedder, dims and default fields. Stays clear where values are encrypted. */
  readonly fingerprint: string;
  /** The paths that the put named; `[]`: it wanted none; `null`: the store's default fields. */
  readonly paths: readonly string[] | null;
}

/** An item that {@link ItemStore.search} found. */
export interface FoundItem extends Item {
  /** Cosine similarity to `nearest`, -1 to 1, of the item's best vector. Only where `nearest` was given. */
  readonly score?: number;
}

/** An item with what lies beside its value. */
export interface ScannedItem {
  readonly item: Item;
  readonly embedding: ItemEmbedding | null;
}

/**
 * The long-term store (docs/wire/langgraph-api.md §2.10). Namespaces match by whole segments: `["a"]` never matches
 * `["ab"]`. `access` applies to the value's fields plus `namespace` and `key` (§7.6).
 *
 * An item whose time to live is over is gone for every method at once; its row goes by the next `put` or by `sweepExpired`.
 * `refreshTtl` starts the time of what a read returns anew, by the `ttlMs` of its put; it leaves `updatedAt` alone.
 */
export interface ItemStore {
  /**
   * Upsert: keeps `createdAt`, bumps `updatedAt`. Time to live, vectors and embedding of an item before are replaced, also by nothing.
   * @throws HeddleError `ITEM_INVALID` for vectors of other dims or with numbers that are not finite, `UNSUPPORTED_OPTION`
   * for vectors in a store that was opened without
   */
  put(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly value: JsonObject;
    readonly access: AccessFilter;
    /** More than 0. Absent or `null`: it never expires. */
    readonly ttlMs?: number | null;
    /** Absent: none. */
    readonly vectors?: readonly ItemVector[];
    /** Absent: unknown, which is never current. */
    readonly embedding?: ItemEmbedding;
  }): Promise<{ readonly kind: "stored" } | { readonly kind: "hidden" } | { readonly kind: "forbidden" }>;
  get(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly access: AccessFilter;
    readonly refreshTtl?: boolean;
  }): Promise<
    { readonly kind: "found"; readonly item: Item } | { readonly kind: "missing" } | { readonly kind: "hidden" }
  >;
  delete(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly access: AccessFilter;
  }): Promise<{ readonly kind: "deleted" } | { readonly kind: "missing" } | { readonly kind: "hidden" }>;
  /**
   * Most recently updated first; with `nearest` the most similar first, and only items with a vector of these dims.
   * @param params.fingerprint with `nearest`: only items whose embedding has it; vectors of two models don't compare. Absent: any
   * @throws HeddleError `ITEM_INVALID` for an unknown operator or a `nearest` of other dims, `UNSUPPORTED_OPTION` for `nearest`
   * in a store that was opened without vectors
   */
  search(params: {
    readonly namespacePrefix: readonly string[];
    readonly filter?: ItemFilter;
    readonly limit: number;
    readonly offset: number;
    readonly access: AccessFilter;
    readonly nearest?: Float32Array;
    readonly fingerprint?: string;
    readonly refreshTtl?: boolean;
  }): Promise<readonly FoundItem[]>;
  /** Sorted; `*` in prefix or suffix matches one label; `maxDepth` truncates and removes duplicates. */
  listNamespaces(params: {
    readonly prefix?: readonly string[];
    readonly suffix?: readonly string[];
    readonly maxDepth?: number;
    readonly limit: number;
    readonly offset: number;
    readonly access: AccessFilter;
  }): Promise<readonly (readonly string[])[]>;
  /**
   * Items in an order of the store's own that writes don't change: none that stays is missed or seen twice. For work on all of them.
   * @param params.staleFor only items whose embedding has another fingerprint, or none
   * @param params.after `next` of the page before; `null`: the first page
   * @returns up to `limit` items, fewer also before the end; `next` is `null` at the end
   */
  scan(params: {
    readonly namespacePrefix: readonly string[];
    readonly staleFor?: string;
    readonly limit: number;
    readonly after: string | null;
    readonly access: AccessFilter;
  }): Promise<{ readonly items: readonly ScannedItem[]; readonly next: string | null }>;
  /**
   * Replace the vectors of an item as it was read by `scan`; `updatedAt` and time to live stay.
   * @param params.updatedAt of the item that was embedded
   * @param params.value replaces the stored value: for wrappers that keep vectors of their own in it
   * @returns false when the item is gone, was put anew or has this fingerprint already: then nothing is written
   */
  embed(params: {
    readonly namespace: readonly string[];
    readonly key: string;
    readonly updatedAt: EpochMs;
    readonly vectors: readonly ItemVector[];
    readonly embedding: ItemEmbedding;
    readonly value?: JsonObject;
  }): Promise<boolean>;
  /** Remove rows of expired items, those first that expired first. @returns how many: fewer than `limit` when none is left */
  sweepExpired(params: { readonly limit: number }): Promise<number>;
  close(): Promise<void>;
}
