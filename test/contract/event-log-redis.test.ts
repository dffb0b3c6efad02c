import * as fc from "fast-check";
import * as vitest from "vitest";
import { openRedisEventStorage } from "../../src/streaming/redis-event-storage.js";
import { StoredEventLog, type StoredEventLogOptions } from "../../src/streaming/stored-event-log.js";
import { testEventLog } from "../../src/testing/event-log.js";
import { hasRedis, openTestRedis, type TestRedis } from "../support/redis.js";

const isThere = hasRedis();
let redis: TestRedis;
vitest.beforeAll(async () => {
  if (isThere) redis = await openTestRedis();
});
vitest.afterAll(() => redis?.close());

function suite(name: string, hot: Pick<StoredEventLogOptions, "hotBytes" | "lingerMs">): void {
  testEventLog({
    name,
    vitest: { ...vitest, describe: vitest.describe.skipIf(!isThere) as typeof vitest.describe },
    fc,
    async open(options) {
      // Each case has its keys for itself.
      const uri = redis.uniqueUri();
      const logger = {
        warn: (fields: object) => {
          throw new Error("Nothing may fail here", { cause: fields });
        },
      };
      const open = async (): Promise<StoredEventLog> => {
        const storage = await openRedisEventStorage(uri, {
          cwd: "/",
          clock: options.clock,
          logger: { info: () => undefined, ...logger },
        });
        return new StoredEventLog({ ...options, ...hot, storage, logger });
      };
      return { log: await open(), reopen: open, another: open };
    },
  });
}

suite("Redis", {});
suite("Redis, nothing stays in memory", { hotBytes: 0, lingerMs: 0 });
