import type { StoreClock } from "../../core/clock.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { createMemoryApiKeys } from "./api-keys.js";
import { createMemoryAssistants } from "./assistants.js";
import { createMemoryChores } from "./chores.js";
import { createMemoryCrons } from "./crons.js";
import { createMemoryExpiredThreads } from "./expired-threads.js";
import { createMemoryItems, type MemoryItems } from "./items.js";
import { createMemoryRecords } from "./records.js";
import { createMemoryRuns } from "./runs.js";
import { createMemoryStreamTickets } from "./stream-tickets.js";
import { Tables } from "./tables.js";
import { createMemoryThreads } from "./threads.js";
import { createMemoryTransfer } from "./transfer.js";

export { createMemoryItems } from "./items.js";

/**
 * A metadata store that lives in this process and ends with it.
 * @param items whose rows its `transfer` reads and writes beside its own
 */
export function createMemoryMetadataStore(
  clock: StoreClock,
  items: MemoryItems = createMemoryItems(clock),
): MetadataStore {
  const tables = new Tables(clock);
  const keys = createMemoryApiKeys(clock);
  const records = createMemoryRecords(clock);
  return {
    durable: false,
    presence: null,
    leaseRenewal: null,
    transfer: createMemoryTransfer(tables, items, keys, records),
    assistants: createMemoryAssistants(tables),
    threads: createMemoryThreads(tables),
    expiredThreads: createMemoryExpiredThreads(tables),
    runs: createMemoryRuns(tables),
    crons: createMemoryCrons(tables),
    keys,
    tickets: createMemoryStreamTickets(clock),
    deliveries: tables.deliveries,
    records,
    chores: createMemoryChores(clock),
    ping: async () => {},
    close: async () => {},
  };
}
