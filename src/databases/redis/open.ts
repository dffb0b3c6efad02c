import type { Redis, RedisOptions } from "ioredis";
import type { DriverContext } from "../../core/driver.js";
import type { HeddleError } from "../../core/errors.js";
import { openShared } from "../shared.js";
import { redisUnavailable } from "./failures.js";
import { Outage } from "./outage.js";
import { createSubscriber, type RedisSubscriber } from "./subscriber.js";
import { redisUri } from "./uri.js";

/** How long a command waits for its answer; while Redis is known to be away it fails at once. */
const COMMAND_TIMEOUT_MS = 3_000;
const CONNECT_TIMEOUT_MS = 5_000;
const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 1_000;

/**
 * Redis, as several drivers of one application share it. Whoever got it from {@link openRedis} closes it once. Connections come
 * back by themselves; no command waits longer than a few seconds, because nothing in Redis is worth waiting for.
 */
export interface RedisDatabase {
  /** For commands. */
  readonly client: Redis;
  readonly subscriber: RedisSubscriber;
  /** Of all keys and channels. */
  readonly prefix: string;
  /** `host:port/db`, for messages. */
  readonly name: string;
  /** Whoever notices that Redis is away says so here. */
  readonly outage: Outage;
  /** Another connection like the one for commands. The caller disconnects it. */
  connection(options: RedisOptions): Redis;
  close(): Promise<void>;
}

/** What Redis says to a wrong password, user or database: no waiting helps. */
const REFUSAL = /^(WRONGPASS|NOAUTH|NOPERM|ERR) /;

/**
 * Open a Redis by URI (see `redisUri`). Pass a driver's context as it is: with `shared` all drivers of one application get the
 * same two connections.
 * @param options.mayBeAway for what can do without Redis: when nobody answers that is said in the log, and the connections come
 *   when Redis does. Default false.
 * @throws HeddleError `CONFIG_INVALID` for a bad URI, `STORAGE_UNAVAILABLE` when Redis refuses, or nobody answers within 5 s
 */
export async function openRedis(
  uri: string,
  context: DriverContext,
  options: { readonly mayBeAway?: boolean } = {},
): Promise<RedisDatabase> {
  const shared = await openShared({ key: `redis:${uri}`, context, connect: () => connect(uri, context) });
  const { failure, ...database } = shared.database;
  if (failure !== null && options.mayBeAway !== true && database.client.status !== "ready") {
    await shared.close();
    throw failure;
  }
  return { ...database, close: shared.close };
}

/**
 * For every connection with a `socketTimeout`: ioredis 5.11.1 (`Redis.setSocketTimeout`) leaves its timer running when the connection
 * closes. A process that has ended would stay for as long, and the next connection would be closed by it.
 */
export function endSocketTimeout(client: Redis): void {
  client.on("close", () => {
    clearTimeout(client["socketTimeoutTimer"] as NodeJS.Timeout | undefined);
    client["socketTimeoutTimer"] = undefined;
  });
}

/** `failure`: nobody answered when it was opened. */
type Connected = RedisDatabase & { readonly failure: HeddleError | null };

async function connect(uri: string, context: DriverContext): Promise<Connected> {
  const { url, prefix, name } = redisUri(uri);
  const { Redis: RedisClient } = await import("ioredis");
  const outage = new Outage(name, context.logger);
  // A connection that was refused only says that it was closed.
  let refusal: Error | null = null;
  const connection = (options: RedisOptions): Redis => {
    const client = new RedisClient(url, {
      lazyConnect: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      // A half-open connection is closed, and opened again.
      socketTimeout: COMMAND_TIMEOUT_MS,
      keepAlive: 10_000,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      connectionName: "heddle",
      retryStrategy: (times) => Math.min(FIRST_PAUSE_MS * 2 ** Math.min(times, 10), MAX_PAUSE_MS),
      // After a failover the old primary answers so: ask the name again.
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
      ...options,
    });
    // Without a listener an error event ends the process (or is written to the console by ioredis).
    client.on("error", (error) => {
      if (REFUSAL.test(error.message)) refusal = error;
      outage.failed(error);
    });
    endSocketTimeout(client);
    return client;
  };
  const client = connection({});
  const listening = connection({ autoResubscribe: false, connectionName: "heddle-listen" });
  const failure = await Promise.all([client.connect(), listening.connect()])
    .then(() => client.ping())
    .then(
      () => null,
      (error: unknown) => redisUnavailable(refusal ?? error, name),
    );
  if (refusal !== null && failure !== null) {
    outage.end();
    client.disconnect();
    listening.disconnect();
    throw failure;
  }
  if (failure !== null) outage.failed(failure);
  client.on("ready", () => outage.recovered());
  // A server that stops in good order is no error to ioredis.
  client.on("close", () => outage.failed(new Error("The connection was closed")));
  const subscriber = createSubscriber(listening, (error) => outage.failed(error));
  return {
    client,
    subscriber,
    prefix,
    name,
    outage,
    connection,
    failure,
    async close() {
      outage.end();
      subscriber.close();
      // Nothing is waited for: QUIT on a half-open connection would take its time.
      client.disconnect();
      listening.disconnect();
    },
  };
}
