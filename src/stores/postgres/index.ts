import type { StoreClock } from "../../core/clock.js";
import type { ItemStore } from "../../core/item-store.js";
import type { Logger } from "../../core/logger.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { migrate } from "../../databases/postgres/migrate.js";
import type { PostgresDatabase } from "../../databases/postgres/open.js";
import { openPgvector } from "../../databases/postgres/pgvector.js";
import { createPresence } from "../../databases/postgres/presence.js";
import { createPostgresApiKeys } from "./api-keys.js";
import { createPostgresAssistants } from "./assistants.js";
import { createPostgresChores } from "./chores.js";
import { createPostgresCrons } from "./crons.js";
import { createPostgresDeliveries } from "./deliveries.js";
import { createPostgresExpiredThreads } from "./expired-threads.js";
import type { VectorOptions } from "../../core/item-vectors.js";
import { createPostgresItems } from "./items.js";
import { createNearestItems } from "./nearest-items.js";
import { createPgvectorItems } from "./pgvector-items.js";
import { COMPONENTS } from "./migrations.js";
import { createPostgresRecords } from "./records.js";
import { createPostgresRuns } from "./runs.js";
import { createSession } from "./session.js";
import { createPostgresStreamTickets } from "./stream-tickets.js";
import { createPostgresTransfer } from "./transfer.js";
import { createPostgresThreads } from "./threads.js";

export interface PostgresStoreOptions {
  /** Default: the database's own. */
  readonly clock?: StoreClock | undefined;
  /** Of items; absent: none are kept. With pgvector up to `exactItems` of a search (10,000) are compared one by one. */
  readonly vectors?: (VectorOptions & { readonly exactItems?: number }) | undefined;
  /** Told why an index of vectors cannot be made. */
  readonly logger?: Pick<Logger, "info" | "warn"> | undefined;
}

/**
 * Assistants, threads, runs and API keys in a Postgres database; brings its tables up to date.
 * @param database closed with the store
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the tables are newer than this version, or nobody answers
 */
export async function createPostgresMetadataStore(
  database: PostgresDatabase,
  options: PostgresStoreOptions = {},
): Promise<MetadataStore> {
  await migrate(database, COMPONENTS);
  const session = createSession(database, options.clock);
  const presence = createPresence(database, {
    holders: "SELECT worker_id FROM heddle_runs WHERE status || '' = 'running'",
  });
  return {
    durable: true,
    presence,
    leaseRenewal: { moduleUrl: new URL("./lease-renewer.js", import.meta.url).href, data: { uri: database.uri } },
    transfer: createPostgresTransfer(session),
    assistants: createPostgresAssistants(session),
    threads: createPostgresThreads(session),
    expiredThreads: createPostgresExpiredThreads(session),
    runs: createPostgresRuns(session),
    crons: createPostgresCrons(session),
    keys: createPostgresApiKeys(session),
    tickets: createPostgresStreamTickets(session),
    deliveries: createPostgresDeliveries(session),
    records: createPostgresRecords(session),
    chores: createPostgresChores(session),
    async ping() {
      await session.query({ name: "heddle_ping", idempotent: true, text: "SELECT 1" });
    },
    async close() {
      await presence.close();
      await database.close();
    },
  };
}

/**
 * The long-term store in a Postgres database; brings its table up to date.
 * @param database closed with the store
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the table is newer than this version, or nobody answers
 */
export async function createPostgresItemStore(
  database: PostgresDatabase,
  options: PostgresStoreOptions = {},
): Promise<ItemStore> {
  await migrate(database, COMPONENTS);
  const session = createSession(database, options.clock);
  const { vectors } = options;
  if (vectors === undefined) return createPostgresItems(session, () => database.close());
  const pgvector = await openPgvector(database, options.logger);
  const nearestItems =
    pgvector === null
      ? createNearestItems(session, vectors.dims)
      : await createPgvectorItems({
          database,
          session,
          pgvector,
          dims: vectors.dims,
          exactItems: vectors.exactItems,
          logger: options.logger,
        });
  return createPostgresItems(session, () => database.close(), { ...vectors, nearestItems });
}
