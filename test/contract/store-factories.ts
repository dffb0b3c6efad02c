import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClock } from "../../src/core/clock.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createStoreRegistry, type OpenedStore } from "../../src/stores/registry.js";
import { ITEM_DIMS } from "../../src/testing/stores/item-store-vectors.js";
import { postgresSchemas } from "../support/postgres-schemas.js";

/** A storage that the contract suites run on. */
export interface StoreFactory {
  readonly name: string;
  open(clock: StoreClock): Promise<OpenedStore & { close(): Promise<void> }>;
}

async function open(uri: string, cwd: string, clock: StoreClock, cleanUp: () => void | Promise<void>) {
  const opened = await createStoreRegistry().open(uri, { cwd, clock, vectors: { dims: ITEM_DIMS } });
  return {
    ...opened,
    async close() {
      await opened.items.close();
      await opened.metadata.close();
      await cleanUp();
    },
  };
}

/** One database per test file, one schema per store. */
const schemas = postgresSchemas();

/** Every built-in storage. */
export const STORES: readonly StoreFactory[] = [
  { name: "memory", open: (clock) => open("memory:", "/", clock, () => {}) },
  { name: "SQLite in memory", open: (clock) => open("sqlite::memory:", "/", clock, () => {}) },
  {
    name: "SQLite file",
    async open(clock) {
      const cwd = mkdtempSync(join(tmpdir(), "heddle-store-"));
      return open("sqlite:./heddle.db", cwd, clock, () => rmSync(cwd, { recursive: true, force: true }));
    },
  },
  {
    name: "Postgres",
    async open(clock) {
      const { uri, drop } = await schemas.create();
      return open(uri, "/", clock, drop);
    },
  },
  ...(hasMongo()
    ? [
        {
          name: "MongoDB",
          async open(clock: StoreClock) {
            const { uri, drop } = await createMongoDatabase();
            return open(uri, "/", clock, drop);
          },
        },
      ]
    : []),
];
