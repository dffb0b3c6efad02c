import { HeddleError } from "../../core/errors.js";
import type { PostgresDatabase, SqlClient } from "./open.js";

/** Key of the advisory lock under which tables are made and changed, by everyone who does so in this database. */
const MIGRATION_LOCK = 0x6865_6464; // "hedd"

/** For one migration, and for waiting until another process has done them: a large table may get a new index. */
const MIGRATION_TIMEOUT_MS = 600_000;

/** One component's tables: index + 1 is the version. Only ever append to `migrations`. */
export interface Component {
  /** `metadata`, `items`, `events`, `checkpoints` */
  readonly name: string;
  /** SQL scripts of one or more statements. */
  readonly migrations: readonly string[];
}

/**
 * Bring components up to date in one transaction, under an advisory lock: processes that start together apply each
 * migration once. A failing migration leaves the database as it was.
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the database is newer than these lists, or when a migration fails
 */
export async function migrate(database: PostgresDatabase, components: readonly Component[]): Promise<void> {
  if (await isCurrent(database, components)) return;
  await database.transaction(async (client) => {
    await lockMigrations(client);
    await client.query({
      name: "",
      timeoutMs: MIGRATION_TIMEOUT_MS,
      text: `CREATE TABLE IF NOT EXISTS heddle_migrations (
        component text NOT NULL,
        version integer NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (component, version)
      )`,
    });
    const versions = await storedVersions(client);
    for (const component of components)
      await upgrade(client, component, versions.get(component.name) ?? 0, database.name);
  });
}

/** Wait for the right to change tables, until the transaction ends. Concurrent `CREATE … IF NOT EXISTS` fail otherwise. */
async function lockMigrations(client: SqlClient): Promise<void> {
  await client.query({ name: "", text: "SELECT pg_advisory_xact_lock($1)", timeoutMs: MIGRATION_TIMEOUT_MS }, [
    MIGRATION_LOCK,
  ]);
}

/** Versions of the components that the database has. Empty when Heddle never used it. */
export async function storedVersions(client: SqlClient): Promise<ReadonlyMap<string, number>> {
  const [found] = await client.query({
    name: "",
    idempotent: true,
    text: "SELECT to_regclass('heddle_migrations') IS NOT NULL AS there",
  });
  if (found?.["there"] !== true) return new Map();
  const rows = await client.query<{ component: string; version: number }>({
    name: "",
    idempotent: true,
    text: "SELECT component, max(version) AS version FROM heddle_migrations GROUP BY component",
  });
  return new Map(rows.map(({ component, version }) => [component, version]));
}

async function isCurrent(database: PostgresDatabase, components: readonly Component[]): Promise<boolean> {
  const versions = await storedVersions(database);
  return components.every(({ name, migrations }) => versions.get(name) === migrations.length);
}

async function upgrade(client: SqlClient, component: Component, current: number, database: string): Promise<void> {
  const { name, migrations } = component;
  if (current > migrations.length) {
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message:
        `${database} was written by a newer Heddle: its "${name}" tables have version ${current}, this one knows ` +
        `${migrations.length}. Upgrade heddle, or use another database.`,
      details: { component: name, found: current, supported: migrations.length },
    });
  }
  for (const [index, sql] of migrations.slice(current).entries()) {
    const version = current + index + 1;
    try {
      await client.query({ name: "", text: sql, timeoutMs: MIGRATION_TIMEOUT_MS });
    } catch (error) {
      throw new HeddleError("STORAGE_UNAVAILABLE", {
        message: `Migration ${version} of "${name}" failed in ${database}: ${error instanceof Error ? error.message : String(error)}`,
        details: { component: name, version },
        cause: error,
      });
    }
    await client.query({ name: "", text: "INSERT INTO heddle_migrations (component, version) VALUES ($1, $2)" }, [
      name,
      version,
    ]);
  }
}
