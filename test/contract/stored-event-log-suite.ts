import * as fc from "fast-check";
import * as vitest from "vitest";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import { StoredEventLog, type StoredEventLogOptions } from "../../src/streaming/stored-event-log.js";
import { testEventLog } from "../../src/testing/event-log.js";
import type { FakeClock } from "../../src/testing/fake-clock.js";
import { storageCases } from "./event-storage-cases.js";
import { disposableStorageCases } from "./event-storage-disposable.js";
import { lastingStorageCases } from "./event-storage-lasting.js";
import { failingStorageCases, lostHintCases } from "./event-storage-faults.js";

export interface StoredEventLogSuite extends Pick<StoredEventLogOptions, "hotBytes" | "lingerMs"> {
  /** A place of its own, or at least one where nobody has the same runs; the function opens it as one process does. */
  readonly place: () => Promise<(clock: FakeClock) => Promise<EventStorage>>;
  /** See `EventLogSuite`. */
  readonly manyRuns?: number;
  readonly forgetsHeads?: boolean;
}

/** What is asked of the event log over a storage. */
export function testStoredEventLog(name: string, { place, ...suite }: StoredEventLogSuite): void {
  const { manyRuns = 500, forgetsHeads = false, ...hot } = suite;
  const logger = {
    warn: (fields: object) => {
      throw new Error("Nothing may fail here", { cause: fields });
    },
  };
  testEventLog({
    name,
    vitest,
    fc,
    manyRuns,
    forgetsHeads,
    async open(options) {
      const openStorage = await place();
      const open = async (): Promise<StoredEventLog> =>
        new StoredEventLog({ ...options, ...hot, storage: await openStorage(options.clock), logger });
      return { log: await open(), reopen: open, another: open };
    },
  });
}

/** What is asked of an event storage itself, and of the log when it goes wrong: once for each storage. */
export function testEventStorage(
  name: string,
  { place, forgetsHeads = false }: Pick<StoredEventLogSuite, "place" | "forgetsHeads">,
): void {
  storageCases(name, place);
  lastingStorageCases(name, { place, forgetsHeads });
  failingStorageCases(name, place);
  lostHintCases(name, place);
  disposableStorageCases(name, place);
}
