import type { Database, Statement } from "better-sqlite3";
import type { StoreClock } from "../../core/clock.js";
import { HeddleError } from "../../core/errors.js";

/** What the parts of a SQLite store work with: the connection, its prepared statements, its clock. */
export interface Session {
  readonly clock: StoreClock;
  /** A statement, prepared once. */
  sql<Row = unknown>(text: string): Statement<unknown[], Row>;
  /** Run a step, as a promise. What SQLite throws becomes `STORAGE_UNAVAILABLE`. */
  read<T>(step: () => T): Promise<T>;
  /** Run a step in a transaction that has the write lock from its start. */
  write<T>(step: () => T): Promise<T>;
}

export function createSession(db: Database, clock: StoreClock): Session {
  const statements = new Map<string, Statement<unknown[], unknown>>();
  const inTransaction = db.transaction((step: () => unknown) => step()).immediate as <T>(step: () => T) => T;
  return {
    clock,
    sql<Row>(text: string) {
      const known = statements.get(text) ?? db.prepare<unknown[], unknown>(text);
      statements.set(text, known);
      return known as Statement<unknown[], Row>;
    },
    async read(step) {
      return guarded(step);
    },
    async write(step) {
      return guarded(() => inTransaction(step));
    },
  };
}

/** @throws HeddleError `STORAGE_UNAVAILABLE` in place of what better-sqlite3 throws */
export function guarded<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!isSqliteFailure(error)) throw error;
    throw new HeddleError("STORAGE_UNAVAILABLE", { message: `SQLite: ${error.message}`, cause: error });
  }
}

function isSqliteFailure(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if ("code" in error && typeof error.code === "string" && error.code.startsWith("SQLITE_")) return true;
  return error instanceof TypeError && error.message === "The database connection is not open";
}
