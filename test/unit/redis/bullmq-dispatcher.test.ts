import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Dispatcher } from "../../../src/core/dispatcher.js";
import { systemClock } from "../../../src/runtime/system-clock.js";
import { openBullmqDispatcher } from "../../../src/streaming/bullmq-dispatcher.js";
import { hasRedisServer, startRedis, type TestRedis } from "../../support/redis.js";

describe.skipIf(!hasRedisServer())("BullMQ dispatcher", () => {
  let server: TestRedis;
  const opened: Dispatcher[] = [];
  const rejections: unknown[] = [];
  const onRejection = (error: unknown): void => void rejections.push(error);
  beforeAll(async () => {
    server = await startRedis();
    process.on("unhandledRejection", onRejection);
  });
  afterAll(async () => {
    process.off("unhandledRejection", onRejection);
    await server.close();
  });
  afterEach(async () => {
    server.resume();
    for (const dispatcher of opened.splice(0)) await dispatcher.close();
    // Rejections are reported a turn late.
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const [rejection] = rejections.splice(0);
    if (rejection !== undefined) throw new Error("A rejection that nobody handled", { cause: rejection });
  });

  interface Log {
    readonly infos: string[];
    readonly warnings: string[];
    readonly errors: unknown[];
  }
  const open = async (
    uri: string,
    { concurrency = 4, log }: { readonly concurrency?: number; readonly log?: Log } = {},
  ): Promise<Dispatcher> => {
    const logger = {
      info: (_: object, message: string) => log?.infos.push(message),
      warn: (_: object, message: string) => log?.warnings.push(message),
      error: (fields: object) => log?.errors.push(fields),
    };
    const dispatcher = await openBullmqDispatcher(uri, { cwd: "/", clock: systemClock, logger, concurrency });
    opened.push(dispatcher);
    return dispatcher;
  };
  const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + 15_000;
    while (!(await what())) {
      if (performance.now() > deadline) throw new Error(`not in time: ${String(what)}`);
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
  };
  const queueKey = (uri: string, type: string): string =>
    `{${new URL(uri).searchParams.get("prefix") ?? ""}}:heddle-threads:${type}`;

  it("leaves nothing in Redis of threads that were looked after", async () => {
    const uri = server.uniqueUri();
    const [announcer, worker] = [await open(uri, { concurrency: 0 }), await open(uri)];
    const heard = new Set<string | null>();
    worker.onWork((threadId) => void heard.add(threadId));
    for (let n = 0; n < 100; n += 1) announcer.announce(`t${n}`);
    await until(() => heard.size === 100);
    const prefix = queueKey(uri, "");
    const left = async (): Promise<string[]> =>
      (await server.admin.keys("*")).filter(
        (key) => key.startsWith(prefix) && !/:(id|meta|events|marker|stalled-check)$/.test(key),
      );
    await until(async () => (await left()).length === 0);
    // Its log of events is bounded.
    expect(await server.admin.xlen(queueKey(uri, "events"))).toBeLessThan(1_000);
  });

  it("holds a thread's job while its runs execute: nobody else is given it, and it comes once more afterwards", async () => {
    const uri = server.uniqueUri();
    const [announcer, a, b] = [await open(uri, { concurrency: 0 }), await open(uri), await open(uri)];
    let active = 0;
    let most = 0;
    let calls = 0;
    const finish: (() => void)[] = [];
    const execute = async (): Promise<void> => {
      calls += 1;
      active += 1;
      most = Math.max(most, active);
      await new Promise<void>((resolve) => finish.push(resolve));
      active -= 1;
    };
    a.onWork(execute);
    b.onWork(execute);
    announcer.announce("t");
    await until(() => calls === 1);
    for (let n = 0; n < 5; n += 1) {
      announcer.announce("t");
      await server.admin.ping();
    }
    await until(async () => (await server.admin.exists(queueKey(uri, "dn:t"))) === 1);
    expect(calls).toBe(1);
    finish.shift()?.();
    await until(() => calls === 2);
    finish.shift()?.();
    await until(async () => (await server.admin.llen(queueKey(uri, "active"))) === 0);
    expect({ calls, most }).toEqual({ calls: 2, most: 1 });
  });

  it("a job whose lock was lost is given to another process; the first one ends without harm", async () => {
    const uri = server.uniqueUri();
    const log: Log = { infos: [], warnings: [], errors: [] };
    const [announcer, busy] = [await open(uri, { concurrency: 0 }), await open(uri, { log })];
    let finish = (): void => undefined;
    let calls = 0;
    busy.onWork(() => {
      calls += 1;
      return calls === 1 ? new Promise<void>((resolve) => (finish = resolve)) : undefined;
    });
    announcer.announce("t");
    await until(() => calls === 1);
    // As after a main loop that stood still for longer than the lock lasts.
    const [jobId = ""] = await server.admin.lrange(queueKey(uri, "active"), 0, 0);
    await server.admin.del(`${queueKey(uri, jobId)}:lock`);
    await until(() => calls === 2);
    finish();
    announcer.announce("t");
    await until(() => calls === 3);
    expect(log).toEqual({ infos: [], warnings: [], errors: [] });
  });

  it("flushed while it works: new announcements are heard, a running one ends without harm", async () => {
    const uri = server.uniqueUri();
    const log: Log = { infos: [], warnings: [], errors: [] };
    const [announcer, worker] = [await open(uri, { concurrency: 0 }), await open(uri, { log })];
    const heard: (string | null)[] = [];
    let finish = (): void => undefined;
    worker.onWork((threadId) => {
      heard.push(threadId);
      return threadId === "running" ? new Promise<void>((resolve) => (finish = resolve)) : undefined;
    });
    announcer.announce("running");
    await until(() => heard.includes("running"));
    await server.flush();
    announcer.announce("new");
    await until(() => heard.includes("new"));
    finish();
    announcer.announce("newer");
    await until(() => heard.includes("newer"));
    // The one that was running may be announced again at once.
    announcer.announce("running");
    await until(() => heard.filter((threadId) => threadId === "running").length === 2);
    finish();
    expect(log).toEqual({ infos: [], warnings: [], errors: [] });
  });

  it("stopped under load: nothing throws, this process hears itself, the outage is said once, and all comes back", async () => {
    const uri = server.uniqueUri();
    const log: Log = { infos: [], warnings: [], errors: [] };
    const [announcer, worker] = [await open(uri, { log }), await open(uri)];
    const local = new Set<string | null>();
    const remote = new Set<string | null>();
    const signalled: string[] = [];
    announcer.onWork((threadId) => {
      local.add(threadId);
      // Busy: the other process gets the jobs.
      return "no-slot";
    });
    worker.onWork(async (threadId) => {
      remote.add(threadId);
      await new Promise((resolve) => void setTimeout(resolve, 5));
    });
    announcer.onSignal(({ runId }) => signalled.push(runId));
    for (let n = 0; n < 200; n += 1) announcer.announce(`before ${n}`);
    await until(() => remote.size > 20);
    await server.stop();
    for (let n = 0; n < 200; n += 1) {
      announcer.announce(`away ${n}`, n % 2 === 0 ? {} : { delayMs: 1 });
      announcer.signal({ runId: `away ${n}`, threadId: "t" }, "interrupt");
      if (n % 20 === 0) await new Promise((resolve) => void setTimeout(resolve, 10));
    }
    await until(() => local.has("away 199") && signalled.length === 200);
    await server.start();
    // A process that may have missed something is told to look at everything.
    await until(() => remote.has(null));
    announcer.announce("after");
    await until(() => remote.has("after"));
    await until(() => log.infos.length > 0);
    expect(log.errors).toEqual([]);
    expect(log.warnings).toEqual(["Redis does not answer; going on without it until it does"]);
    expect(log.infos).toEqual(["Redis answers again"]);
  });

  it.each(["stopped", "hanging", "flushed"] as const)("closes in bounded time while Redis is %s", async (how) => {
    const uri = server.uniqueUri();
    const dispatchers = [await open(uri), await open(uri), await open(uri, { concurrency: 0 })];
    let calls = 0;
    // Never ends.
    const execute = (): Promise<void> => {
      calls += 1;
      return new Promise(() => undefined);
    };
    for (const dispatcher of dispatchers) dispatcher.onWork(execute);
    for (let n = 0; n < 50; n += 1) dispatchers[0]?.announce(`t${n}`);
    await until(() => calls > 0);
    if (how === "stopped") await server.stop();
    else if (how === "hanging") server.pause();
    else await server.flush();
    dispatchers[0]?.announce("last");
    dispatchers[0]?.signal({ runId: "r", threadId: "t" }, "interrupt");
    const closingAt = performance.now();
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.close()));
    expect(performance.now() - closingAt).toBeLessThan(4_000);
    if (how === "stopped") await server.start();
  });

  it("a process that closes gives the job that it holds to another one at once", async () => {
    const uri = server.uniqueUri();
    const [announcer, leaving] = [await open(uri, { concurrency: 0 }), await open(uri)];
    let isHeld = false;
    leaving.onWork(() => {
      isHeld = true;
      return new Promise(() => undefined);
    });
    announcer.announce("t");
    await until(() => isHeld);
    const staying = await open(uri);
    const heard = new Set<string | null>();
    staying.onWork((threadId) => void heard.add(threadId));
    const closingAt = performance.now();
    await leaving.close();
    await until(() => heard.has("t"));
    // Well before its lock ends.
    expect(performance.now() - closingAt).toBeLessThan(3_000);
  });

  it("opens without Redis, hears itself, and uses Redis when it comes", async () => {
    await server.stop();
    const uri = server.uniqueUri();
    const [one, two] = [await open(uri), await open(uri)];
    const heard: string[] = [];
    one.onWork((threadId) => void heard.push(`one ${String(threadId)}`));
    two.onWork((threadId) => void heard.push(`two ${String(threadId)}`));
    const signals: string[] = [];
    two.onSignal((run, action) => void signals.push(`${run.runId} ${action}`));
    one.announce("early");
    await until(() => heard.includes("one early"));
    await server.start();
    // What it was told of while Redis was away, its worker looks for now.
    await until(() => heard.includes("two null"));
    one.signal({ threadId: "t", runId: "r" }, "interrupt");
    await until(() => signals.includes("r interrupt"));
    await until(() => {
      one.announce("late");
      return heard.includes("two late");
    });
    expect(heard).not.toContain("two early");
  });
});
