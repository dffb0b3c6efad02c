import type { Pool, PoolClient, PoolConfig } from "pg";
import type pgModule from "pg";
import type { DriverContext } from "../../core/driver.js";
import { HeddleError } from "../../core/errors.js";
import { openShared } from "../shared.js";
import { createAttempts, NotBegun, type Patience, PATIENCE } from "./attempts.js";
import { isConnectionLost, refused } from "./failures.js";
import { createListener, type PostgresListener } from "./listener.js";
import { describePostgresUri, postgresUri } from "./uri.js";

export { isSqlState } from "./failures.js";

/** A statement with a name of its own, prepared once per connection; where a pooler does not carry that, sent as text. */
export interface Statement {
  /** Unique per text in the process. `""`: not prepared. */
  readonly name: string;
  readonly text: string;
  /**
   * Carrying it out twice is the same as once. Then it is repeated after a connection was lost in the middle of it; others
   * only when it never reached the server. Default false.
   */
  readonly idempotent?: boolean;
  /** How long it waits for its answer. Default 15,000. */
  readonly timeoutMs?: number;
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
  /** False once a pooler was seen to lose prepared statements: they are sent as text since. */
  preparesStatements(): boolean;
  /**
   * BEGIN, `work`, COMMIT on one connection; ROLLBACK when it throws. Repeated as a whole when its connection could not be had
   * or was dead before, and after a deadlock or serialization failure (40P01, 40001).
   */
  transaction<T>(work: (client: SqlClient) => Promise<T>): Promise<T>;
  /** The one connection of this application that listens. Opened on first use. */
  listener(): PostgresListener;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** How long a transaction may keep the server waiting for its next statement: then it is rolled back. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** Closed connections are taken at their word after this. */
const CLOSE_TIMEOUT_MS = 5_000;

/**
 * Open a Postgres database by URI. Pass a driver's context as it is: with `shared` all drivers of one application get the
 * same pool.
 * @param uri `postgres://…` or `postgresql://…` as libpq takes it; `?options=-csearch_path%3Dname` chooses a schema
 * @param patience for tests
 * @throws HeddleError `STORAGE_UNAVAILABLE` when nobody answers or the server refuses, `CONFIG_INVALID` for what is no URI
 */
export async function openPostgres(
  uri: string,
  context: DriverContext,
  patience: Patience = PATIENCE,
): Promise<PostgresDatabase> {
  const key = `postgres:${uri}`;
  const shared = await openShared({ key, context, connect: () => connect(uri, context, patience) });
  return { ...shared.database, isShared: shared.isShared, close: shared.close };
}

async function connect(
  uri: string,
  context: DriverContext,
  { waitMs, queryTimeoutMs }: Patience,
): Promise<Omit<PostgresDatabase, "isShared">> {
  const { maxConnections = 10, directUri = uri, logger } = context;
  const { default: pg } = await import("pg");
  const [connectionString, directConnectionString] = [readableUri(pg, uri), readableUri(pg, directUri)];
  const { INT8 } = pg.types.builtins;
  const config: PoolConfig = {
    connectionString,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: "heddle",
    allowExitOnIdle: true,
    types: {
      // Whole numbers beyond 2^53 do not occur: times, counters.
      getTypeParser: (id, format) =>
        id === INT8 ? Number : (pg.types.getTypeParser(id, format) as (value: string) => unknown),
    },
  };
  const pool = new pg.Pool(config);
  const name = describePostgresUri(uri);
  // Without a listener the error of an idle connection ends the process (design §7.12).
  pool.on("error", (error) => logger?.warn({ err: error, database: name }, "An idle database connection was lost"));
  let isPrepared = true;
  const onNotCarried = (): void => {
    if (!isPrepared) return;
    isPrepared = false;
    logger?.warn(
      { database: name },
      "A pooler does not carry prepared statements: they are sent as text, which is slower",
    );
  };
  const attempts = createAttempts({ pool, name, waitMs, onNotCarried });
  const named = (statement: Statement): Statement => (isPrepared ? statement : { ...statement, name: "" });
  let listener: PostgresListener | undefined;

  const database: Omit<PostgresDatabase, "isShared"> = {
    pool,
    uri,
    directUri,
    name,
    query: (statement, values = []) =>
      attempts.run((client, again) => send(client, named(statement), values, again), statement.idempotent === true),
    transaction: (work) => attempts.run((client) => inTransaction(client, work, named), false),
    preparesStatements: () => isPrepared,
    listener: () =>
      (listener ??= createListener({ pg, connectionString: directConnectionString, name, ...(logger && { logger }) })),
    async close() {
      attempts.close();
      await listener?.close();
      await Promise.race([pool.end(), timeout(CLOSE_TIMEOUT_MS)]);
    },
  };
  try {
    await database.query({ name: "heddle_hello", text: "SELECT 1", idempotent: true });
  } catch (error) {
    await database.close();
    throw refused(error, name);
  }
  return database;
}

/** @throws HeddleError `CONFIG_INVALID` for what `pg` cannot read: it would say so with the first connection */
function readableUri(pg: typeof pgModule, uri: string): string {
  const connectionString = postgresUri(uri);
  try {
    void new pg.Client({ connectionString });
    return connectionString;
  } catch (error) {
    throw new HeddleError("CONFIG_INVALID", {
      message: `The Postgres URI for ${describePostgresUri(uri)} cannot be read: ${error instanceof Error ? error.message : ""}`,
      cause: error,
    });
  }
}

async function inTransaction<T>(
  client: PoolClient,
  work: (client: SqlClient) => Promise<T>,
  named: (statement: Statement) => Statement,
): Promise<T> {
  try {
    // One round trip. Whoever is paused or cut off between two statements would keep his locks from everybody else.
    await client.query(`BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS}`);
  } catch (error) {
    throw isConnectionLost(error) ? new NotBegun("BEGIN", { cause: error }) : error;
  }
  try {
    const result = await work({ query: (statement, values = []) => send(client, named(statement), values) });
    await client.query("COMMIT");
    return result;
  } catch (error) {
    if (!isConnectionLost(error)) await client.query("ROLLBACK");
    throw error;
  }
}

async function send<Row extends SqlRow>(
  client: PoolClient,
  { name, text, timeoutMs }: Statement,
  given: StatementValues,
  again = false,
): Promise<readonly Row[]> {
  const values = typeof given === "function" ? given(again) : given;
  // Without parameters and name it is a simple query, which may hold several statements.
  const isSimple = name === "" && values.length === 0;
  const result = await client.query<Row>({
    text,
    ...(name !== "" && { name }),
    ...(!isSimple && { values: [...values] }),
    ...(timeoutMs !== undefined && { query_timeout: timeoutMs }),
  });
  return result.rows;
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
