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
  /**
   * Run a step that sees and leaves consistent rows, or fails without a trace. Resolves when it is committed. Steps that
   * are asked for in the same turn of the event loop share one transaction, because most of a small one's time is its
   * commit.
   */
  write<T>(step: () => T): Promise<T>;
  /** Commit what waits. */
  flush(): void;
}

interface Waiting {
  readonly step: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export function createSession(db: Database, clock: StoreClock): Session {
  const statements = new Map<string, Statement<unknown[], unknown>>();
  let waiting: Waiting[] = [];

  // Called within a transaction this is a savepoint: one failing step does not undo the others.
  const alone = db.transaction((step: () => unknown) => step());
  const together = db.transaction((batch: readonly Waiting[]) =>
    batch.map(({ step, resolve, reject }) => {
      try {
        const result = alone(step);
        return () => resolve(result);
      } catch (error) {
        // A full disk, for one, ends the whole transaction.
        if (!db.inTransaction) throw error;
        return () => reject(storageError(error));
      }
    }),
  );

  const flush = (): void => {
    const batch = waiting;
    waiting = [];
    try {
      const [only] = batch;
      if (only !== undefined && batch.length === 1) only.resolve(alone.immediate(only.step));
      else if (only !== undefined) for (const settle of together.immediate(batch)) settle();
    } catch (error) {
      for (const { reject } of batch) reject(storageError(error));
    }
  };

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
    write: <T>(step: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (waiting.length === 0) setImmediate(flush);
        waiting.push({ step, resolve: (result) => resolve(result as T), reject });
      }),
    flush,
  };
}

/** @throws HeddleError `STORAGE_UNAVAILABLE` in place of what better-sqlite3 throws */
export function guarded<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw storageError(error);
  }
}

/** What better-sqlite3 threw as `STORAGE_UNAVAILABLE`; anything else as it is. */
function storageError(error: unknown): unknown {
  if (!isSqliteFailure(error)) return error;
  return new HeddleError("STORAGE_UNAVAILABLE", { message: `SQLite: ${error.message}`, cause: error });
}

function isSqliteFailure(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if ("code" in error && typeof error.code === "string" && error.code.startsWith("SQLITE_")) return true;
  return error instanceof TypeError && error.message === "The database connection is not open";
}
