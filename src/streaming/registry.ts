import type { Clock } from "../core/clock.js";
import type { Driver, DriverContext, DriverRegistry } from "../core/driver.js";
import { createDriverRegistry } from "../core/driver.js";
import type { EventLog, EventLogOptions } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { RunLease } from "../core/run.js";
import type { EventStorage } from "./event-storage.js";
import { MemoryEventLog } from "./memory-event-log.js";

/** What an event log is opened with. */
export interface EventLogContext extends DriverContext {
  readonly clock: Clock;
  readonly logger: Pick<Logger, "info" | "warn">;
  readonly limits: Omit<EventLogOptions, "clock">;
  /** Whether a run is still running under this token, by its row. For storages that may lose what fences writers off. */
  readonly holdsLease?: (lease: RunLease) => Promise<boolean>;
}

/** Event logs by URI scheme: `memory:`, `sqlite:`, `postgres:`, `mongodb:` and `redis:`; others can be added. */
export function createEventLogRegistry(
  drivers: readonly Driver<EventLog, EventLogContext>[] = [],
): DriverRegistry<EventLog, EventLogContext> {
  return createDriverRegistry({ kind: "event log", drivers: [memory, sqlite, postgres, mongodb, redis, ...drivers] });
}

const memory: Driver<EventLog, EventLogContext> = {
  schemes: ["memory"],
  requires: [],
  open: async (_uri, { clock, limits }) => new MemoryEventLog({ clock, ...limits }),
};

const sqlite: Driver<EventLog, EventLogContext> = {
  schemes: ["sqlite"],
  requires: ["better-sqlite3"],
  async open(uri, context) {
    const { openSqliteEventStorage } = await import("./sqlite-event-storage.js");
    return storedEventLog(await openSqliteEventStorage(uri, context), context);
  },
};

const postgres: Driver<EventLog, EventLogContext> = {
  schemes: ["postgres", "postgresql"],
  requires: ["pg"],
  async open(uri, context) {
    const { openPostgresEventStorage } = await import("./postgres-event-storage.js");
    return storedEventLog(await openPostgresEventStorage(uri, withoutClock(context)), context);
  },
};

const mongodb: Driver<EventLog, EventLogContext> = {
  schemes: ["mongodb", "mongodb+srv"],
  requires: ["mongodb"],
  async open(uri, context) {
    const { openMongoEventStorage } = await import("./mongodb-event-storage.js");
    return storedEventLog(await openMongoEventStorage(uri, withoutClock(context)), context);
  },
};

const redis: Driver<EventLog, EventLogContext> = {
  schemes: ["redis", "rediss"],
  requires: ["ioredis"],
  async open(uri, context) {
    const { openRedisEventStorage } = await import("./redis-event-storage.js");
    const { holdsLease } = context;
    const fenced = { ...withoutClock(context), ...(holdsLease !== undefined && { holdsLease }) };
    return storedEventLog(await openRedisEventStorage(uri, fenced), context);
  },
};

/** For databases that have a time of their own. */
function withoutClock({ clock: _ofProcess, ...context }: EventLogContext): DriverContext {
  return context;
}

async function storedEventLog(storage: EventStorage, context: EventLogContext): Promise<EventLog> {
  const { cipher } = context;
  const [{ StoredEventLog }, { sealedEventStorage }] = await Promise.all([
    import("./stored-event-log.js"),
    import("./sealed-event-storage.js"),
  ]);
  return new StoredEventLog({
    storage: cipher === undefined ? storage : sealedEventStorage(storage, cipher),
    clock: context.clock,
    logger: context.logger,
    ...context.limits,
  });
}
