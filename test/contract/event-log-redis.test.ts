import * as vitest from "vitest";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import { openRedisEventStorage } from "../../src/streaming/redis-event-storage.js";
import { hasRedis, openTestRedis, type TestRedis } from "../support/redis.js";
import { altered } from "./event-storages.js";
import { type StoredEventLogSuite, testEventStorage, testStoredEventLog } from "./stored-event-log-suite.js";

vitest.describe.skipIf(!hasRedis())("Redis", () => {
  let redis: TestRedis;
  vitest.beforeAll(async () => {
    redis = await openTestRedis();
  });
  vitest.afterAll(() => redis.close());

  /** Keys with a prefix of their own. */
  const place: StoredEventLogSuite["place"] = async () => {
    const uri = redis.uniqueUri();
    return (clock) => openRedisEventStorage(uri, { cwd: "/", clock });
  };
  /** As long as nobody takes anything from it, Redis keeps what a database keeps. */
  const durable = (storage: EventStorage): EventStorage => altered(storage, () => ({ disposable: false }));
  const durablePlace: StoredEventLogSuite["place"] = async () => {
    const open = await place();
    return async (clock) => durable(await open(clock));
  };
  testStoredEventLog("Redis", { place: durablePlace, forgetsHeads: true });
  testEventStorage("Redis", { place: durablePlace, forgetsHeads: true });
  testStoredEventLog("Redis, nothing stays in memory", {
    place: durablePlace,
    forgetsHeads: true,
    hotBytes: 0,
    lingerMs: 0,
  });

  testStoredEventLog("Redis, as a storage that may forget", { place, forgetsHeads: true });
});
