import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openRedis, type RedisDatabase } from "../../../src/databases/redis/open.js";
import { callScripts, redisScript } from "../../../src/databases/redis/scripts.js";
import { redisUri } from "../../../src/databases/redis/uri.js";
import { hasRedisServer, startRedis, type TestRedis } from "../../support/redis.js";

describe("redisUri", () => {
  it("takes our own parameter out, and names host and database without secrets", () => {
    expect(redisUri("redis://me:secret@example.org:7000/3?prefix=a.b-c:d&family=6")).toEqual({
      url: "redis://me:secret@example.org:7000/3?family=6",
      prefix: "a.b-c:d",
      name: "example.org:7000/3",
    });
    expect(redisUri("rediss://localhost")).toEqual({
      url: "rediss://localhost",
      prefix: "heddle",
      name: "localhost:6379/0",
    });
  });

  it.each([
    ["localhost:6379", "redis://"],
    ["http://localhost", "redis://"],
    ["nonsense", "no URL"],
    ["redis://localhost/name", "number of a database"],
    ["redis://localhost?prefix=a{b}", '"prefix"'],
    ["redis://localhost?prefix=", '"prefix"'],
  ])("refuses %s", (uri, problem) => {
    let error: unknown;
    try {
      redisUri(uri);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining(problem) });
  });
});

it("says who does not answer, soon and without the password", async () => {
  const startedAt = performance.now();
  await expect(openRedis("redis://me:secret@127.0.0.1:1", { cwd: "/" })).rejects.toMatchObject({
    code: "STORAGE_UNAVAILABLE",
    message: expect.stringMatching(/^Redis at 127\.0\.0\.1:1\/0 does not answer: (?!.*secret)/),
  });
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});

it("opens without a Redis for those who can do without, and says that it is away", async () => {
  const logged: string[] = [];
  const logger = { info: () => undefined, warn: (_: object, message: string) => void logged.push(message) };
  const context = { cwd: "/", logger, shared: new Map<string, unknown>() };
  const uri = "redis://127.0.0.1:1";
  const redis = await openRedis(uri, context, { mayBeAway: true });
  expect(logged).toEqual(["Redis does not answer; going on without it until it does"]);
  await expect(redis.client.ping()).rejects.toBeInstanceOf(Error);
  // Also with the connections of those.
  await expect(openRedis(uri, context)).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
  await redis.close();
  expect(context.shared.size).toBe(0);
});

