import type { Logger } from "../../core/logger.js";
import type { PostgresDatabase, SqlRow, Statement } from "./open.js";

/** The extension pgvector, as a database has it. */
export interface Pgvector {
  /** Quoted: types and operators are named with it, since the search path need not have it. */
  readonly schema: string;
  /** Since 0.8 an index scan goes on until enough rows pass the other conditions. */
  readonly scansOn: boolean;
}

/**
 * The database's pgvector, made if the server has it and the user may.
 * @returns `null` without; the logger is told why when it is there and cannot be made
 */
export async function openPgvector(
  database: PostgresDatabase,
  logger?: Pick<Logger, "info" | "warn">,
): Promise<Pgvector | null> {
  const found = await findPgvector(database);
  if (found !== null) return found;
  const available = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'";
  if ((await database.query(statement(available))).length === 0) return null;
  try {
    await database.query(statement("CREATE EXTENSION IF NOT EXISTS vector"));
  } catch (error) {
    // Two that create it at the same time: one fails, and it is there.
    const made = await findPgvector(database);
    if (made === null) {
      logger?.warn(
        { err: error, database: database.name },
        "pgvector is on this server, and this user may not create it: vectors are compared one by one. Run CREATE EXTENSION vector.",
      );
    }
    return made;
  }
  return findPgvector(database);
}

async function findPgvector(database: PostgresDatabase): Promise<Pgvector | null> {
  const [found] = await database.query<SqlRow & { schema: string; version: string }>(
    statement(`SELECT quote_ident(n.nspname) AS schema, e.extversion AS version
      FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'`),
  );
  if (found === undefined) return null;
  const [major = 0, minor = 0] = found.version.split(".").map(Number);
  return { schema: found.schema, scansOn: major > 0 || minor >= 8 };
}

function statement(text: string): Statement {
  return { name: "", idempotent: true, text };
}
