import * as fc from "fast-check";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vitest from "vitest";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import { MemoryEventLog } from "../../src/streaming/memory-event-log.js";
import { openSqliteEventStorage } from "../../src/streaming/sqlite-event-storage.js";
import { StoredEventLog, type StoredEventLogOptions } from "../../src/streaming/stored-event-log.js";
import { testEventLog } from "../../src/testing/event-log.js";

testEventLog({ name: "memory", vitest, fc, open: async (options) => ({ log: new MemoryEventLog(options) }) });

const folders: string[] = [];
vitest.afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A storage across a network: its writes take a few turns of the event loop. */
function remote(storage: EventStorage): EventStorage {
  return {
    ...storage,
    async write(writes) {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      return storage.write(writes);
    },
  };
}

interface Variant extends Pick<StoredEventLogOptions, "hotBytes" | "lingerMs"> {
  readonly storage?: (storage: EventStorage) => EventStorage;
}

/** @param variant small windows in memory make readers go to the storage. */
function sqlite(name: string, { storage: wrap = (storage) => storage, ...hot }: Variant): void {
  testEventLog({
    name,
    vitest,
    fc,
    async open(options) {
      const cwd = await mkdtemp(join(tmpdir(), "heddle-events-"));
      folders.push(cwd);
      const logger = {
        warn: (fields: object) => {
          throw new Error("Nothing may fail here", { cause: fields });
        },
      };
      const open = async (): Promise<StoredEventLog> => {
        const storage = await openSqliteEventStorage("sqlite:./events.db", { cwd, clock: options.clock });
        return new StoredEventLog({ ...options, ...hot, storage: wrap(storage), logger });
      };
      return { log: await open(), reopen: open, another: open };
    },
  });
}

sqlite("SQLite", {});
sqlite("SQLite, nothing stays in memory", { hotBytes: 0, lingerMs: 0 });
sqlite("asynchronous storage", { storage: remote });
sqlite("asynchronous storage, nothing stays in memory", { hotBytes: 0, lingerMs: 0, storage: remote });
