import type { StoreClock } from "../../core/clock.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import { fromText } from "../../databases/postgres/storable.js";
import { beingRemoved } from "../run-rules.js";
import type { PostgresDatabase, SqlRow, Statement, StatementValues } from "../../databases/postgres/open.js";

/** What the parts of a Postgres store work with. */
export interface Session {
  /** A test's time; `null`: the database's own. The first parameter of every statement that has a time. */
  now(): number | null;
  /** As the database's; what Postgres refuses becomes `STORAGE_UNAVAILABLE`. */
  query<Row extends SqlRow = SqlRow>(statement: Statement, values?: StatementValues): Promise<readonly Row[]>;
}

export function createSession(database: PostgresDatabase, clock: StoreClock | undefined): Session {
  return {
    now: () => clock?.now() ?? null,
    async query<Row extends SqlRow>(statement: Statement, values?: StatementValues) {
      try {
        return await database.query<Row>(statement, values);
      } catch (error) {
        throw storageError(error, database.name);
      }
    },
  };
}

/** Raised by `heddle_refuse_removed_thread`, with the thread's id as its message. */
const BEING_REMOVED = "HDRMV";

function storageError(error: unknown, name: string): unknown {
  if (isHeddleError(error) || !(error instanceof Error) || !("code" in error)) return error;
  if (error.code === BEING_REMOVED) return beingRemoved(fromText(error.message));
  // Class 54, program limit exceeded: nested too deeply, too large. It will not be otherwise next time.
  if (String(error.code).startsWith("54")) {
    return new HeddleError("INVALID_REQUEST", {
      message: `Postgres cannot hold this value: ${error.message}`,
      cause: error,
    });
  }
  return new HeddleError("STORAGE_UNAVAILABLE", { message: `Postgres ${name}: ${error.message}`, cause: error });
}
