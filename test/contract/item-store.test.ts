import * as vitest from "vitest";
import { testItemStore } from "../../src/testing/stores/item-store.js";
import { STORES } from "./store-factories.js";

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
