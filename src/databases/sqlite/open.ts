import type { Database, Options } from "better-sqlite3";
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { DriverContext } from "../../core/driver.js";
import { HeddleError } from "../../core/errors.js";
import { MEMORY, sqlitePath } from "./uri.js";

/** Oldest Node that better-sqlite3 13 runs on: below, its prebuilt binary crashes the process when it is loaded. */
const MIN_NODE_MAJOR = 22;

/** How long a statement waits for another process's write transaction. It blocks the event loop meanwhile. */
const BUSY_TIMEOUT_MS = 5_000;

/** How long to pause before asking for the write-ahead log again, while the file is being made. */
const WAL_RETRY_MS = 10;

/** An open database. Everyone who got it from {@link openSqlite} closes it once; the last one closes the file. */
export interface SqliteDatabase {
  readonly db: Database;
  /** Absolute path, or `:memory:`. */
  readonly path: string;
  /** Whether another driver of this application has the same database open. */
  isShared(): boolean;
  close(): void;
}

interface Shared {
  readonly db: Database;
  users: number;
}

/**
 * Open a SQLite database: WAL, `synchronous = NORMAL`, foreign keys on, 5 s busy timeout. Missing folders are made.
 * Pass a driver's context as it is: with `shared` the drivers of one application get the same connection, also for
 * `sqlite::memory:`, so that one transaction can span metadata, items, events and checkpoints; without it each call
 * opens its own.
 * @param uri `sqlite:./file.db` (relative to `cwd`), `sqlite:///absolute/file.db`, `sqlite::memory:` or `sqlite:`
 * @throws HeddleError `CONFIG_INVALID` for a bad URI, `STORAGE_UNAVAILABLE` when Node is too old or the file can't be opened.
 */
export async function openSqlite(uri: string, context: DriverContext): Promise<SqliteDatabase> {
  const path = sqlitePath(uri, context.cwd);
  assertNodeVersion(process.versions.node);
  const { default: Sqlite } = await import("better-sqlite3");
  const key = `sqlite:${path}`;
  const existing = context.shared?.get(key) as Shared | undefined;
  const shared = existing ?? { db: connect(Sqlite, path), users: 0 };
  shared.users += 1;
  context.shared?.set(key, shared);
  let open = true;
  return {
    db: shared.db,
    path,
    isShared: () => shared.users > 1,
    close() {
      if (!open) return;
      open = false;
      shared.users -= 1;
      if (shared.users > 0) return;
      context.shared?.delete(key);
      shared.db.close();
    },
  };
}

/**
 * Look into a SQLite database without changing it.
 * @returns `null` when there is no such file, or when it lives in memory
 * @throws HeddleError as {@link openSqlite}
 */
export async function lookIntoSqlite<T>(uri: string, cwd: string, look: (db: Database) => T): Promise<T | null> {
  const path = sqlitePath(uri, cwd);
  if (path === MEMORY || !existsSync(path)) return null;
  assertNodeVersion(process.versions.node);
  const { default: Sqlite } = await import("better-sqlite3");
  let db: Database | undefined;
  try {
    db = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    return look(db);
  } catch (error) {
    throw cantOpen(path, error);
  } finally {
    db?.close();
  }
}

/**
 * Refuse a Node on which loading better-sqlite3 would end the process.
 * @param version as in `process.versions.node`
 * @throws HeddleError `STORAGE_UNAVAILABLE`
 */
export function assertNodeVersion(version: string): void {
  if (Number.parseInt(version, 10) >= MIN_NODE_MAJOR) return;
  throw new HeddleError("STORAGE_UNAVAILABLE", {
    message: `SQLite storage needs Node ${MIN_NODE_MAJOR} or newer (better-sqlite3 13); this is Node ${version}.`,
  });
}

function connect(Sqlite: new (path: string, options?: Options) => Database, path: string): Database {
  let db: Database | undefined;
  try {
    if (path !== MEMORY) mkdirSync(dirname(path), { recursive: true });
    db = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
    const journal = useWal(db);
    // A file system without shared memory keeps the rollback journal, where NORMAL could corrupt on power loss.
    db.pragma(`synchronous = ${journal === "wal" || journal === "memory" ? "NORMAL" : "FULL"}`);
    db.pragma("foreign_keys = ON");
    db.pragma("temp_store = MEMORY");
    db.pragma("cache_size = -32000");
    return db;
  } catch (error) {
    db?.close();
    throw cantOpen(path, error);
  }
}

function cantOpen(path: string, error: unknown): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The SQLite database ${path} can't be opened: ${error instanceof Error ? error.message : String(error)}`,
    details: { path },
    cause: error,
  });
}

/**
 * Switch to the write-ahead log. SQLite does not wait for another process that does the same (its busy handler is not
 * called while a read lock is upgraded), so processes that make a file together are told SQLITE_BUSY at once.
 * @returns the journal mode that the file has now
 */
function useWal(db: Database): unknown {
  const deadline = Date.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      return db.pragma("journal_mode = WAL", { simple: true });
    } catch (error) {
      const busy = error instanceof Error && "code" in error && error.code === "SQLITE_BUSY";
      if (!busy || Date.now() >= deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_RETRY_MS);
    }
  }
}
