import type { Component } from "../../databases/postgres/migrate.js";
import { FUNCTIONS } from "./functions.js";
import { ITEM_TABLES, TABLES } from "./tables.js";

/** Assistants, threads and runs. Only ever append to the migrations. */
export const METADATA_COMPONENT: Component = { name: "metadata", migrations: [TABLES + FUNCTIONS] };

/** The long-term store. Only ever append to the migrations. */
export const ITEMS_COMPONENT: Component = { name: "items", migrations: [ITEM_TABLES] };
