import * as vitest from "vitest";
import { testItemStore } from "../../src/testing/stores/item-store.js";
import { STORES } from "./store-factories.js";

// FerretDB 1.24, on which MongoDB is tested, has no indexes but of `_id`: a search reads all rows.
vitest.vi.setConfig({ testTimeout: 180_000 });

for (const { name, open } of STORES) {
  testItemStore({
    name,
    vitest,
    async open(clock) {
      const { items, close } = await open(clock);
      return { store: items, close };
    },
  });
}
