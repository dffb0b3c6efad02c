import * as vitest from "vitest";
import { testMetadataStore } from "../../src/testing/stores/metadata-store.js";
import { STORES } from "./store-factories.js";

for (const { name, open } of STORES) {
  testMetadataStore({
    name,
    vitest,
    async open(clock) {
      const { metadata, close } = await open(clock);
      return { store: metadata, close };
    },
  });
}
