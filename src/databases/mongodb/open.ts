import type { Db, Document, MongoClient, MongoClientOptions } from "mongodb";
import type { DriverContext } from "../../core/driver.js";
import type { EpochMs } from "../../core/json.js";
import { openShared } from "../shared.js";
import { isConnectionLost, isNotSent, storageUnavailable } from "./failures.js";
import { createServerTime, type ServerTime } from "./server-time.js";
import { parseMongoUri, type MongoUri } from "./uri.js";

/**
 * An open MongoDB database. Everyone who got it from {@link openMongo} closes it once; the last one ends the pool.
 * Nothing here uses transactions or change streams.
 */
export interface MongoDatabase {
  /** For libraries that bring their own operations. */
  readonly client: MongoClient;
  /** The database that the URI names. Properties that are `undefined` are left out of documents. */
  readonly db: Db;
  readonly uri: string;
  /** Without user and password, for messages. */
  readonly name: string;
  /** How many bytes a document has in BSON. */
  documentBytes(document: Document): number;
  /** The server's clock; the test's, where it opened this with one ({@link DriverContext}). */
  serverNow(): EpochMs;
  /** Ask the server for its clock: of `heddle doctor`. */
  measureClock: ServerTime["measure"];
  /**
   * Run `work`, again while the server is away.
   * @param options.waitMs for how long it is tried again. 0: not at all. Default 20,000.
   * @param options.idempotent false: carrying it out twice is not the same as once; then it is repeated only when it reached no
   *   server. Default true.
   * @throws HeddleError `STORAGE_UNAVAILABLE` when the server stays away; other errors as they are
   */
  retrying<T>(
    work: () => Promise<T>,
    options?: { readonly idempotent?: boolean; readonly waitMs?: number },
  ): Promise<T>;
  close(): Promise<void>;
}

/** How long an operation waits for its answer. A half-open connection is noticed by it. */
const SOCKET_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Together: how long a restart of the server, or the election of a primary, may take. */
const WAIT_MS = 20_000;
const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;

/**
 * Open a MongoDB database by URI. Pass a driver's context as it is: with `shared` all drivers of one application get the
 * same pool. What the URI sets goes before the time-outs and write concern used here.
 * @param uri `mongodb://…/database` or `mongodb+srv://…/database`
 * @throws HeddleError `CONFIG_INVALID` for a URI without a database; `STORAGE_UNAVAILABLE` when nobody answers
 */
export async function openMongo(uri: string, context: DriverContext): Promise<MongoDatabase> {
  const shared = await openShared({ key: `mongodb:${uri}`, context, connect: () => connect(uri, context) });
  const { clock } = context;
  return { ...shared.database, ...(clock && { serverNow: () => clock.now() }), close: shared.close };
}

async function connect(uri: string, context: DriverContext): Promise<MongoDatabase> {
  const parsed = parseMongoUri(uri);
  const { BSON, MongoClient } = await import("mongodb");
  const { maxConnections = 10, logger } = context;
  const client = new MongoClient(uri, clientOptions(parsed, maxConnections));
  const { name } = parsed;
  client.on("connectionPoolCleared", () => logger?.warn({ database: name }, "The connections to MongoDB were lost"));
  const db = client.db(parsed.database, { ignoreUndefined: true });
  const time = createServerTime(db);
  let closed = false;

  const retrying: MongoDatabase["retrying"] = async (work, options) => {
    const deadline = performance.now() + (options?.waitMs ?? WAIT_MS);
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      try {
        return await work();
      } catch (error) {
        const isRepeatable = isNotSent(error) || (options?.idempotent !== false && isConnectionLost(error));
        if (closed || !isRepeatable || performance.now() >= deadline) throw storageUnavailable(error, name);
        await pause(pauseMs);
      }
    }
  };

  const database: MongoDatabase = {
    client,
    db,
    uri,
    name,
    documentBytes: (document) => BSON.calculateObjectSize(document, { ignoreUndefined: true }),
    serverNow: () => time.now(),
    measureClock: () => retrying(() => time.measure()),
    retrying,
    async close() {
      if (closed) return;
      closed = true;
      await client.close();
    },
  };
  try {
    await retrying(async () => {
      await client.connect();
      // The first answer pays for the connection, so it does not tell the time.
      await db.command({ ping: 1 });
      await time.measure();
    });
  } catch (error) {
    await database.close().catch(() => undefined);
    throw error;
  }
  return database;
}

function clientOptions(uri: MongoUri, maxPoolSize: number): MongoClientOptions {
  const unlessSet = <T extends object>(names: readonly string[], options: T): T | object =>
    names.some((name) => uri.options.has(name)) ? {} : options;
  return {
    ...unlessSet(["appname"], { appName: "heddle" }),
    ...unlessSet(["maxpoolsize"], { maxPoolSize }),
    ...unlessSet(["serverselectiontimeoutms"], { serverSelectionTimeoutMS: CONNECT_TIMEOUT_MS }),
    ...unlessSet(["connecttimeoutms"], { connectTimeoutMS: CONNECT_TIMEOUT_MS }),
    ...unlessSet(["sockettimeoutms"], { socketTimeoutMS: SOCKET_TIMEOUT_MS }),
    ...unlessSet(["waitqueuetimeoutms"], { waitQueueTimeoutMS: WAIT_MS }),
    // What was acknowledged survives the loss of a server, and `kill -9` of the only one.
    ...unlessSet(["w", "journal"], { writeConcern: { w: "majority", journal: true } }),
    // A lease read from a secondary may be an old one.
    readPreference: "primary",
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
