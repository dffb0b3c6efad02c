import type { RunnableConfig } from "@langchain/core/runnables";
import type { CheckpointListOptions, CheckpointMetadata, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import { RedisSaver, type RedisClientType } from "@langchain/langgraph-checkpoint-redis";
import { createRequire } from "node:module";
import type { Checkpointer } from "../core/checkpointer.js";
import type { DriverContext } from "../core/driver.js";
import { HeddleError } from "../core/errors.js";
import { openRedis } from "../databases/redis/open.js";
import { redisUri } from "../databases/redis/uri.js";
import { adoptSaver, MAX_CHECKPOINTS } from "./adopt.js";

/** Commands of RedisJSON and RediSearch that RedisSaver sends. */
const COMMANDS = { RedisJSON: ["JSON.SET", "JSON.GET"], RediSearch: ["FT.CREATE", "FT.SEARCH"] } as const;

const CONNECT_TIMEOUT_MS = 5_000;
const MAX_PAUSE_MS = 1_000;

/**
 * Open the Redis checkpointer: LangGraph's own `RedisSaver` (@langchain/langgraph-checkpoint-redis 1.0.11), on a Redis that has
 * RedisJSON and RediSearch, which are part of Redis 8 and of Redis Stack. What it cannot do stays so:
 * - values are plain JSON: bytes, Maps, Sets and `undefined` don't come back as they were, task paths are not kept;
 * - a fork that repeats a channel's version overwrites the value of the other one, and ids may not hold `* ? [ ] \`;
 * - it looks for checkpoints with `KEYS`, which reads all names of the Redis: give it one of its own;
 * - a run is rolled back only when it is the thread's only one; a thread is copied checkpoint by checkpoint;
 * - single checkpoints can't be removed: threads expire by `delete`, are pruned not at all, and nobody says what they take;
 * - nothing expires by itself, and what is durable depends on the Redis (`appendonly`).
 * Postgres, MongoDB and SQLite have none of these limits.
 * @param uri as `redisUri` takes it; database 0, because RediSearch indexes no other
 * @throws HeddleError `CONFIG_INVALID` when the server lacks a module, `STORAGE_UNAVAILABLE`
 */
export async function openRedisCheckpointer(uri: string, context: DriverContext): Promise<Checkpointer> {
  const { url, name } = redisUri(uri);
  await assertModules(uri, context);
  const client = await connect(url, name, context);
  try {
    const saver = new HeddleRedisSaver(client);
    return {
      ...adoptSaver(saver, { durable: true, ...(context.cipher !== undefined && { cipher: context.cipher }) }),
      close: async () => {
        await client.disconnect();
      },
    };
  } catch (error) {
    await client.disconnect();
    throw error;
  }
}

class HeddleRedisSaver extends RedisSaver {
  /** Upstream gives ten checkpoints when no limit is asked for, and all for 0. */
  override async *list(
    config: RunnableConfig | null,
    options: CheckpointListOptions & { filter?: CheckpointMetadata } = {},
  ): AsyncGenerator<CheckpointTuple> {
    const { limit = MAX_CHECKPOINTS } = options;
    if (limit > 0) yield* super.list(config, { ...options, limit });
  }

  /** Does nothing: whoever opened the checkpointer closes it. */
  override async end(): Promise<void> {}
}

/** Upstream only writes to the console when its indexes cannot be made, and fails at the first put. */
async function assertModules(uri: string, context: DriverContext): Promise<void> {
  const { client, name, close } = await openRedis(uri, context);
  try {
    const missing: string[] = [];
    for (const [module, commands] of Object.entries(COMMANDS)) {
      const known = (await client.call("COMMAND", "INFO", ...commands)) as readonly unknown[];
      if (known.some((command) => command === null)) missing.push(module);
    }
    if (missing.length > 0) {
      throw new HeddleError("CONFIG_INVALID", {
        message:
          `The Redis ${name} has no ${missing.join(" and no ")}, which the checkpointer "redis:" needs. Use Redis 8 or Redis Stack, ` +
          `or keep checkpoints in Postgres, MongoDB or SQLite: the option \`redis\` beside them takes any Redis.`,
        details: { missing },
      });
    }
    if (!name.endsWith("/0")) {
      throw new HeddleError("CONFIG_INVALID", {
        message: `The checkpointer "redis:" needs database 0, not ${name}: RediSearch indexes no other.`,
      });
    }
  } finally {
    await close();
  }
}

/** A client of the `redis` package that the saver itself uses. */
async function connect(url: string, name: string, { logger }: DriverContext): Promise<RedisClientType> {
  const own = createRequire(createRequire(import.meta.url).resolve("@langchain/langgraph-checkpoint-redis"));
  const { createClient } = own("redis") as { readonly createClient: CreateClient };
  let connected = false;
  const client = createClient({
    url,
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      // At first once, then for ever: without a strategy the first connection is tried for ever, too.
      reconnectStrategy: (retries) => connected && Math.min(2 ** retries * 20, MAX_PAUSE_MS),
    },
  });
  // Without a listener the error of a lost connection ends the process.
  client.on("error", (error: unknown) =>
    logger?.warn({ err: error, database: name }, "The Redis of the checkpointer is away"),
  );
  try {
    await client.connect();
  } catch (error) {
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message: `The Redis ${name} does not answer: ${error instanceof Error ? error.message : String(error)}`,
      cause: error,
    });
  }
  connected = true;
  return client;
}

type Client = Extract<RedisClientType, { connect(): unknown }>;
type CreateClient = (options: {
  readonly url: string;
  readonly socket: {
    readonly connectTimeout: number;
    readonly reconnectStrategy: (retries: number) => number | false;
  };
}) => Client;
