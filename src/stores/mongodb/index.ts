import type { DriverContext } from "../../core/driver.js";
import type { ItemStore } from "../../core/item-store.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { migrate } from "../../databases/mongodb/migrate.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import { createMongoApiKeys } from "./api-keys.js";
import { createMongoAssistants } from "./assistants.js";
import { createMongoChores } from "./chores.js";
import { createMongoDeliveries } from "./deliveries.js";
import {
  CRON_MIGRATIONS,
  ITEM_MIGRATIONS,
  METADATA_MIGRATIONS,
  RECORD_MIGRATIONS,
  WEBHOOK_MIGRATIONS,
} from "./collections.js";
import { createMongoCrons } from "./crons.js";
import { createMongoExpiredThreads } from "./expired-threads.js";
import type { VectorOptions } from "../../core/item-vectors.js";
import { createMongoItems } from "./items.js";
import { mongoLeaseRenewal } from "./lease-renewal.js";
import { createMongoRecords } from "./records.js";
import { createMongoRuns } from "./runs.js";
import { createSession } from "./session.js";
import { createMongoStreamTickets } from "./stream-tickets.js";
import { createMongoThreads } from "./threads.js";
import { createMongoTransfer } from "./transfer.js";

/**
 * Assistants, threads, runs and API keys in a MongoDB database; brings its indexes up to date. A stand-alone server is enough.
 * @param database closed with the store
 * @param vectors absent: it keeps none
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the collections are newer than this version
 */
export async function createMongoMetadataStore(
  database: MongoDatabase,
  context: Pick<DriverContext, "clock"> = {},
): Promise<MetadataStore> {
  await migrate(database, [
    { name: "metadata", migrations: METADATA_MIGRATIONS },
    { name: "webhooks", migrations: WEBHOOK_MIGRATIONS },
    { name: "crons", migrations: CRON_MIGRATIONS },
    { name: "records", migrations: RECORD_MIGRATIONS },
    { name: "items", migrations: ITEM_MIGRATIONS },
  ]);
  const session = createSession(database);
  return {
    durable: true,
    // A MongoDB server does not tell whose connection is gone: leases decide.
    presence: null,
    leaseRenewal: context.clock === undefined ? mongoLeaseRenewal(database.uri) : null,
    transfer: createMongoTransfer(session),
    assistants: createMongoAssistants(session),
    threads: createMongoThreads(session),
    expiredThreads: createMongoExpiredThreads(session),
    runs: createMongoRuns(session),
    crons: createMongoCrons(session),
    keys: createMongoApiKeys(session),
    tickets: createMongoStreamTickets(session),
    deliveries: createMongoDeliveries(session),
    records: createMongoRecords(session),
    chores: createMongoChores(session),
    async ping() {
      await session.retrying(() => database.db.command({ ping: 1 }));
    },
    async close() {
      await session.outbox.close();
      await database.close();
    },
  };
}

/**
 * The long-term store in a MongoDB database; brings its indexes up to date.
 * @param database closed with the store
 * @param vectors absent: it keeps none
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the collection is newer than this version
 */
export async function createMongoItemStore(database: MongoDatabase, vectors?: VectorOptions): Promise<ItemStore> {
  await migrate(database, [{ name: "items", migrations: ITEM_MIGRATIONS }]);
  return createMongoItems(database, () => database.close(), vectors);
}
