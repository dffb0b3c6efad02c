import * as vitest from "vitest";
import { testMetadataStore } from "../../src/testing/stores/metadata-store.js";
import { STORES } from "./store-factories.js";

// FerretDB 1.24, on which MongoDB is tested, has no indexes but of `_id`: a search reads all rows.
vitest.vi.setConfig({ testTimeout: 180_000 });

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
