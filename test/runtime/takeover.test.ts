import { expect, it } from "vitest";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { Presence } from "../../src/core/presence.js";
import { presencePauseMs } from "../../src/runtime/reaper.js";
import { retryDelayMs } from "../../src/core/run-lifecycle.js";
import { gate, never, succeed } from "../../src/testing/scripted-engine.js";
import { withFaults } from "../support/faults.js";
import { openRuntime, turns } from "./harness.js";

/** Presence as a storage with session locks gives it, for processes that are one. */
function presences(): {
  readonly living: Set<string>;
  readonly looks: { count: number };
  of(store: MetadataStore): Presence;
} {
  const looks = { count: 0 };
  const living = new Set<string>();
  const joined = new Set<string>();
  return {
    living,
    looks,
    of: () => ({
      async join(workerId) {
        living.add(workerId);
        joined.add(workerId);
      },
      gone: async () => {
        looks.count += 1;
        return new Set([...joined].filter((workerId) => !living.has(workerId)));
      },
      get others() {
        return joined.size - 1;
      },
      close: async () => undefined,
    }),
  };
}

const withPresence =
  (all: ReturnType<typeof presences>) =>
  (store: MetadataStore): MetadataStore => ({ ...store, presence: all.of(store) });

it("takes over within a second from a worker that the storage says is gone, and claims at once", async () => {
  const all = presences();
  const first = await openRuntime({
    scripts: { stuck: never(), quick: succeed() },
    leaseMs: 600_000,
    wrapStore: withPresence(all),
  });
  const run = await first.run("stuck");
  await turns();
  const second = await openRuntime({
    scripts: {},
    storage: first,
    workerId: "worker-2",
    leaseMs: 600_000,
    // Nobody polls in time.
    pollMs: 500_000,
    wrapStore: withPresence(all),
  });
  second.clock.advance(2_000);
  await turns(20);
  expect((await first.row(run))?.attempt).toBe(1);
  all.living.delete("worker-1");
  const killedAt = first.clock.now();
  await first.until(async () => (await first.row(run))?.attempt === 2, "the takeover", 10);
  expect(first.clock.now() - killedAt).toBeLessThan(400);
});

it("asks seldom who is gone while there is nobody else, and often again as soon as there is", async () => {
  const all = presences();
  const test = await openRuntime({ scripts: { stuck: never() }, wrapStore: withPresence(all) });
  const looksIn = async (ms: number): Promise<number> => {
    const before = all.looks.count;
    for (let at = 0; at < ms; at += 50) {
      test.clock.advance(50);
      await turns(2);
    }
    return all.looks.count - before;
  };
  await looksIn(3_000);
  expect(await looksIn(20_000)).toBeLessThanOrEqual(14);
  await all.of(test.store).join("worker-2");
  // The storage tells of who joins.
  expect(await looksIn(5_000)).toBeGreaterThanOrEqual(14);
});

it("shares the asking among many workers: together they ask as often as a few", () => {
  expect([null, 0, 1, 3, 7, 15, 31, 99].map(presencePauseMs)).toEqual([250, 2_000, 250, 250, 500, 1_000, 2_000, 2_000]);
});

it("does not take over from itself when its own presence was lost, nor from who never joined", async () => {
  const all = presences();
  const test = await openRuntime({ scripts: { stuck: never() }, leaseMs: 600_000, wrapStore: withPresence(all) });
  const run = await test.run("stuck");
  await turns();
  all.living.clear();
  for (let i = 0; i < 20; i += 1) {
    test.clock.advance(200);
    await turns();
  }
  expect(await test.row(run)).toMatchObject({ status: "running", attempt: 1 });
});

it("joins before its first claim, and joins later when it can't at first", async () => {
  const all = presences();
  let tries = 0;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    wrapStore: (store) =>
      withFaults(withPresence(all)(store), (name) =>
        name === "presence.join" && (tries += 1) === 1 ? "refused" : "none",
      ),
  });
  expect(all.living.size).toBe(0);
  const run = await test.run("quick");
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
  await test.until(() => all.living.has("worker-1"), "the second try", 50);
});

it("waits longer after each crash: not at all, then 1 s, 5 s, 30 s, a minute", async () => {
  expect([1, 2, 3, 4, 5, 6, 60].map(retryDelayMs)).toEqual([0, 1_000, 5_000, 30_000, 60_000, 60_000, 60_000]);
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0, maxAttempts: 9 });
  const run = await test.run("quick");
  const crash = async () => {
    const [claimed] = await test.store.runs.claim({ workerId: "dead", leaseMs: 1, limit: 1 });
    expect(claimed?.run.runId).toBe(run.runId);
    test.clock.advance(2);
  };
  await crash();
  const second = await openRuntime({
    scripts: {},
    storage: test,
    workerId: "worker-2",
    concurrency: 1,
    maxAttempts: 9,
  });
  await test.until(async () => (await test.row(run))?.status === "success", "the second attempt, at once");
  await second.runtime.stop({ drainMs: 0 });
  expect((await test.row(run))?.attempt).toBe(2);
});

it("pauses before the third attempt, and starts it when the pause is over", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script }, leaseMs: 30_000, maxAttempts: 9 });
  const run = await test.run("door");
  await turns();
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    expect((await test.row(run))?.attempt).toBe(attempt);
    await test.store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false, retryDelayMs });
    if (attempt === 1) await test.until(async () => (await test.row(run))?.status === "running", "the retry", 50);
  }
  const pausedAt = test.clock.now();
  await test.until(async () => (await test.row(run))?.attempt === 3, "the third attempt", 50);
  expect(test.clock.now() - pausedAt).toBeGreaterThanOrEqual(1_000);
  // The pause and one poll.
  expect(test.clock.now() - pausedAt).toBeLessThan(2_600);
});
