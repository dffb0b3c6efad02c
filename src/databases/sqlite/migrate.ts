import type { Database } from "better-sqlite3";
import { HeddleError } from "../../core/errors.js";

const TABLE = `CREATE TABLE IF NOT EXISTS heddle_migrations (
  component TEXT NOT NULL,
  version INTEGER NOT NULL,
  applied_at INTEGER NOT NULL,
  PRIMARY KEY (component, version)
) WITHOUT ROWID`;

/**
 * Bring one component's tables up to date, under SQLite's write lock: processes that start together apply each migration
 * once. A failing migration leaves the database as it was.
 * @param component `metadata`, `items`, `events`, `checkpoints`
 * @param migrations SQL scripts; index + 1 is the version. Only ever append to this list.
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the database is newer than this list, or when a migration fails.
 */
export function migrate(db: Database, component: string, migrations: readonly string[]): void {
  if (storedVersion(db, component) === migrations.length) return;
  const upgrade = db.transaction(() => {
    db.exec(TABLE);
    const current = storedVersion(db, component);
    if (current > migrations.length) throw newer(db.name, component, current, migrations.length);
    const record = db.prepare("INSERT INTO heddle_migrations (component, version, applied_at) VALUES (?, ?, ?)");
    migrations.slice(current).forEach((sql, index) => {
      db.exec(sql);
      record.run(component, current + index + 1, Date.now());
    });
  });
  try {
    upgrade.immediate();
  } catch (error) {
    if (error instanceof HeddleError) throw error;
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message: `The tables "${component}" of ${db.name} can't be brought up to date: ${error instanceof Error ? error.message : String(error)}`,
      details: { component },
      cause: error,
    });
  }
}

/** Versions of the components that the database has. Empty when Heddle never used it. */
export function storedVersions(db: Database): ReadonlyMap<string, number> {
  const known = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'heddle_migrations'").get();
  if (known === undefined) return new Map();
  const select = db.prepare<[], { component: string; version: number }>(
    "SELECT component, max(version) AS version FROM heddle_migrations GROUP BY component",
  );
  return new Map(select.all().map(({ component, version }) => [component, version]));
}

function storedVersion(db: Database, component: string): number {
  return storedVersions(db).get(component) ?? 0;
}

function newer(path: string, component: string, found: number, supported: number): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message:
      `${path} was written by a newer Heddle: its "${component}" tables have version ${found}, this one knows ${supported}. ` +
      `Upgrade heddle, or use another file.`,
    details: { component, found, supported },
  });
}
