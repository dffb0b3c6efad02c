import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCheckpointerRegistry } from "../../../src/checkpointers/registry.js";
import { hasRedisServer, startRedis, type TestRedis } from "../../support/redis.js";

// The saver itself needs RedisJSON and RediSearch: test/contract/redis-checkpointer.test.ts, where REDIS_STACK_URI is set.
describe.skipIf(!hasRedisServer())("the Redis checkpointer on a plain Redis", () => {
  const registry = createCheckpointerRegistry();
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.close());

  it("says what is missing and what to do, and leaves no connection", async () => {
    const before = await redis.admin.client("LIST");
    await expect(registry.open(redis.uri, { cwd: "." })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(
        /^The Redis 127\.0\.0\.1:\d+\/0 has no RedisJSON and no RediSearch, which the checkpointer "redis:" needs\. Use Redis 8/,
      ) as string,
      details: { missing: ["RedisJSON", "RediSearch"] },
    });
    const connections = (list: unknown): number => String(list).trim().split("\n").length;
    for (let tries = 0; tries < 100; tries += 1) {
      if (connections(await redis.admin.client("LIST")) === connections(before)) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(connections(await redis.admin.client("LIST"))).toBe(connections(before));
    expect(await redis.admin.dbsize()).toBe(0);
  });

  it("says who does not answer", async () => {
    await expect(registry.open("redis://127.0.0.1:1", { cwd: "." })).rejects.toMatchObject({
      code: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining("127.0.0.1:1/0") as string,
    });
    await expect(registry.open("redis://host/nine", { cwd: "." })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});