describe.skipIf(!hasRedisServer())("openRedis", () => {
  let server: TestRedis;
  const opened: RedisDatabase[] = [];
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());
  afterEach(async () => {
    server.resume();
    for (const redis of opened.splice(0)) await redis.close();
  });

  const open = async (logged: unknown[] = [], shared?: Map<string, unknown>): Promise<RedisDatabase> => {
    const logger = {
      info: (_: object, message: string) => logged.push(message),
      warn: (_: object, message: string) => logged.push(message),
    };
    const redis = await openRedis(server.uniqueUri(), { cwd: "/", logger, ...(shared && { shared }) });
    opened.push(redis);
    return redis;
  };
  const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + 10_000;
    while (!(await what())) {
      if (performance.now() > deadline) throw new Error(`not in time: ${String(what)}`);
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
  };

  it("opens two connections for all drivers of an application, and closes them with the last", async () => {
    const uri = server.uniqueUri();
    const context = { cwd: "/", shared: new Map<string, unknown>() };
    const connections = async (): Promise<number> =>
      ((await server.admin.client("LIST")) as string).split("\n").filter((line) => line.includes(" name=heddle"))
        .length;
    const [first, second] = await Promise.all([openRedis(uri, context), openRedis(uri, context)]);
    expect(first.client).toBe(second.client);
    expect(await connections()).toBe(2);
    await first.close();
    await first.close();
    expect(await second.client.ping()).toBe("PONG");
    await second.close();
    await until(async () => (await connections()) === 0);
    expect(context.shared.size).toBe(0);
  });

  it("is there for those who opened it before it was", async () => {
    await server.stop();
    const logged: unknown[] = [];
    const logger = {
      info: (_: object, message: string) => logged.push(message),
      warn: (_: object, message: string) => logged.push(message),
    };
    const redis = await openRedis(server.uniqueUri(), { cwd: "/", logger }, { mayBeAway: true });
    opened.push(redis);
    const heard: string[] = [];
    await redis.subscriber.subscribe("early", (message) => heard.push(message)).ready;
    let connected = 0;
    redis.subscriber.onReconnected(() => (connected += 1));
    await server.start();
    await until(() => connected === 1 && redis.client.status === "ready");
    await redis.client.publish("early", "a");
    await until(() => heard.length === 1);
    expect(logged).toEqual(["Redis does not answer; going on without it until it does", "Redis answers again"]);
  });

  it("refuses at once what Redis refuses, also for those who can do without, and says why", async () => {
    await server.admin.config("SET", "requirepass", "right");
    try {
      const uri = server.uri.replace("redis://", "redis://:wrong@");
      await expect(openRedis(uri, { cwd: "/" }, { mayBeAway: true })).rejects.toMatchObject({
        code: "STORAGE_UNAVAILABLE",
        message: expect.stringContaining("WRONGPASS"),
      });
      await expect(openRedis(server.uri, { cwd: "/" }, { mayBeAway: true })).rejects.toMatchObject({
        message: expect.stringContaining("NOAUTH"),
      });
    } finally {
      await server.admin.config("SET", "requirepass", "");
    }
  });

  it("while Redis is stopped commands fail at once; it comes back by itself, and says each once", async () => {
    const logged: unknown[] = [];
    const redis = await open(logged);
    const heard: string[] = [];
    let reconnected = 0;
    redis.subscriber.onReconnected(() => (reconnected += 1));
    await redis.subscriber.subscribe("before", (message) => heard.push(message)).ready;
    await server.stop();
    await until(() => redis.client.status !== "ready");
    const startedAt = performance.now();
    for (let i = 0; i < 20; i += 1) await expect(redis.client.ping()).rejects.toBeInstanceOf(Error);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    await redis.subscriber.subscribe("meanwhile", (message) => heard.push(message)).ready;
    await server.start();
    await until(() => reconnected === 1 && redis.client.status === "ready");
    await redis.client.publish("before", "a");
    await redis.client.publish("meanwhile", "b");
    await until(() => heard.length === 2);
    expect(heard).toEqual(["a", "b"]);
    expect(logged).toEqual(["Redis does not answer; going on without it until it does", "Redis answers again"]);
  });

  it("a Redis that hangs fails commands after seconds, and hangs no close", async () => {
    const redis = await open();
    server.pause();
    const startedAt = performance.now();
    await expect(redis.client.ping()).rejects.toBeInstanceOf(Error);
    const failedAfterMs = performance.now() - startedAt;
    expect(failedAfterMs).toBeGreaterThan(1_000);
    expect(failedAfterMs).toBeLessThan(5_000);
    const closingAt = performance.now();
    await redis.close();
    expect(performance.now() - closingAt).toBeLessThan(500);
  });

  it("closing is no outage, whatever is under way", async () => {
    const logged: unknown[] = [];
    const redis = await open(logged);
    const { ready, stop } = redis.subscriber.subscribe("channel", () => undefined);
    await ready;
    stop();
    const answer = redis.client.ping().catch((error: unknown) => redis.outage.failed(error));
    await redis.close();
    await answer;
    await new Promise((resolve) => void setTimeout(resolve, 20));
    expect(logged).toEqual([]);
  });

  it("scripts are known again after a restart; one that fails throws its error", async () => {
    const redis = await open();
    const add = { script: redisScript("return ARGV[1] + #KEYS"), keys: ["{a}1", "{a}2"], args: [40] };
    expect(await callScripts(redis.client, [add, add])).toEqual([42, 42]);
    await redis.client.script("FLUSH");
    expect(await callScripts(redis.client, [add, { ...add, args: [1] }])).toEqual([42, 3]);
    const failing = { ...add, script: redisScript("return redis.error_reply('OWN failed')") };
    await expect(callScripts(redis.client, [add, failing])).rejects.toThrow("OWN failed");
    expect(await callScripts(redis.client, [])).toEqual([]);
  });

  it("a channel that nobody hears any more is let go; one with another listener stays", async () => {
    const { subscriber } = await open();
    const heard: string[] = [];
    const a = subscriber.subscribe("shared", (message) => heard.push(`a ${message}`));
    const b = subscriber.subscribe("shared", (message) => heard.push(`b ${message}`));
    await Promise.all([a.ready, b.ready]);
    a.stop();
    await server.admin.publish("shared", "1");
    await until(() => heard.length === 1);
    b.stop();
    const listeners = async (): Promise<unknown> => (await server.admin.pubsub("NUMSUB", "shared"))[1];
    await until(async () => (await listeners()) === 0);
    const c = subscriber.subscribe("shared", (message) => heard.push(`c ${message}`));
    await c.ready;
    await server.admin.publish("shared", "2");
    await until(() => heard.length === 2);
    expect(heard).toEqual(["b 1", "c 2"]);
  });
});
