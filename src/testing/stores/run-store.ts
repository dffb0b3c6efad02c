import type { MetadataStore } from "../../core/metadata-store.js";
import { cancelCases } from "./run-cancel.js";
import { createCases } from "./run-create.js";
import { explainCases } from "./run-explain.js";
import { leaseCases } from "./run-leases.js";
import { retryCases } from "./run-retries.js";
import { type StoreSuite, withStoreOf } from "./suite.js";

/** The contract of `MetadataStore.runs`, the run queue. */
export function testRunStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`RunStore: ${suite.name}`, () => {
    createCases(suite, withStore);
    leaseCases(suite, withStore);
    cancelCases(suite, withStore);
    retryCases(suite, withStore);
    explainCases(suite, withStore);
  });
}
