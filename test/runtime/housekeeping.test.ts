import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { ALL_ROWS, ANONYMOUS } from "../../src/core/auth.js";
import type { EventLog } from "../../src/core/event-log.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import { toJsonText } from "../../src/core/json.js";
import type { NewRunEvent } from "../../src/core/run-event.js";
import type { Run, RunRef } from "../../src/core/run.js";
import { threadLogOf } from "../../src/core/thread-event.js";
import { createLifecycle } from "../../src/runtime/lifecycle.js";
import { createLogReconciler } from "../../src/runtime/reconcile-logs.js";
import { createWorkerId, mayBeAlive } from "../../src/runtime/worker-identity.js";
import { gate, succeed } from "../../src/testing/scripted-engine.js";
import { type Fault, withFaults } from "../support/faults.js";
import { openRuntime, type TestRuntime, turns } from "./harness.js";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

const threadsLeft = (test: TestRuntime): Promise<number> => test.store.threads.count({ access: ALL_ROWS });

it("sweeps threads of resumable temporary runs once their events are no longer kept", async () => {
  const test = await openRuntime({ scripts: { quick: succeed({ n: 1 }) } });
  const run = await test.run("quick", { threadId: null, streamResumable: true });
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  test.clock.advance(100_000);
  await turns(20);
  expect(await threadsLeft(test)).toBe(1);
  expect(await test.events(run)).not.toBeNull();
  for (let i = 0; i < 6; i += 1) {
    test.clock.advance(5_000);
    await turns(20);
  }
  expect(await threadsLeft(test)).toBe(0);
  expect(await test.events(run)).toBeNull();
});

it("removes at most 200 threads per round, and all of them in quick rounds", async () => {
  const removed: number[] = [];
  const test = await openRuntime({
    scripts: { quick: succeed() },
    wrapStore: (store) => ({
      ...store,
      runs: {
        ...store.runs,
        abandonedTemporaryThreads: async (params) => {
          const found = await store.runs.abandonedTemporaryThreads(params);
          removed.push(found.length);
          return found;
        },
      },
    }),
  });
  for (let i = 0; i < 450; i += 1) await test.run("quick", { threadId: null, streamResumable: true });
  await test.until(
    async () => (await test.store.threads.count({ status: "idle", access: ALL_ROWS })) === 450,
    "450 runs",
  );
  test.clock.advance(119_000);
  await turns(20);
  const startedAt = test.clock.now();
  await test.until(async () => (await threadsLeft(test)) === 0, "an empty store", 50);
  expect(removed.filter((count) => count > 0)).toEqual([200, 200, 50]);
  expect(test.clock.now() - startedAt).toBeLessThan(10_000);
});

it("goes on sweeping after a round that failed", async () => {
  let isDown = true;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    wrapStore: (store) =>
      withFaults(store, (name) => (name.startsWith("runs.abandoned") && isDown ? "refused" : "none")),
  });
  const run = await test.run("quick", { threadId: null, streamResumable: true });
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  test.clock.advance(130_000);
  await turns(20);
  expect(test.log.some((line) => line.message.startsWith("sweeping failed"))).toBe(true);
  isDown = false;
  await test.until(async () => (await threadsLeft(test)) === 0, "an empty store", 1_000);
  expect(await test.row(run)).toBeNull();
});

it("looks after logs of threads also while those of runs cannot be looked at", async () => {
  const test = await openRuntime({
    scripts: {},
    start: false,
    wrapLog: (log) => withFaults(log, (name) => (name === "unsealed" ? "refused" : "none")),
  });
  const gone = threadLogOf(randomUUID());
  await test.eventLog.begin(gone, { leaseToken: 1, lasting: true });
  test.eventLog.append(gone, [{ event: "values", data: toJsonText({}), kind: "state" }]);
  await test.runtime.start();
  expect(test.log.map(({ message }) => message)).toContain("sweeping failed: event logs of runs that a crash left");
  await test.until(async () => (await test.eventLog.extent(gone)) === null, "the end of its log", 1_000);
});

