import { expect, it } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import type { Dispatcher } from "../../src/core/dispatcher.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { Run } from "../../src/core/run.js";
import { gate, never, succeed } from "../../src/testing/scripted-engine.js";
import { withFaults } from "../support/faults.js";
import { openRuntime, turns } from "./harness.js";

const deaf = (real: Dispatcher): Dispatcher => ({
  announce: () => undefined,
  onWork: () => () => undefined,
  signal: () => undefined,
  onSignal: () => () => undefined,
  hint: () => undefined,
  onHint: () => () => undefined,
  hearsOthers: false,
  close: () => real.close(),
});

it("never runs more than `concurrency` at once, and runs everything", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script }, concurrency: 3 });
  const runs: Run[] = [];
  for (let i = 0; i < 10; i += 1) runs.push(await test.run("door"));
  await turns(20);
  expect(door.waiting).toHaveLength(3);
  expect(test.scripted.executions).toHaveLength(3);
  door.release();
  for (const run of runs) await test.until(async () => (await test.row(run))?.status === "success", "the end");
  expect(test.scripted.executions).toHaveLength(10);
});

it("starts a run in the step that creates it, and queues when no slot is free", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script }, concurrency: 1 });
  const first = await test.run("door");
  expect(first.status).toBe("running");
  const second = await test.run("door");
  expect(second.status).toBe("pending");
  await turns();
  expect((await test.row(second))?.status).toBe("pending");
  door.release();
  await test.until(async () => (await test.row(second))?.status === "success", "the second run");
});

it("runs of one thread one after the other, in order", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script } });
  const threadId = await test.newThread();
  const runs: Run[] = [];
  for (let i = 0; i < 4; i += 1) runs.push(await test.run("door", { threadId }));
  await turns(20);
  expect(door.waiting).toHaveLength(1);
  door.release();
  await test.until(async () => (await test.row(runs[3]!))?.status === "success", "the last run");
  expect(test.scripted.executions.map((run) => run.runId)).toEqual(runs.map((run) => run.runId));
});

it("executes nothing with concurrency 0, and leaves the queue to others", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const run = await test.run("quick");
  test.clock.advance(120_000);
  await turns(20);
  expect((await test.row(run))?.status).toBe("pending");
  expect(test.clock.pendingTimers).toBeLessThanOrEqual(1);
  await openRuntime({ scripts: {}, storage: test, workerId: "worker-2" });
  await test.until(async () => (await test.row(run))?.status === "success", "the other worker", 200);
});

it("ends every run by polling alone when every notification is lost", async () => {
  const test = await openRuntime({ scripts: { quick: succeed(), stuck: never() }, concurrency: 2, dispatcher: deaf });
  const runs: Run[] = [];
  for (let i = 0; i < 12; i += 1) runs.push(await test.run("quick"));
  const stuck = await test.run("stuck");
  const delayed = await test.run("quick", { afterSeconds: 3 });
  for (const run of [...runs, delayed]) {
    await test.until(async () => (await test.row(run))?.status === "success", "a polled run", 100);
  }
  await test.until(async () => (await test.row(stuck))?.status === "running", "the stuck run", 100);
  const askedAt = test.clock.now();
  await test.services.runs.cancel(ANONYMOUS, stuck, { action: "interrupt", wait: false });
  await test.until(async () => (await test.row(stuck))?.status === "interrupted", "the cancel", 100);
  expect(test.clock.now() - askedAt).toBeLessThanOrEqual(11_000);
});

it("starts a delayed run when it is due and not before", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() } });
  const run = await test.run("quick", { afterSeconds: 5 });
  test.clock.advance(4_900);
  await turns(20);
  expect((await test.row(run))?.status).toBe("pending");
  test.clock.advance(200);
  await test.until(async () => (await test.row(run))?.status === "success", "the delayed run");
});

it("aborts a run whose lease is lost, and publishes nothing of its end", async () => {
  const first = await openRuntime({ scripts: { stuck: never() }, leaseMs: 3_000, workerId: "worker-1" });
  const run = await first.run("stuck");
  await turns();
  // Another process holds that the first one is dead, and takes the run back.
  const { requeued } = await first.store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false });
  expect(requeued).toEqual([{ runId: run.runId, threadId: run.threadId }]);
  const [taken] = await first.store.runs.claim({ workerId: "worker-2", leaseMs: 60_000, limit: 1 });
  first.clock.advance(1_000);
  await turns(20);
  expect((await first.row(run))?.status).toBe("running");
  const seen = await first.events(run);
  expect(seen?.sealed).toBe(false);
  expect(seen?.events.map((event) => event.event)).toEqual(["metadata", "values"]);
  // The successor's end is accepted.
  const accepted = await first.store.runs.finish({
    lease: taken!.lease,
    outcome: { kind: "ended", status: "success" },
    threadPatch: {},
    hasNext: false,
  });
  expect(accepted.accepted).toBe(true);
});

