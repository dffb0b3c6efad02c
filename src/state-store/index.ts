/**
 * A client of the State Store, for Node, browsers and whatever else has `fetch`. It imports nothing of the server.
 * @example
 * const state = new StateStoreClient({ baseUrl: "http://localhost:2024/state-store" });
 * await state.set("order-17", "status", "paid");
 * @module heddle/state-store
 */
export { StateStoreClient } from "./client.js";
export type { StateStoreClientOptions, StoredValue } from "./client.js";
export { StateStoreError } from "./error.js";
export type { StateChange } from "./subscription.js";