/** A log that was begun, never sealed, and is now another process's to reconcile. */
function crashed(log: EventLog, left: RunRef[]): EventLog {
  return new Proxy(log, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (key === "unsealed") return async () => left.slice(0, 3);
      if (key === "seal") {
        return async (run: RunRef, last: readonly NewRunEvent[]) => {
          left.splice(
            left.findIndex(({ runId }) => runId === run.runId),
            1,
          );
          await target.seal(run, last);
        };
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

const reconcilerParts = ({ store, clock, scripted: { checkpointer } }: TestRuntime) => ({
  store,
  clock,
  checkpointer,
  logger: SILENT,
});

it("reconciles the logs of runs that had ended or were deleted, and leaves those that wait", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const runs: Run[] = [];
  for (let i = 0; i < 5; i += 1) runs.push(await test.run("quick", { streamResumable: true }));
  const [success, interrupted, failed, deleted, pending] = [runs[0]!, runs[1]!, runs[2]!, runs[3]!, runs[4]!];
  const claimed = await test.store.runs.claim({ workerId: "dead", leaseMs: 1, limit: 4 });
  const lease = (run: RunRef) => claimed.find((claim) => claim.run.runId === run.runId)!.lease;
  const end = (run: RunRef, status: "success" | "interrupted" | "error") =>
    test.store.runs.finish({
      lease: lease(run),
      outcome: { kind: "ended", status },
      threadPatch: {},
      hasNext: false,
    });
  await end(success, "success");
  await end(interrupted, "interrupted");
  await end(failed, "error");
  await test.store.runs.finish({
    lease: lease(deleted),
    outcome: { kind: "rolled-back" },
    threadPatch: {},
    hasNext: false,
  });
  const left: RunRef[] = [success, interrupted, failed, deleted];
  const { clock } = test;
  const parts = reconcilerParts(test);
  const reconcile = createLogReconciler({ ...parts, eventLog: crashed(test.eventLog, left) });
  const settleMs = 5_000;
  await reconcile();
  clock.advance(settleMs - 1);
  await reconcile();
  // A living worker may be about to say it.
  expect(left).toHaveLength(4);
  clock.advance(1);
  await reconcile();
  expect(left).toEqual([deleted]);
  // Only every twelfth round ships whole rows to find out who is gone; then that run may be about to be told of as well.
  for (let round = 0; round < 11; round += 1) {
    expect(left).toEqual([deleted]);
    clock.advance(settleMs);
    await reconcile();
  }
  expect(left).toEqual([]);
  expect(await test.ending(success)).toBe("end success");
  expect(await test.ending(interrupted)).toBe("end interrupted");
  expect(await test.ending(failed)).toBe("error");
  expect(await test.ending(deleted)).toBe("end rollback");
  const waiting: RunRef[] = [pending];
  const again = createLogReconciler({ ...parts, eventLog: crashed(test.eventLog, waiting) });
  for (let round = 0; round < 30; round += 1) {
    await again();
    clock.advance(settleMs);
  }
  expect(waiting).toEqual([pending]);
  expect(await test.ending(pending)).toBeNull();
});

/**
 * A process that dies at a call: what it is asked from then on is refused.
 * @param at such as `checkpointer.deleteRun` @returns faults for what is wrapped, by its prefix
 */
function deathAt(at: string): (prefix: string) => (name: string) => Fault {
  let isDead = false;
  return (prefix) => (name) => {
    isDead ||= `${prefix}${name}` === at;
    // It is synchronous.
    return isDead && name !== "append" ? "refused" : "none";
  };
}

/** A process that dies in the deletion of a thread whose run has just written once more. */
async function dieInDeletion(at: string) {
  const die = deathAt(at);
  const door = gate({ late: true }, { deaf: true });
  const test = await openRuntime({
    scripts: { quick: succeed({ secret: true }), door: door.script },
    wrapStore: (store) => withFaults(store, die("")),
    wrapCheckpointer: (checkpointer) => withFaults(checkpointer, die("checkpointer.")),
    wrapLog: (log) => withFaults(log, die("log.")),
  });
  const first = await test.run("quick");
  const { threadId } = first;
  await test.until(async () => (await test.row(first))?.status === "success", "the first run");
  const run = await test.run("door", { threadId });
  await turns();
  await expect(test.services.threads.delete(ANONYMOUS, threadId)).rejects.toThrow("injected");
  door.release();
  await turns();
  return { test, threadId, run };
}

it.each(["checkpointer.deleteThread", "threads.delete"])(
  "leaves a thread that can be seen and deleted again when its process dies in the deletion at %s",
  async (at) => {
    const { test, threadId } = await dieInDeletion(at);
    const { store, scripted, eventLog, clock } = test;
    expect(await store.threads.get({ threadId, access: ALL_ROWS })).not.toBeNull();
    const storage = { store, scripted, eventLog, clock };
    const next = await openRuntime({ scripts: {}, storage, workerId: "worker-2", start: false });
    await next.services.threads.delete(ANONYMOUS, threadId);
    expect(scripted.checkpoints(threadId)).toEqual([]);
  },
);

it.each(["checkpointer.deleteRun", "runs.delete"])(
  "leaves a run that can be seen and deleted again when its process dies in the deletion at %s",
  async (at) => {
    const die = deathAt(at);
    const test = await openRuntime({
      scripts: { quick: succeed({ n: 1 }) },
      wrapStore: (store) => withFaults(store, die("")),
      wrapCheckpointer: (checkpointer) => withFaults(checkpointer, die("checkpointer.")),
    });
    const first = await test.run("quick");
    await test.until(async () => (await test.row(first))?.status === "success", "the first run");
    const run = await test.run("quick", { threadId: first.threadId });
    await test.until(async () => (await test.row(run))?.status === "success", "the second run");
    await expect(test.services.runs.delete(ANONYMOUS, run)).rejects.toThrow("injected");
    expect(await test.row(run)).not.toBeNull();
    const { store, scripted, eventLog, clock } = test;
    const storage = { store, scripted, eventLog, clock };
    const next = await openRuntime({ scripts: {}, storage, workerId: "worker-2", start: false });
    await next.services.runs.delete(ANONYMOUS, run);
    expect(await test.row(run)).toBeNull();
    expect(scripted.checkpoints(run.threadId).map(({ runId }) => runId)).toEqual([first.runId]);
  },
);

it("removes what the run of a deleted thread wrote last although the process died, and keeps a new thread's own", async () => {
  const { test, threadId, run } = await dieInDeletion("checkpointer.deleteRun");
  const { scripted, eventLog, clock } = test;
  const runsOf = () => scripted.checkpoints(threadId).map(({ runId }) => runId);
  expect(runsOf()).toEqual([run.runId]);
  const { store } = test;
  await store.threads.create({ threadId, metadata: {}, access: ALL_ROWS });
  const storage = { store, scripted, eventLog, clock };
  const next = await openRuntime({ scripts: {}, storage, workerId: "worker-2" });
  const again = await next.run("quick", { threadId });
  await next.until(async () => (await next.row(again))?.status === "success", "the new run");
  const left: RunRef[] = [run];
  const reconcile = createLogReconciler({ ...reconcilerParts(test), eventLog: crashed(eventLog, left) });
  await reconcile();
  expect(left).toEqual([run]);
  clock.advance(5_000);
  await reconcile();
  expect(left).toEqual([]);
  expect(runsOf()).toEqual([again.runId]);
});

it("gives the slot back when the store fails to create a run", async () => {
  let isDown = true;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    concurrency: 1,
    wrapStore: (store: MetadataStore) =>
      withFaults(store, (name) => (name === "runs.create" && isDown ? "refused" : "none")),
  });
  for (let i = 0; i < 3; i += 1) await expect(test.run("quick")).rejects.toThrow("injected");
  isDown = false;
  const run = await test.run("quick");
  expect(run.status).toBe("running");
  await test.until(async () => (await test.row(run))?.status === "success", "the run");
});

