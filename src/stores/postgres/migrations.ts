import type { Component } from "../../databases/postgres/migrate.js";
import { ACCESS_TABLES } from "./access-tables.js";
import { CHORE_TABLE } from "./chore-table.js";
import { FUNCTIONS } from "./functions.js";
import { CRONS } from "./functions/crons.js";
import { RECORDS } from "./functions/records.js";
import { REPEATED_CHANGES } from "./functions/repeated-changes.js";
import { DELIVERIES, DELIVERY_MESSAGES } from "./functions/deliveries.js";
import { THREAD_TTL } from "./functions/thread-ttl.js";
import { WATCHED_THREADS } from "./functions/watched-threads.js";
import { ITEM_VECTORS } from "./item-tables.js";
import { ITEM_TABLES, TABLES } from "./tables.js";

/** Assistants, threads and runs. Only ever append to the migrations. */
const METADATA_COMPONENT: Component = {
  name: "metadata",
  migrations: [TABLES + FUNCTIONS, WATCHED_THREADS, REPEATED_CHANGES, ACCESS_TABLES, CHORE_TABLE, THREAD_TTL],
};

/** The long-term store. Only ever append to the migrations. */
const ITEMS_COMPONENT: Component = { name: "items", migrations: [ITEM_TABLES, ITEM_VECTORS] };

/** The outbox of webhooks. Only ever append to the migrations. */
const WEBHOOKS_COMPONENT: Component = { name: "webhooks", migrations: [DELIVERIES, DELIVERY_MESSAGES] };

/** Crons. Only ever append to the migrations. */
const CRONS_COMPONENT: Component = { name: "crons", migrations: [CRONS] };

/** Records of protocols. Only ever append to the migrations. */
const RECORDS_COMPONENT: Component = { name: "records", migrations: [RECORDS] };

/** In the order in which they are made: items are filtered by functions of the first. */
export const COMPONENTS: readonly Component[] = [
  METADATA_COMPONENT,
  WEBHOOKS_COMPONENT,
  CRONS_COMPONENT,
  RECORDS_COMPONENT,
  ITEMS_COMPONENT,
];
