import * as vitest from "vitest";
import type { Dispatcher } from "../../src/core/dispatcher.js";
import { InProcessDispatcher } from "../../src/streaming/in-process-dispatcher.js";
import { openBullmqDispatcher } from "../../src/streaming/bullmq-dispatcher.js";
import type { DispatcherContext } from "../../src/streaming/dispatchers.js";
import { openPostgresDispatcher } from "../../src/streaming/postgres-dispatcher.js";
import { type DispatcherSuiteOptions, testDispatcher } from "../../src/testing/dispatcher.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { createDatabase } from "../support/postgres.js";
import { hasRedis, openTestRedis, type TestRedis } from "../support/redis.js";

const dropping: (() => Promise<void>)[] = [];
vitest.afterAll(async () => {
  for (const drop of dropping) await drop();
});

function contextOf({ clock, onError }: DispatcherSuiteOptions): DispatcherContext {
  const logger = {
    info: () => undefined,
    warn: (fields: object) => onError("err" in fields ? fields.err : fields),
    error: (fields: object) => onError("err" in fields ? fields.err : fields),
  };
  return { cwd: "/", clock, logger, concurrency: 4 };
}

testDispatcher({ name: "in process", vitest, open: async (options) => new InProcessDispatcher(options) });

/** A database has nobody else's notifications. */
async function openPostgresPeers(count: number, options: DispatcherSuiteOptions): Promise<readonly Dispatcher[]> {
  const { uri, drop } = await createDatabase();
  dropping.push(drop);
  return Promise.all(Array.from({ length: count }, () => openPostgresDispatcher(uri, contextOf(options))));
}
testDispatcher({
  name: "Postgres",
  vitest,
  open: async (options) => (await openPostgresPeers(1, options))[0] as Dispatcher,
  openPeers: openPostgresPeers,
});

const isRedisThere = hasRedis();
let redis: TestRedis;
vitest.beforeAll(async () => {
  if (isRedisThere) redis = await openTestRedis();
});
vitest.afterAll(() => redis?.close());

async function openBullmqPeers(count: number, options: DispatcherSuiteOptions): Promise<readonly Dispatcher[]> {
  const uri = redis.uniqueUri();
  return Promise.all(Array.from({ length: count }, () => openBullmqDispatcher(uri, contextOf(options))));
}
testDispatcher({
  name: "BullMQ",
  vitest: { ...vitest, describe: vitest.describe.skipIf(!isRedisThere) as typeof vitest.describe },
  open: async (options) => (await openBullmqPeers(1, options))[0] as Dispatcher,
  openPeers: openBullmqPeers,
});

vitest.describe("InProcessDispatcher", () => {
  vitest.it("calls once for announcements of one thread that come together", async () => {
    const dispatcher = new InProcessDispatcher({ clock: fakeClock() });
    const heard: (string | null)[] = [];
    dispatcher.onWork((threadId) => void heard.push(threadId));
    for (const threadId of ["a", "b", "a", "a"]) dispatcher.announce(threadId);
    await new Promise((resolve) => setImmediate(resolve));
    vitest.expect(heard).toEqual(["a", "b"]);
  });

  vitest.it("holds a bounded number of delayed announcements, and clamps delays that a timer cannot hold", () => {
    const clock = fakeClock();
    const dispatcher = new InProcessDispatcher({ clock });
    dispatcher.announce("far", { delayMs: 1e15 });
    clock.advance(2 ** 31);
    vitest.expect(clock.pendingTimers).toBe(0);
    for (let i = 0; i < 10_100; i += 1) dispatcher.announce(`t${i}`, { delayMs: 1_000 });
    vitest.expect(clock.pendingTimers).toBe(10_000);
  });

  vitest.it("a promise that a listener rejects with goes to onError", async () => {
    const errors: unknown[] = [];
    const dispatcher = new InProcessDispatcher({ clock: fakeClock(), onError: (error) => errors.push(error) });
    dispatcher.onWork(() => Promise.reject(new Error("listener")));
    dispatcher.announce("t");
    await new Promise((resolve) => setImmediate(resolve));
    vitest.expect(errors).toEqual([new Error("listener")]);
  });
});
