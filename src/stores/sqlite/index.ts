import type { StoreClock } from "../../core/clock.js";
import type { ItemStore } from "../../core/item-store.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { migrate } from "../../databases/sqlite/migrate.js";
import type { SqliteDatabase } from "../../databases/sqlite/open.js";
import { MEMORY } from "../../databases/sqlite/uri.js";
import type { VectorOptions } from "../../core/item-vectors.js";
import { createSqliteApiKeys } from "./api-keys.js";
import { createSqliteAssistants } from "./assistants.js";
import { createSqliteChores } from "./chores.js";
import { CRON_MIGRATIONS } from "./cron-migrations.js";
import { createSqliteCrons } from "./crons.js";
import { createSqliteDeliveries } from "./deliveries.js";
import { createSqliteExpiredThreads } from "./expired-threads.js";
import { createSqliteItems } from "./items.js";
import { ITEM_MIGRATIONS, METADATA_MIGRATIONS } from "./migrations.js";
import { WEBHOOK_MIGRATIONS } from "./webhook-migrations.js";
import { RECORD_MIGRATIONS } from "./record-migrations.js";
import { createSqliteRecords } from "./records.js";
import { createSqliteRuns } from "./runs.js";
import { createSession } from "./session.js";
import { createSqliteStreamTickets } from "./stream-tickets.js";
import { createSqliteThreads } from "./threads.js";
import { createSqliteTransfer } from "./transfer.js";

/**
 * Assistants, threads, runs and API keys in a SQLite database; brings its tables up to date.
 * @param opened closed with the store
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the tables are newer than this version
 */
export function createSqliteMetadataStore(opened: SqliteDatabase, clock: StoreClock): MetadataStore {
  migrate(opened.db, "metadata", METADATA_MIGRATIONS);
  migrate(opened.db, "webhooks", WEBHOOK_MIGRATIONS);
  migrate(opened.db, "crons", CRON_MIGRATIONS);
  migrate(opened.db, "records", RECORD_MIGRATIONS);
  // A copy reads and writes items too.
  migrate(opened.db, "items", ITEM_MIGRATIONS);
  const session = createSession(opened.db, clock);
  return {
    durable: opened.path !== MEMORY,
    presence: null,
    leaseRenewal: null,
    transfer: createSqliteTransfer(session),
    assistants: createSqliteAssistants(session),
    threads: createSqliteThreads(session),
    expiredThreads: createSqliteExpiredThreads(session),
    runs: createSqliteRuns(session),
    crons: createSqliteCrons(session),
    keys: createSqliteApiKeys(session),
    tickets: createSqliteStreamTickets(session),
    deliveries: createSqliteDeliveries(session),
    records: createSqliteRecords(session),
    chores: createSqliteChores(session),
    ping: () => session.read(() => void session.sql("SELECT 1").get()),
    async close() {
      session.flush();
      opened.close();
    },
  };
}

/**
 * The long-term store in a SQLite database; brings its table up to date.
 * @param opened closed with the store
 * @param vectors absent: it keeps none
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the table is newer than this version
 */
export function createSqliteItemStore(opened: SqliteDatabase, clock: StoreClock, vectors?: VectorOptions): ItemStore {
  migrate(opened.db, "items", ITEM_MIGRATIONS);
  const session = createSession(opened.db, clock);
  const close = (): void => {
    session.flush();
    opened.close();
  };
  return createSqliteItems(session, close, vectors);
}