it("renews its own leases before it reaps, after the event loop was blocked for longer than a lease", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script }, leaseMs: 3_000 });
  const run = await test.run("door");
  await turns();
  // One jump over several leases: the timers fire late, as after a blockage.
  test.clock.advance(20_000);
  await turns(20);
  door.release();
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
  expect((await test.row(run))?.attempt).toBe(1);
  expect(test.scripted.executions).toHaveLength(1);
});

it("takes runs back from dead workers; after `maxAttempts` the run fails and its readers are told", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const run = await test.run("quick", { streamResumable: true });
  const waiting = test.services.runs.result(
    ANONYMOUS,
    await test.services.runs.join(ANONYMOUS, { threadId: run.threadId, runId: run.runId }, "start"),
  );
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const [claimed] = await test.store.runs.claim({ workerId: "dead", leaseMs: 1_000, limit: 1 });
    expect(claimed?.run.attempt).toBe(attempt);
    if (attempt < 3) await test.store.runs.reapExpired({ maxAttempts: 3, isAlive: () => false });
  }
  await openRuntime({ scripts: {}, storage: test, workerId: "worker-2", mayBeAlive: (id) => id !== "dead" });
  await test.until(async () => (await test.row(run))?.status === "error", "the failure", 500);
  expect(await test.ending(run)).toBe("error");
  expect(await waiting).toContain("MaxAttemptsExceeded");
  expect((await test.services.threads.get(ANONYMOUS, run.threadId)).status).toBe("error");
  expect(test.scripted.executions).toHaveLength(0);
});

it("tells the readers of each failed run, also when telling one of them fails", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const runs = [await test.run("quick"), await test.run("quick"), await test.run("quick")];
  await test.store.runs.claim({ workerId: "dead", leaseMs: 1_000, limit: 3 });
  let begun = 0;
  await openRuntime({
    scripts: {},
    storage: test,
    workerId: "worker-2",
    maxAttempts: 1,
    mayBeAlive: (id) => id !== "dead",
    wrapLog: (log) => withFaults(log, (name) => (name === "begin" && (begun += 1) === 1 ? "refused" : "none")),
  });
  for (const run of runs) await test.until(async () => (await test.ending(run)) !== null, "an end", 200);
  for (const run of runs) expect(await test.ending(run)).toBe("error");
});

it("drains: waits for what ends in time, hands back the rest uncounted", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script, stuck: never() } });
  const quick = await test.run("door");
  const stuck = await test.run("stuck");
  await turns();
  const stopped = test.runtime.stop({ drainMs: 5_000 });
  await turns();
  expect((await test.run("door").then(test.row))?.status).toBe("pending");
  door.release();
  await test.until(async () => (await test.row(quick))?.status === "success", "the quick run");
  expect((await test.row(stuck))?.status).toBe("running");
  test.clock.advance(5_000);
  await stopped;
  expect(await test.row(stuck)).toMatchObject({ status: "pending", attempt: 0 });
  expect((await test.events(stuck))?.sealed).toBe(false);
});

it("does not stop under a run that is being created", async () => {
  const door = gate();
  let create: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (create = resolve));
  const slow = (store: MetadataStore): MetadataStore => ({
    ...store,
    runs: {
      ...store.runs,
      create: async (params) => {
        const outcome = await store.runs.create(params);
        await held;
        return outcome;
      },
    },
  });
  const test = await openRuntime({ scripts: { door: door.script }, wrapStore: slow });
  const created = test.run("door");
  await turns();
  let isStopped = false;
  const stopped = test.runtime.stop({ drainMs: 1_000 }).then(() => (isStopped = true));
  await turns(20);
  expect(isStopped).toBe(false);
  create();
  const run = await created;
  await test.until(() => isStopped, "the stop", 200);
  await stopped;
  expect(await test.row(run)).toMatchObject({ status: "pending", attempt: 0 });
  expect(test.log.filter((line) => line.level === "error")).toEqual([]);
});

