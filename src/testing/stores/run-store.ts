import type { MetadataStore } from "../../core/metadata-store.js";
import { cancelCases } from "./run-cancel.js";
import { createCases } from "./run-create.js";
import { leaseCases } from "./run-leases.js";
import { type StoreSuite, withStoreOf } from "./suite.js";

/** The contract of `MetadataStore.runs`, the run queue. */
export function testRunStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`RunStore: ${suite.name}`, () => {
    createCases(suite, withStore);
    leaseCases(suite, withStore);
    cancelCases(suite, withStore);
  });
}
