import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { Driver, DriverContext, DriverRegistry } from "../core/driver.js";
import { createDriverRegistry } from "../core/driver.js";
import type { Logger } from "../core/logger.js";
import { InProcessDispatcher } from "./in-process-dispatcher.js";

/** What a dispatcher is opened with. */
export interface DispatcherContext extends DriverContext {
  readonly clock: Clock;
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
  /** Run slots of this process; 0: it takes no work. */
  readonly concurrency: number;
}

/**
 * Dispatchers by URI scheme. Where the storage carries no messages between processes (`memory:`, `sqlite:`, `mongodb:`) notices
 * stay in the process, and the others find work by polling.
 */
export function createDispatcherRegistry(
  drivers: readonly Driver<Dispatcher, DispatcherContext>[] = [],
): DriverRegistry<Dispatcher, DispatcherContext> {
  return createDriverRegistry({ kind: "dispatcher", drivers: [inProcess, postgres, redis, ...drivers] });
}

const inProcess: Driver<Dispatcher, DispatcherContext> = {
  schemes: ["memory", "sqlite", "mongodb", "mongodb+srv"],
  requires: [],
  open: async (_uri, { clock, logger }) =>
    new InProcessDispatcher({ clock, onError: (error) => logger.error({ err: error }, "a notification failed") }),
};

const postgres: Driver<Dispatcher, DispatcherContext> = {
  schemes: ["postgres", "postgresql"],
  requires: ["pg"],
  async open(uri, context) {
    const { openPostgresDispatcher } = await import("./postgres-dispatcher.js");
    return openPostgresDispatcher(uri, context);
  },
};

const redis: Driver<Dispatcher, DispatcherContext> = {
  schemes: ["redis", "rediss"],
  requires: ["ioredis", "bullmq"],
  async open(uri, context) {
    const { openBullmqDispatcher } = await import("./bullmq-dispatcher.js");
    return openBullmqDispatcher(uri, context);
  },
};
