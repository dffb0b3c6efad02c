import type { JsonObject } from "./json.js";

/** Kinds of rows, in the order in which a copy writes them: what is referred to comes first. */
export const TRANSFER_KINDS = ["assistants", "assistantVersions", "threads", "runs", "items"] as const;
export type TransferKind = (typeof TRANSFER_KINDS)[number];

/**
 * One row as every store reads and writes it: the fields of the core entity in camelCase, times in epoch milliseconds, and
 * what the store keeps beside it (`settledStatus`, `cancelRequested`, …). Equal rows in two stores have equal JSON.
 * A lease is never copied: a running run is read as `pending`, with its attempts.
 */
export interface TransferRow {
  /** Sorts rows of a kind; unique among them. */
  readonly key: string;
  readonly value: JsonObject;
}

/** All rows of a storage, for copying it into another one. */
export interface RowTransfer {
  /** Rows of a kind in order of their key, strictly after `after`, at most `limit`. */
  read(params: {
    readonly kind: TransferKind;
    readonly after: string | null;
    readonly limit: number;
  }): Promise<readonly TransferRow[]>;
  /** Insert, or replace what has the same key: writing twice is writing once. All or nothing where the database can. */
  write(params: { readonly kind: TransferKind; readonly rows: readonly TransferRow[] }): Promise<void>;
}
