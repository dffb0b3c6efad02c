import * as fc from "fast-check";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import * as vitest from "vitest";
import type { FakeClock } from "../../src/testing/fake-clock.js";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import { MemoryEventLog } from "../../src/streaming/memory-event-log.js";
import { openPostgresEventStorage } from "../../src/streaming/postgres-event-storage.js";
import { openSqliteEventStorage } from "../../src/streaming/sqlite-event-storage.js";
import { testEventLog } from "../../src/testing/event-log.js";
import { createDatabase } from "../support/postgres.js";
import { HintHub, remote } from "./event-storages.js";
import { testEventStorage, testStoredEventLog } from "./stored-event-log-suite.js";

testEventLog({ name: "memory", vitest, fc, open: async (options) => ({ log: new MemoryEventLog(options) }) });

const cleanups: (() => Promise<void>)[] = [];
vitest.afterAll(async () => {
  for (const cleanup of cleanups) await cleanup();
});

async function sqliteFile(): Promise<(clock: FakeClock) => Promise<EventStorage>> {
  const cwd = await mkdtemp(join(tmpdir(), "heddle-events-"));
  cleanups.push(() => rm(cwd, { recursive: true, force: true }));
  return (clock) => openSqliteEventStorage("sqlite:./events.db", { cwd, clock });
}

async function asynchronousSqliteFile(): Promise<(clock: FakeClock) => Promise<EventStorage>> {
  const open = await sqliteFile();
  return async (clock) => remote(await open(clock));
}

async function sqliteFileWithHints(): Promise<(clock: FakeClock) => Promise<EventStorage>> {
  const [open, hub] = [await sqliteFile(), new HintHub()];
  return async (clock) => hub.join(remote(await open(clock)));
}

const nothingStays = { hotBytes: 0, lingerMs: 0 };
testStoredEventLog("SQLite", { place: sqliteFile });
testStoredEventLog("SQLite, nothing stays in memory", { place: sqliteFile, ...nothingStays });
testEventStorage("SQLite", { place: sqliteFile });
testStoredEventLog("asynchronous storage", { place: asynchronousSqliteFile });
testStoredEventLog("asynchronous storage, nothing stays in memory", {
  place: asynchronousSqliteFile,
  ...nothingStays,
});
testEventStorage("asynchronous storage", { place: asynchronousSqliteFile });
testStoredEventLog("asynchronous storage with hints", { place: sqliteFileWithHints });
testEventStorage("asynchronous storage with hints", { place: sqliteFileWithHints });

let database: ReturnType<typeof createDatabase> | undefined;
let schemas = 0;
/** A schema of one database: making a database takes longer than most cases. */
async function postgresSchema(): Promise<(clock: FakeClock) => Promise<EventStorage>> {
  if (database === undefined) {
    database = createDatabase();
    cleanups.push(async () => (await database)?.drop());
  }
  const uri = new URL((await database).uri);
  schemas += 1;
  const client = new pg.Client({ connectionString: uri.href });
  await client.connect();
  await client.query(`CREATE SCHEMA case_${schemas}`);
  await client.end();
  uri.searchParams.set("options", `-csearch_path=case_${schemas}`);
  return (clock) => openPostgresEventStorage(uri.href, { cwd: ".", clock, maxConnections: 4 });
}

testStoredEventLog("Postgres", { place: postgresSchema });
testStoredEventLog("Postgres, nothing stays in memory", { place: postgresSchema, ...nothingStays });
testEventStorage("Postgres", { place: postgresSchema });
