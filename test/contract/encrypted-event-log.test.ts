import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vitest from "vitest";
import { openMongoEventStorage } from "../../src/streaming/mongodb-event-storage.js";
import { openPostgresEventStorage } from "../../src/streaming/postgres-event-storage.js";
import { openRedisEventStorage } from "../../src/streaming/redis-event-storage.js";
import { sealedEventStorage } from "../../src/streaming/sealed-event-storage.js";
import { openSqliteEventStorage } from "../../src/streaming/sqlite-event-storage.js";
import { cipherOf } from "../support/cipher.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { postgresSchemas } from "../support/postgres-schemas.js";
import { hasRedis, openTestRedis, type TestRedis } from "../support/redis.js";
import { storageCases } from "./event-storage-cases.js";
import { lastingStorageCases } from "./event-storage-lasting.js";
import { altered } from "./event-storages.js";
import { type StoredEventLogSuite, testEventStorage, testStoredEventLog } from "./stored-event-log-suite.js";

type Place = StoredEventLogSuite["place"];

/** Nothing stays in memory: every event that a reader gets was sealed and opened. */
const cold = { hotBytes: 0, lingerMs: 0 };
const cipher = cipherOf();
const sealed =
  (place: Place): Place =>
  async () => {
    const open = await place();
    return async (clock) => sealedEventStorage(await open(clock), cipher);
  };

const cleanups: (() => Promise<void>)[] = [];
vitest.afterAll(async () => {
  for (const cleanup of cleanups) await cleanup();
});

const sqlite = sealed(async () => {
  const cwd = await mkdtemp(join(tmpdir(), "heddle-events-"));
  cleanups.push(() => rm(cwd, { recursive: true, force: true }));
  return (clock) => openSqliteEventStorage("sqlite:./events.db", { cwd, clock });
});
testStoredEventLog("SQLite, encrypted", { place: sqlite, ...cold });
testEventStorage("SQLite, encrypted", { place: sqlite });

const schemas = postgresSchemas();
const postgres = sealed(async () => {
  const { uri } = await schemas.create();
  return (clock) => openPostgresEventStorage(uri, { cwd: ".", clock, maxConnections: 4 });
});
testStoredEventLog("Postgres, encrypted", { place: postgres, ...cold });
testEventStorage("Postgres, encrypted", { place: postgres });

vitest.describe.skipIf(!hasRedis())("Redis", () => {
  let redis: TestRedis;
  vitest.beforeAll(async () => {
    redis = await openTestRedis();
  });
  vitest.afterAll(() => redis.close());
  const place = sealed(async () => {
    const uri = redis.uniqueUri();
    return async (clock) =>
      altered(await openRedisEventStorage(uri, { cwd: "/", clock }), () => ({ disposable: false }));
  });
  testStoredEventLog("Redis, encrypted", { place, forgetsHeads: true, ...cold });
  testEventStorage("Redis, encrypted", { place, forgetsHeads: true });
});

vitest.describe.skipIf(!hasMongo())("MongoDB", () => {
  const place = sealed(async () => {
    const { uri, drop } = await createMongoDatabase();
    cleanups.push(drop);
    return (clock) => openMongoEventStorage(uri, { cwd: ".", clock });
  });
  // The storage itself: for the log on top of it FerretDB takes 40 s, and mongodb-event-log.test.ts asks that of it, without encryption.
  storageCases("MongoDB, encrypted", place);
  lastingStorageCases("MongoDB, encrypted", { place, forgetsHeads: false });
});
