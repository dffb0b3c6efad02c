import * as vitest from "vitest";
import { sealedItemStore } from "../../src/encryption/sealed-item-store.js";
import { sealedMetadataStore } from "../../src/encryption/sealed-metadata-store.js";
import { ITEM_DIMS } from "../../src/testing/stores/item-store-vectors.js";
import { testItemStore } from "../../src/testing/stores/item-store.js";
import { testMetadataStore } from "../../src/testing/stores/metadata-store.js";
import { cipherOf } from "../support/cipher.js";
import { STORES } from "./store-factories.js";

// FerretDB 1.24, on which MongoDB is tested, has no indexes but of `_id`: a search reads all rows.
vitest.vi.setConfig({ testTimeout: 180_000 });

const quiet = { warn: () => {} };

/** Fields of items that the suite's filters name: what is not named is refused (test/unit/encryption). */
const clearItemFields = [
  "owner",
  "n",
  "tenth",
  "parity",
  "s",
  "list",
  "object",
  "none",
  "missing",
  "kind",
  "nested",
  "tags",
  "a",
  "b",
  "x",
  "y",
  "z",
  "o",
  "o.a",
  "constructor",
  "key",
];

/** What cannot be searched where the values of threads are encrypted; that it is refused is tested in test/unit/encryption. */
const SEARCHES_VALUES = new Set([
  "filters by ids, status, values and access together, and counts alike",
  "means by containment and by access what the core means",
  "leaves rows that the store works with: statuses, the queue, searches",
]);
/** On FerretDB, where everything takes twenty times as long: what reads and writes sealed columns. */
const ON_MONGODB = /state|finish|claim|copy|keeps|whatever|JSON|error|kwargs|item|ping|opens|close/i;

const only = (wanted: (title: string) => boolean) => ({
  ...vitest,
  it: ((title: string, test: () => Promise<void>) => {
    if (wanted(title)) vitest.it(title, test);
  }) as typeof vitest.it,
});

for (const { name, open } of STORES.filter((store) => store.name !== "SQLite in memory")) {
  const cipher = cipherOf(undefined, { clearItemFields });
  const wanted = (title: string): boolean =>
    !SEARCHES_VALUES.has(title) && (name !== "MongoDB" || ON_MONGODB.test(title));
  testMetadataStore({
    name: `${name}, encrypted`,
    vitest: only(wanted),
    async open(clock) {
      const { metadata, close } = await open(clock);
      return { store: sealedMetadataStore(metadata, cipher, quiet), close };
    },
  });
  testItemStore({
    name: `${name}, encrypted`,
    vitest: only(wanted),
    async open(clock) {
      const { items, close } = await open(clock);
      return { store: sealedItemStore(items, cipher, { dims: ITEM_DIMS }), close };
    },
  });
}