it("executes a created run although its log could not be begun at first", async () => {
  let begun = 0;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    concurrency: 1,
    wrapLog: (log) => withFaults(log, (name) => (name === "begin" && (begun += 1) <= 2 ? "refused" : "none")),
  });
  const threadId = await test.newThread();
  await expect(test.run("quick", { threadId })).rejects.toThrow("injected");
  const [run] = await test.services.runs.list(ANONYMOUS, threadId, { limit: 1, offset: 0 });
  await test.until(async () => (await test.row(run!))?.status === "success", "the run", 50);
  expect(await test.row(run!)).toMatchObject({ attempt: 1 });
  expect(await test.ending(run!)).toBe("end success");
});

it("creates a run although the readers of a superseded one can't be told", async () => {
  let failures = 0;
  const test = await openRuntime({
    scripts: { quick: succeed() },
    concurrency: 0,
    wrapLog: (log) => withFaults(log, (name) => (name === "seal" && (failures += 1) <= 6 ? "refused" : "none")),
  });
  const threadId = await test.newThread();
  const first = await test.run("quick", { threadId });
  const second = await test.run("quick", { threadId });
  let third: Run | undefined;
  void test.run("quick", { threadId, multitaskStrategy: "interrupt" }).then((run) => (third = run));
  await test.until(() => third !== undefined, "the third run", 50);
  expect(third?.status).toBe("pending");
  for (const run of [first, second]) expect((await test.row(run))?.status).toBe("interrupted");
  // Five tries for the first one, which fails; two for the second.
  expect(failures).toBe(7);
  expect(await test.ending(second)).toBe("end interrupted");
  expect(test.log.some((line) => line.level === "error" && line.fields["runId"] === first.runId)).toBe(true);
});

