import type { Checkpointer } from "../core/checkpointer.js";
import { createDriverRegistry, type Driver, type DriverRegistry } from "../core/driver.js";
import { HeddleError } from "../core/errors.js";

const memory: Driver<Checkpointer> = {
  schemes: ["memory"],
  requires: [],
  async open(uri) {
    if (!/^memory:(\/\/)?$/i.test(uri)) {
      throw new HeddleError("CONFIG_INVALID", { message: `The memory checkpointer takes no options: use "memory:".` });
    }
    const { createMemoryCheckpointer } = await import("./memory.js");
    return createMemoryCheckpointer();
  },
};

const sqlite: Driver<Checkpointer> = {
  schemes: ["sqlite"],
  requires: ["better-sqlite3"],
  async open(uri, context) {
    const { openSqliteCheckpointer } = await import("./sqlite.js");
    return openSqliteCheckpointer(uri, context);
  },
};

const postgres: Driver<Checkpointer> = {
  schemes: ["postgres", "postgresql"],
  requires: ["pg", "@langchain/langgraph-checkpoint-postgres"],
  async open(uri, context) {
    const { openPostgresCheckpointer } = await import("./postgres.js");
    return openPostgresCheckpointer(uri, context);
  },
};

const mongodb: Driver<Checkpointer> = {
  schemes: ["mongodb", "mongodb+srv"],
  requires: ["mongodb", "@langchain/langgraph-checkpoint-mongodb"],
  async open(uri, context) {
    const { openMongoCheckpointer } = await import("./mongodb.js");
    return openMongoCheckpointer(uri, context);
  },
};

const redis: Driver<Checkpointer> = {
  schemes: ["redis", "rediss"],
  requires: ["ioredis", "@langchain/langgraph-checkpoint-redis"],
  async open(uri, context) {
    const { openRedisCheckpointer } = await import("./redis.js");
    return openRedisCheckpointer(uri, context);
  },
};

/**
 * Checkpointers by URI: `memory:`, `sqlite:`, `postgres:`, `mongodb:`, `redis:` and what is added. Nothing is imported before it is opened.
 * @param drivers registered after the built-in ones; for a built-in scheme use `register(driver, { override: true })`
 */
export function createCheckpointerRegistry(
  drivers: readonly Driver<Checkpointer>[] = [],
): DriverRegistry<Checkpointer> {
  return createDriverRegistry({
    kind: "checkpointer",
    drivers: [memory, sqlite, postgres, mongodb, redis, ...drivers],
  });
}
