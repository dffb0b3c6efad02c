import { HeddleError } from "../core/errors.js";
import type { ItemStore } from "../core/item-store.js";

/** An item store of before expiry and vectors: what it cannot do is refused. */
export function plainItems(store: Omit<ItemStore, "scan" | "embed" | "sweepExpired">): ItemStore {
  return {
    ...store,
    async put(params) {
      if (params.ttlMs !== undefined && params.ttlMs !== null) throw unsupported("ttlMs");
      if (params.vectors !== undefined && params.vectors.length > 0) throw unsupported("vectors");
      return store.put(params);
    },
    async search(params) {
      if (params.nearest !== undefined) throw unsupported("nearest");
      return store.search(params);
    },
    scan: () => Promise.reject(unsupported("scan")),
    embed: () => Promise.reject(unsupported("embed")),
    sweepExpired: async () => 0,
  };
}

function unsupported(what: string): HeddleError {
  return new HeddleError("UNSUPPORTED_OPTION", { message: `${what}: this storage does not support it yet.` });
}
