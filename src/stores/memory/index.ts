import type { StoreClock } from "../../core/clock.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { createMemoryAssistants } from "./assistants.js";
import { createMemoryRuns } from "./runs.js";
import { Tables } from "./tables.js";
import { createMemoryThreads } from "./threads.js";

export { createMemoryItems } from "./items.js";

/** A metadata store that lives in this process and ends with it. */
export function createMemoryMetadataStore(clock: StoreClock): MetadataStore {
  const tables = new Tables(clock);
  return {
    durable: false,
    presence: null,
    leaseRenewal: null,
    transfer: null,
    assistants: createMemoryAssistants(tables),
    threads: createMemoryThreads(tables),
    runs: createMemoryRuns(tables),
    ping: async () => {},
    close: async () => {},
  };
}
