import type { EpochMs, JsonObject } from "./json.js";

/** An entry of the long-term store (docs/wire/langgraph-api.md §2.10). */
export interface Item {
  readonly namespace: readonly string[];
  readonly key: string;
  readonly value: JsonObject;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
}

/**
 * Per key strict equality, or an operator object (`$eq $ne $gt $gte $lt $lte $in $nin`); top-level keys of the value,
 * all must hold (docs/wire/langgraph-api.md §2.10.4).
 */
export type ItemFilter = JsonObject;
