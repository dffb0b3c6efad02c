import type { MetadataStore } from "../../core/metadata-store.js";
import { testApiKeyStore } from "./api-key-store.js";
import { testAssistantStore } from "./assistant-store.js";
import { testChoreStore } from "./chore-store.js";
import { testDeliveryStore } from "./delivery-store.js";
import { testCronStore } from "./cron-store.js";
import { testRecordStore } from "./record-store.js";
import { testRunStore } from "./run-store.js";
import { testStreamTicketStore } from "./stream-ticket-store.js";
import { type StoreSuite, withStoreOf } from "./suite.js";
import { testThreadStore } from "./thread-store.js";
import { testThreadTtl } from "./thread-ttl.js";
import { watchCases } from "./thread-watch.js";
import { testTransfer } from "./transfer.js";

/** The contract of a {@link MetadataStore}: its parts, and itself. */
export function testMetadataStore(suite: StoreSuite<MetadataStore>): void {
  const { describe, it, expect } = suite.vitest;
  const withStore = withStoreOf(suite);
  describe(`MetadataStore: ${suite.name}`, () => {
    it(
      "answers a ping",
      withStore(async ({ store }) => {
        await store.ping();
        expect(typeof store.durable).toBe("boolean");
      }),
    );
  });
  testAssistantStore(suite);
  testThreadStore(suite);
  testThreadTtl(suite);
  testRunStore(suite);
  describe(`Watched threads: ${suite.name}`, () => watchCases(suite, withStore));
  testApiKeyStore(suite);
  testStreamTicketStore(suite);
  testChoreStore(suite);
  testDeliveryStore(suite);
  testCronStore(suite);
  testRecordStore(suite);
  testTransfer(suite);
}
