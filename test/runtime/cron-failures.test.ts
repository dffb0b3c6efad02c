import { AsyncLocalStorage } from "node:async_hooks";
import { expect, it } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import type { Clock } from "../../src/core/clock.js";
import type { ClaimedCron } from "../../src/core/cron.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import { succeed } from "../../src/testing/scripted-engine.js";
import { createCron, MINUTE_MS, pass as passSlowly, schedulersOfTests } from "./crons.js";
import { type LogLine, openRuntime, type TestRuntime, turns } from "./harness.js";

const startScheduler = schedulersOfTests();
const open = () => openRuntime({ scripts: { quick: succeed({ n: 1 }) }, start: false });

function schedulerOf(test: TestRuntime, fire: (claimed: ClaimedCron) => Promise<void>, clock: Clock = test.clock) {
  const log: LogLine[] = [];
  const level = (name: LogLine["level"]) => (fields: object, message: string) =>
    void log.push({ level: name, fields: { ...fields }, message });
  const logger = { debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
  return { scheduler: startScheduler({ crons: test.store.crons, fire, clock, logger }), log };
}

const create = async (test: TestRuntime): Promise<string> => (await createCron(test)).cronId;

const pass = (test: TestRuntime, ms: number, stepMs = 1_000): Promise<void> =>
  passSlowly(test, ms, { stepMs, turnsPerStep: 6 });

/** Moves the cron on by a minute. */
const moveOn = (test: TestRuntime, { cron, leaseToken }: ClaimedCron) =>
  test.store.crons.skip({ cronId: cron.cronId, leaseToken, next: cron.nextRunAt + MINUTE_MS });

it("a firing belongs to no request, also where one has woken the scheduler", async () => {
  const test = await open();
  const requests = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const clock: Clock = { now: () => test.clock.now(), setTimer: (fn, ms) => systemClock.setTimer(fn, Math.min(ms, 5)) };
  const fire = async (claimed: ClaimedCron): Promise<void> => {
    seen.push(requests.getStore());
    await moveOn(test, claimed);
  };
  const { scheduler } = schedulerOf(test, fire, clock);
  await create(test);
  for (const ticks of [1, 2]) {
    requests.run("of somebody", () => scheduler.wake());
    test.clock.advance(MINUTE_MS);
    await expect.poll(() => seen.length, { interval: 5 }).toBe(ticks);
  }
  expect(seen).toEqual([undefined, undefined]);
});

it("a firing that hangs keeps no other waiting, and is not begun again beside itself", async () => {
  const test = await open();
  const hanging = await create(test);
  const others = await Promise.all(Array.from({ length: 30 }, () => create(test)));
  const attempts = new Map<string, number>();
  const { log } = schedulerOf(test, async (claimed) => {
    const { cronId } = claimed.cron;
    attempts.set(cronId, (attempts.get(cronId) ?? 0) + 1);
    if (cronId === hanging) await new Promise<never>(() => {});
    await moveOn(test, claimed);
  });
  await pass(test, 3 * MINUTE_MS);
  expect(others.map((cronId) => attempts.get(cronId))).toEqual(others.map(() => 3));
  expect(attempts.get(hanging)).toBe(1);
  expect(log.find(({ level }) => level === "error")?.fields).toMatchObject({ cronId: hanging, failures: 1 });
});

it("what fails each time is tried again every 10 s, and told ever more seldom", async () => {
  const test = await open();
  const cronId = await create(test);
  let attempts = 0;
  let isPoisoned = true;
  const { log } = schedulerOf(test, async (claimed) => {
    attempts += 1;
    if (isPoisoned) throw new Error("poison");
    await moveOn(test, claimed);
  });
  await pass(test, 6 * MINUTE_MS);
  expect(attempts).toBeGreaterThan(25);
  expect(log.map(({ fields }) => [fields["cronId"], fields["failures"]])).toEqual(
    [1, 2, 4, 8, 16].map((failures) => [cronId, failures]),
  );
  isPoisoned = false;
  await pass(test, MINUTE_MS);
  const next = (await test.services.crons.get(ANONYMOUS, cronId)).nextRunAt ?? 0;
  expect(next).toBeGreaterThan(test.clock.now());
});

it("the first tick is reckoned by the storage's clock, which may differ from this process's", async () => {
  const aheadMs = 10 * MINUTE_MS;
  const wrapStore = (store: MetadataStore): MetadataStore => {
    const nextDueAt = async () => ({ now: test.clock.now() + aheadMs, at: null });
    return { ...store, crons: { ...store.crons, nextDueAt } };
  };
  const test = await openRuntime({ scripts: { quick: succeed({ n: 1 }) }, start: false, wrapStore });
  const cronId = await create(test);
  const { crons } = test.services;
  const first = Math.floor((test.clock.now() + aheadMs) / MINUTE_MS + 1) * MINUTE_MS;
  expect((await crons.get(ANONYMOUS, cronId)).nextRunAt).toBe(first);
  await crons.update(ANONYMOUS, cronId, { enabled: false });
  expect((await crons.update(ANONYMOUS, cronId, { enabled: true })).nextRunAt).toBe(first);
});

it("hundreds that are due at once leave others their turns", async () => {
  const test = await open();
  const count = 400;
  await Promise.all(Array.from({ length: count }, () => create(test)));
  let fired = 0;
  test.clock.advance(MINUTE_MS);
  schedulerOf(test, async (claimed) => {
    fired += 1;
    await moveOn(test, claimed);
  });
  test.clock.advance(1);
  const seen: number[] = [];
  for (let turn = 0; turn < 100 && fired < count; turn += 1) {
    await turns(1);
    seen.push(fired);
  }
  expect(fired).toBe(count);
  for (const [i, now] of seen.entries()) expect(now - (seen[i - 1] ?? 0)).toBeLessThanOrEqual(40);
});
