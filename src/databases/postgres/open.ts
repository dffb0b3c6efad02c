import type { Pool, PoolClient, PoolConfig } from "pg";
import type { DriverContext } from "../../core/driver.js";
import { describePostgresUri, postgresUri } from "./uri.js";
import { isConnectionLost, isNotSent, storageUnavailable } from "./failures.js";
import { createListener, type PostgresListener } from "./listener.js";

/** A statement with a name of its own, prepared once per connection. */
export interface Statement {
  /** Unique per text in the process. `""`: not prepared. */
  readonly name: string;
  readonly text: string;
  /**
   * Carrying it out twice is the same as once. Then it is repeated after a connection was lost in the middle of it; others
   * only when it never reached the server. Default false.
   */
  readonly idempotent?: boolean;
}

/** Parameters; as a function they may differ when the statement is repeated although it may have been carried out. */
export type StatementValues = readonly unknown[] | ((again: boolean) => readonly unknown[]);

export type SqlRow = Readonly<Record<string, unknown>>;

/** Somewhere statements can be sent: the pool, or the connection of one transaction. */
export interface SqlClient {
  query<Row extends SqlRow = SqlRow>(statement: Statement, values?: StatementValues): Promise<readonly Row[]>;
}

/**
 * An open Postgres database. Everyone who got it from {@link openPostgres} closes it once; the last one ends the pool.
 * While the server restarts, statements wait for it (up to 20 s) instead of failing.
 */
export interface PostgresDatabase extends SqlClient {
  /** For libraries that bring their own statements. Has an error handler. */
  readonly pool: Pool;
  readonly uri: string;
  /** For LISTEN and session locks. */
  readonly directUri: string;
  /** Without user and password, for messages. */
  readonly name: string;
  /** Whether another driver of this application has the same database open. */
  isShared(): boolean;
  /**
   * BEGIN, `work`, COMMIT on one connection; ROLLBACK when it throws. Repeated as a whole when its connection could not be had,
   * and after a deadlock or serialization failure (40P01, 40001).
   */
  transaction<T>(work: (client: SqlClient) => Promise<T>): Promise<T>;
  /** The one connection of this application that listens. Opened on first use. */
  listener(): PostgresListener;
  close(): Promise<void>;
}

/** How long a statement waits for its answer. A half-open connection is noticed by it. */
const QUERY_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Together: how long a restart of the server may take. */
const WAIT_MS = 20_000;
const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;
/** Deadlocks are repeated this often. */
const MAX_CONFLICTS = 10;

interface Shared {
  readonly database: Omit<PostgresDatabase, "isShared">;
  users: number;
}

/**
 * Open a Postgres database by URI. Pass a driver's context as it is: with `shared` all drivers of one application get the
 * same pool.
 * @param uri `postgres://…` or `postgresql://…` as libpq takes it; `?options=-csearch_path%3Dname` chooses a schema
 * @throws HeddleError `STORAGE_UNAVAILABLE` when nobody answers or the server refuses
 */
export async function openPostgres(uri: string, context: DriverContext): Promise<PostgresDatabase> {
  const key = `postgres:${uri}`;
  const existing = context.shared?.get(key) as Promise<Shared> | undefined;
  const opening = existing ?? connect(uri, context).then((database) => ({ database, users: 0 }));
  if (existing === undefined) context.shared?.set(key, opening);
  let shared: Shared;
  try {
    shared = await opening;
  } catch (error) {
    context.shared?.delete(key);
    throw error;
  }
  shared.users += 1;
  let open = true;
  return {
    ...shared.database,
    isShared: () => shared.users > 1,
    async close() {
      if (!open) return;
      open = false;
      shared.users -= 1;
      if (shared.users > 0) return;
      context.shared?.delete(key);
      await shared.database.close();
    },
  };
}

async function connect(uri: string, context: DriverContext): Promise<Omit<PostgresDatabase, "isShared">> {
  const [{ default: pg }, connectionString] = [await import("pg"), postgresUri(uri)];
  const { maxConnections = 10, directUri = uri, logger } = context;
  const config: PoolConfig = {
    connectionString,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    application_name: "heddle",
    allowExitOnIdle: true,
    // Whole numbers beyond 2^53 do not occur: times, counters.
    types: {
      getTypeParser: (id, format) =>
        Number(id) === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(id, format),
    },
  };
  const pool = new pg.Pool(config);
  const name = describePostgresUri(uri);
  // Without a listener the error of an idle connection ends the process (design §7.12).
  pool.on("error", (error) => logger?.warn({ err: error, database: name }, "An idle database connection was lost"));
  // A checked-out connection emits as well; whoever uses it gets the error from its query.
  pool.on("connect", (client) => client.on("error", () => undefined));
  let listener: PostgresListener | undefined;
  let closed = false;

  const run = async <T>(work: (client: PoolClient, again: boolean) => Promise<T>, mayRepeat: boolean): Promise<T> => {
    const deadline = Date.now() + WAIT_MS;
    let conflicts = 0;
    let again = false;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      let client: PoolClient | undefined;
      try {
        client = await pool.connect();
        const result = await work(client, again);
        client.release();
        return result;
      } catch (error) {
        const isLost = client === undefined || isConnectionLost(error);
        client?.release(isLost);
        again ||= isLost && client !== undefined && !isNotSent(error);
        const isConflict = isSqlState(error, "40P01", "40001") && ++conflicts <= MAX_CONFLICTS;
        const isRepeatable = isConflict || isNotSent(error) || (isLost && (client === undefined || mayRepeat));
        if (closed || !isRepeatable || Date.now() >= deadline) throw storageUnavailable(error, name);
        await pause(isConflict ? Math.random() * FIRST_PAUSE_MS : pauseMs);
      }
    }
  };

  const database: Omit<PostgresDatabase, "isShared"> = {
    pool,
    uri,
    directUri,
    name,
    query: (statement, values = []) =>
      run((client, again) => send(client, statement, values, again), statement.idempotent === true),
    transaction: (work) =>
      run(async (client) => {
        await client.query("BEGIN");
        try {
          const result = await work({ query: (statement, values = []) => send(client, statement, values) });
          await client.query("COMMIT");
          return result;
        } catch (error) {
          await client.query("ROLLBACK").catch(() => undefined);
          throw error;
        }
      }, false),
    listener: () =>
      (listener ??= createListener({ pg, connectionString: postgresUri(directUri), name, ...(logger && { logger }) })),
    async close() {
      closed = true;
      await listener?.close();
      await pool.end();
    },
  };
  try {
    await database.query({ name: "heddle_hello", text: "SELECT 1", idempotent: true });
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

async function send<Row extends SqlRow>(
  client: PoolClient,
  { name, text }: Statement,
  given: StatementValues,
  again = false,
): Promise<readonly Row[]> {
  const values = typeof given === "function" ? given(again) : given;
  // Without parameters and name it is a simple query, which may hold several statements.
  const result =
    name === "" && values.length === 0
      ? await client.query<Row>(text)
      : await client.query<Row>({ ...(name !== "" && { name }), text, values: [...values] });
  return result.rows;
}

export function isSqlState(error: unknown, ...states: readonly string[]): boolean {
  return error instanceof Error && "code" in error && states.includes(String(error.code));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