it("starts and stops once, whatever the order of calls", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, start: false });
  await Promise.all([test.runtime.start(), test.runtime.start()]);
  await test.runtime.start();
  const timers = test.clock.pendingTimers;
  expect(timers).toBe(3);
  const run = await test.run("quick");
  const both = [test.runtime.stop({ drainMs: 1_000 }), test.runtime.stop({ drainMs: 1_000 })];
  await Promise.all(both);
  expect((await test.row(run))?.status).toBe("success");
  await test.runtime.start();
  await test.runtime.stop({ drainMs: 0 });
  await turns();
  // The event log keeps one of its own.
  expect(test.clock.pendingTimers).toBeLessThanOrEqual(1);
});

it("stops for good when it is told to while it starts", async () => {
  const calls: string[] = [];
  const slow = (store: MetadataStore): MetadataStore =>
    withFaults(store, (name) => {
      calls.push(name);
      return "none";
    });
  const test = await openRuntime({ scripts: { quick: succeed() }, start: false, wrapStore: slow });
  const started = test.runtime.start();
  const stopped = test.runtime.stop({ drainMs: 0 });
  await Promise.all([started, stopped]);
  expect(test.clock.pendingTimers).toBe(0);
  calls.length = 0;
  test.clock.advance(60_000);
  await turns(20);
  expect(calls).toEqual([]);
});

it("resolves every stop only when the last run has ended", async () => {
  const door = gate({}, { deaf: true });
  const test = await openRuntime({ scripts: { door: door.script } });
  await test.run("door");
  await turns();
  let ended = 0;
  const stop = () => test.runtime.stop({ drainMs: 0 }).then(() => (ended += 1));
  void Promise.all([stop(), stop()]);
  test.clock.advance(10);
  await turns(20);
  expect(ended).toBe(0);
  door.release();
  await test.until(() => ended === 2, "both stops");
});

it("starts although it can't see yet which logs a crash left", async () => {
  const test = await openRuntime({
    scripts: { quick: succeed() },
    start: false,
    wrapLog: (log) => withFaults(log, (name) => (name === "unsealed" ? "refused" : "none")),
  });
  await test.runtime.start();
  expect(test.log.filter(({ level }) => level === "error")).toHaveLength(1);
  const run = await test.run("quick");
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
});

it("starts although the first look for lost runs fails, and looks again", async () => {
  let calls = 0;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    start: false,
    wrapStore: (store) =>
      withFaults(store, (name) => (name === "runs.reapExpired" && (calls += 1) === 1 ? "refused" : "none")),
  });
  const run = await test.run("quick");
  await test.store.runs.claim({ workerId: "dead", leaseMs: 1, limit: 1 });
  test.clock.advance(10);
  await test.runtime.start();
  await test.until(async () => (await test.row(run))?.status === "success", "the run", 1_000);
  expect(calls).toBeGreaterThan(1);
});

it("claims again at the next poll when claiming fails", async () => {
  let calls = 0;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    wrapStore: (store) =>
      withFaults(store, (name) => (name === "runs.claim" && (calls += 1) <= 3 ? "refused" : "none")),
    dispatcher: deaf,
    concurrency: 1,
  });
  await test.run("quick", { afterSeconds: 0.001 });
  const run = await test.run("quick", { afterSeconds: 0.001 });
  await test.until(async () => (await test.row(run))?.status === "success", "the run", 500);
  expect(calls).toBeGreaterThan(3);
});

it("keeps a run that it has claimed again while a heartbeat was under way that calls the former lease lost", async () => {
  const held: PromiseWithResolvers<void>[] = [];
  const test = await openRuntime({
    scripts: { stuck: never() },
    leaseMs: 3_000,
    // After the heartbeat, whatever is drawn for it.
    pollMs: 1_500,
    wrapStore: (store) => ({
      ...store,
      runs: {
        ...store.runs,
        async heartbeat(params) {
          const answer = await store.runs.heartbeat(params);
          if (answer.lost.length > 0) {
            held.push(Promise.withResolvers());
            await held.at(-1)!.promise;
          }
          return answer;
        },
      },
    }),
  });
  const run = await test.run("stuck");
  await turns(50);
  await test.store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false });
  test.clock.advance(1_000);
  await turns(50);
  expect(held).toHaveLength(1);
  test.clock.advance(900);
  await turns(50);
  expect(await test.row(run)).toMatchObject({ status: "running", attempt: 2 });
  held[0]!.resolve();
  await turns(50);
  expect(test.scripted.executions).toHaveLength(2);
  // Still executed, and renewed.
  for (let second = 0; second < 8; second += 1) {
    test.clock.advance(1_000);
    await turns(50);
  }
  expect(await test.row(run)).toMatchObject({ status: "running", attempt: 2 });
});
