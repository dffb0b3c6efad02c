import { expect, it } from "vitest";
import { createIndexedItems } from "../../src/embeddings/indexed-items.js";
import { createStoreAdapter } from "../../src/engine/store-adapter.js";
import { createMemoryItems } from "../../src/stores/memory/items.js";
import { fakeClock } from "../../src/testing/fake-clock.js";

it.each([Infinity, 1e300, 52_560_001, Number.NaN, 0, -1, "5"])(
  "refuses a time to live of %s from a graph, before any put of its batch",
  async (ttl) => {
    const store = createStoreAdapter({ items: createIndexedItems({ items: createMemoryItems(fakeClock()) }) });
    const put = (key: string, more: object = {}) => ({ namespace: ["a"], key, value: {}, ...more });
    await expect(store.batch([put("first"), put("second", { ttl })])).rejects.toMatchObject({
      code: "ITEM_INVALID",
      message: expect.stringContaining("ttl must be minutes") as string,
    });
    expect(await store.search(["a"])).toEqual([]);
  },
);