it("ends a joiner whose run was deleted while it joined", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const run = await test.run("quick");
  const get = test.store.runs.get;
  Object.assign(test.store.runs, {
    get: async (params: Parameters<typeof get>[0]) => {
      const found = await get(params);
      if (found !== null) await test.services.threads.delete(ANONYMOUS, run.threadId);
      return found;
    },
  });
  const attached = await test.services.runs.join(ANONYMOUS, run, "start");
  expect(await test.services.runs.result(ANONYMOUS, attached)).toBe("null");
});

it("runs the steps of a lifecycle once", async () => {
  const calls: string[] = [];
  let attempts = 0;
  const lifecycle = createLifecycle<[number]>({
    start: async () => {
      attempts += 1;
      await turns(1);
      if (attempts === 1) throw new Error("no");
      calls.push("start");
    },
    stop: async (drainMs) => void calls.push(`stop ${String(drainMs)}`),
  });
  const both = await Promise.allSettled([lifecycle.start(), lifecycle.start()]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(attempts).toBe(1);
  const restarted = lifecycle.start();
  expect(lifecycle.isStopping()).toBe(false);
  await Promise.all([lifecycle.stop(5), lifecycle.stop(6), restarted]);
  await lifecycle.start();
  expect(calls).toEqual(["start", "stop 5"]);
  expect(lifecycle.isStopping()).toBe(true);
});

it("knows its own process, and one that is gone", () => {
  const own = createWorkerId();
  expect(own).toBe(createWorkerId());
  expect(mayBeAlive(own)).toBe(true);
  expect(mayBeAlive("another-machine/boot/ns:1:1")).toBe(true);
  expect(mayBeAlive("garbage")).toBe(true);
  // The same pid, started at another time.
  const [, machine] = /^(.*):\d+:\d+$/.exec(own)!;
  expect(mayBeAlive(`${machine!}:${String(process.pid)}:1`)).toBe(false);
  expect(mayBeAlive(`${machine!}:4194304:1`)).toBe(false);
});
