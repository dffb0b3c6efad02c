import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createApp, type HeddleServer } from "../../src/app.js";
import { openRedisTokenBuckets } from "../../src/limits/redis-token-bucket.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import * as graphs from "../fixtures/graphs/index.js";
import { hasRedis, hasRedisServer, openTestRedis, startRedis, type TestRedis } from "../support/redis.js";

interface Line {
  readonly level: string;
  readonly message: string;
}

function recorder() {
  const lines: Line[] = [];
  const at = (level: string) => (_: object, message: string) => void lines.push({ level, message });
  return { lines, logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } };
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).toReversed()) await closer();
});

describe.skipIf(!hasRedis())("token buckets in Redis", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await openTestRedis();
  }, 30_000);
  afterAll(() => redis.close());

  async function buckets(uri: string, rate: { perSecond: number; burst: number }) {
    const limiter = await openRedisTokenBuckets(uri, rate, { cwd: ".", clock: systemClock, ...recorder() });
    closers.push(() => limiter.close());
    return limiter;
  }

  it("are shared, filled by Redis' own clock, and gone when they are full", async () => {
    const uri = redis.uniqueUri();
    const prefix = new URL(uri).searchParams.get("prefix") as string;
    const rate = { perSecond: 20, burst: 5 };
    const [one, two] = [await buckets(uri, rate), await buckets(uri, rate)];
    const taken = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => (i % 2 === 0 ? one : two).take("id:ann")),
    );
    const admitted = taken.filter((admission) => admission.admitted).length;
    expect(admitted).toBeGreaterThanOrEqual(5);
    expect(admitted).toBeLessThanOrEqual(7);
    const refused = taken.find((admission) => !admission.admitted);
    expect(refused).toMatchObject({ retryAfterMs: expect.any(Number) as number });
    expect((refused as { retryAfterMs: number }).retryAfterMs).toBeLessThanOrEqual(50);
    expect(await two.take("id:bob")).toEqual({ admitted: true });
    const keys = await redis.admin.keys(`${prefix}*`);
    expect(keys).toHaveLength(2);
    // Who asks is nobody's business.
    expect(keys.join()).not.toMatch(/ann|bob/);
    const ttlMs = await redis.admin.pttl(keys[0] as string);
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(1_251);
    const since = performance.now();
    let again = false;
    while (!again && performance.now() - since < 2_000) {
      await new Promise((resolve) => void setTimeout(resolve, 20));
      again = (await one.take("id:ann")).admitted;
    }
    expect(again).toBe(true);
  });

  it("hold two apps to one limit", async () => {
    const uri = redis.uniqueUri();
    const open = async (): Promise<HeddleServer> => {
      const server = await createApp({
        graphs: { ...graphs },
        storage: "memory:",
        redis: uri,
        env: {},
        logger: recorder().logger,
        limits: { requestsPerCaller: { perSecond: 0.1, burst: 4 } },
      });
      closers.push(() => server.close());
      return server;
    };
    const apps = [await open(), await open()];
    const statuses: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const app = apps[i % 2] as HeddleServer;
      statuses.push((await app.app.request("/threads/search", { method: "POST" })).status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 429, 429]);
  });
});

describe.skipIf(!hasRedisServer())("token buckets while Redis is away", () => {
  it("are counted per process, which is said once, and shared again when it is back", async () => {
    const redis = await startRedis();
    closers.push(() => redis.close());
    const { lines, logger } = recorder();
    const rate = { perSecond: 0.01, burst: 3 };
    const limiter = await openRedisTokenBuckets(redis.uniqueUri(), rate, { cwd: ".", clock: systemClock, logger });
    closers.push(() => limiter.close());
    expect(await limiter.take("a")).toEqual({ admitted: true });
    await redis.stop();
    const statuses = [];
    for (let i = 0; i < 5; i += 1) statuses.push((await limiter.take("a")).admitted);
    expect(statuses).toEqual([true, true, true, false, false]);
    const told = (text: string) => lines.filter(({ message }) => message.includes(text)).length;
    expect(told("counted per process")).toBe(1);
    await redis.start();
    const since = performance.now();
    while (told("shared between processes again") === 0 && performance.now() - since < 10_000) {
      await limiter.take("b");
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
    expect(told("shared between processes again")).toBe(1);
    expect(told("counted per process")).toBe(1);
  }, 30_000);

  it("a Redis that answers nothing costs one request its patience, not each", async () => {
    const redis = await startRedis();
    closers.push(async () => {
      redis.resume();
      await redis.close();
    });
    const rate = { perSecond: 100, burst: 100 };
    const context = { cwd: ".", clock: systemClock, ...recorder() };
    const limiter = await openRedisTokenBuckets(redis.uniqueUri(), rate, context);
    closers.push(() => limiter.close());
    await limiter.take("a");
    redis.pause();
    const since = performance.now();
    for (let i = 0; i < 20; i += 1) expect((await limiter.take("a")).admitted).toBe(true);
    expect(performance.now() - since).toBeLessThan(1_000);
  }, 30_000);
});
