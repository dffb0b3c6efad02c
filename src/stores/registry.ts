import type { StoreClock } from "../core/clock.js";
import type { Driver, DriverContext, DriverRegistry } from "../core/driver.js";
import { createDriverRegistry } from "../core/driver.js";
import type { ItemStore } from "../core/item-store.js";
import type { MetadataStore } from "../core/metadata-store.js";

/** What one storage URI opens. Each is closed by its own `close`. */
export interface OpenedStore {
  readonly metadata: MetadataStore;
  readonly items: ItemStore;
}

/**
 * A registry of storage drivers with the built-in ones: `memory:`, `sqlite:`, `postgres:` and `mongodb:`.
 * @param drivers registered after them; to replace a built-in one, `register(driver, { override: true })`
 */
export function createStoreRegistry(drivers: readonly Driver<OpenedStore>[] = []): DriverRegistry<OpenedStore> {
  return createDriverRegistry({
    kind: "storage",
    drivers: [memoryDriver, sqliteDriver, postgresDriver, mongoDriver, ...drivers],
  });
}

const processClock: StoreClock = { now: () => Date.now() };

const memoryDriver: Driver<OpenedStore> = {
  schemes: ["memory"],
  requires: [],
  async open(_uri: string, { clock = processClock, vectors }: DriverContext) {
    const { createMemoryItems, createMemoryMetadataStore } = await import("./memory/index.js");
    const items = createMemoryItems(clock, vectors);
    return { metadata: createMemoryMetadataStore(clock, items), items };
  },
};

const sqliteDriver: Driver<OpenedStore> = {
  schemes: ["sqlite"],
  requires: ["better-sqlite3"],
  async open(uri: string, context: DriverContext) {
    const [{ openSqlite }, { createSqliteItemStore, createSqliteMetadataStore }] = await Promise.all([
      import("../databases/sqlite/open.js"),
      import("./sqlite/index.js"),
    ]);
    // Both stores share one connection, also where the application shares none.
    const own = { ...context, shared: context.shared ?? new Map<string, unknown>() };
    const forMetadata = await openSqlite(uri, own);
    const forItems = await openSqlite(uri, own);
    try {
      const { clock = processClock } = context;
      return {
        metadata: createSqliteMetadataStore(forMetadata, clock),
        items: createSqliteItemStore(forItems, clock, context.vectors),
      };
    } catch (error) {
      forMetadata.close();
      forItems.close();
      throw error;
    }
  },
};

const postgresDriver: Driver<OpenedStore> = {
  schemes: ["postgres", "postgresql"],
  requires: ["pg"],
  async open(uri: string, context: DriverContext) {
    const [{ openPostgres }, { createPostgresItemStore, createPostgresMetadataStore }] = await Promise.all([
      import("../databases/postgres/open.js"),
      import("./postgres/index.js"),
    ]);
    // Both stores share one pool, also where the application shares none.
    const own = { ...context, shared: context.shared ?? new Map<string, unknown>() };
    const { clock } = context;
    const forMetadata = await openPostgres(uri, own);
    const forItems = await openPostgres(uri, own);
    try {
      return {
        metadata: await createPostgresMetadataStore(forMetadata, { clock }),
        items: await createPostgresItemStore(forItems, { clock, vectors: context.vectors, logger: context.logger }),
      };
    } catch (error) {
      await forItems.close();
      await forMetadata.close();
      throw error;
    }
  },
};

const mongoDriver: Driver<OpenedStore> = {
  schemes: ["mongodb", "mongodb+srv"],
  requires: ["mongodb"],
  async open(uri: string, context: DriverContext) {
    const [{ openMongo }, { createMongoItemStore, createMongoMetadataStore }] = await Promise.all([
      import("../databases/mongodb/open.js"),
      import("./mongodb/index.js"),
    ]);
    // Both stores share one pool, also where the application shares none.
    const own = { ...context, shared: context.shared ?? new Map<string, unknown>() };
    const forMetadata = await openMongo(uri, own);
    const forItems = await openMongo(uri, own);
    try {
      const metadata = await createMongoMetadataStore(forMetadata, context);
      return { metadata, items: await createMongoItemStore(forItems, context.vectors) };
    } catch (error) {
      await forMetadata.close();
      await forItems.close();
      throw error;
    }
  },
};
