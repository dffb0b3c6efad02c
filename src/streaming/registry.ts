import type { Clock } from "../core/clock.js";
import type { Driver, DriverContext, DriverRegistry } from "../core/driver.js";
import { createDriverRegistry } from "../core/driver.js";
import type { EventLog, EventLogOptions } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import { MemoryEventLog } from "./memory-event-log.js";

/** What an event log is opened with. */
export interface EventLogContext extends DriverContext {
  readonly clock: Clock;
  readonly logger: Pick<Logger, "info" | "warn">;
  readonly limits: Omit<EventLogOptions, "clock">;
}

/** Event logs by URI scheme: `memory:` and `sqlite:`; others can be added. */
export function createEventLogRegistry(
  drivers: readonly Driver<EventLog, EventLogContext>[] = [],
): DriverRegistry<EventLog, EventLogContext> {
  return createDriverRegistry({ kind: "event log", drivers: [memory, sqlite, ...drivers] });
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
    const [{ openSqliteEventStorage }, { StoredEventLog }] = await Promise.all([
      import("./sqlite-event-storage.js"),
      import("./stored-event-log.js"),
    ]);
    const storage = await openSqliteEventStorage(uri, context);
    return new StoredEventLog({ storage, clock: context.clock, logger: context.logger, ...context.limits });
  },
};
