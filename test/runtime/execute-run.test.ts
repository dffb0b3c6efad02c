import { expect, it } from "vitest";
import { ALL_ROWS, ANONYMOUS } from "../../src/core/auth.js";
import type { EventLog } from "../../src/core/event-log.js";
import { HeddleError } from "../../src/core/errors.js";
import { parseJsonText } from "../../src/core/json.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { RunRef } from "../../src/core/run.js";
import { isTerminal } from "../../src/core/run-lifecycle.js";
import { ask, crash, fail, gate, never, succeed } from "../../src/testing/scripted-engine.js";
import { everyNth, withFaults } from "../support/faults.js";
import { openRuntime, turns } from "./harness.js";

it("publishes the end only when the store has accepted it", async () => {
  const order: string[] = [];
  const recordStore = (store: MetadataStore): MetadataStore => ({
    ...store,
    runs: {
      ...store.runs,
      finish: async (params) => {
        order.push("finish asked");
        await turns(3);
        const outcome = await store.runs.finish(params);
        order.push(`finish ${outcome.accepted ? "accepted" : "refused"}`);
        return outcome;
      },
    },
  });
  const recordLog = (log: EventLog): EventLog =>
    new Proxy(log, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          const events = (args[1] ?? []) as { event: string }[];
          if (key === "append") for (const { event } of events) order.push(event);
          if (key === "seal") order.push(`seal with ${events.map(({ event }) => event).join()}`);
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
  const test = await openRuntime({
    scripts: { quick: succeed(), broken: fail("TypeError", "Boo!") },
    wrapStore: recordStore,
    wrapLog: recordLog,
  });
  for (const [graphId, last] of [
    ["quick", "end"],
    ["broken", "error"],
  ] as const) {
    order.length = 0;
    const run = await test.run(graphId);
    await test.until(async () => (await test.ending(run)) !== null, "the end");
    const expected = ["metadata", "values", "finish asked", "finish accepted", `seal with ${last}`];
    expect(order).toEqual(expected.filter((step) => step !== "values" || graphId === "quick"));
  }
});

it("rolls back a run that was about to finish: row and checkpoints are gone, the thread is as before", async () => {
  const door = gate({ n: 2 }, { deaf: true });
  const test = await openRuntime({ scripts: { quick: succeed({ n: 1 }), door: door.script } });
  const first = await test.run("quick");
  const { threadId } = first;
  await test.until(async () => (await test.row(first))?.status === "success", "the first run");
  const run = await test.run("door", { threadId });
  await turns();
  await test.services.runs.cancel(ANONYMOUS, run, { action: "rollback", wait: false });
  door.release();
  await test.until(async () => (await test.row(run)) === null, "the rollback");
  expect(test.scripted.checkpoints(threadId).map((checkpoint) => checkpoint.runId)).toEqual([first.runId]);
  expect(await test.ending(run)).toBe("end rollback");
  const thread = await test.services.threads.get(ANONYMOUS, threadId);
  expect(thread.status).toBe("idle");
  expect(parseJsonText(thread.values!)).toEqual({ n: 1 });
});

it("rolls back at once a run that was interrupted first", async () => {
  const door = gate({}, { deaf: true });
  // The interrupt aborts the graph, and the rollback comes before it has stopped.
  const test = await openRuntime({
    scripts: {
      door: async function* slowToStop(run) {
        const deaf = door.script(run);
        for await (const events of { [Symbol.asyncIterator]: () => deaf }) yield events;
        return { kind: "aborted", ...run.state() };
      },
    },
  });
  const run = await test.run("door");
  await turns();
  await test.services.runs.cancel(ANONYMOUS, run, { action: "interrupt", wait: false });
  await turns();
  await test.services.runs.cancel(ANONYMOUS, run, { action: "rollback", wait: false });
  door.release();
  const askedAt = test.clock.now();
  await test.until(async () => (await test.row(run)) === null, "the rollback", 10);
  expect(test.clock.now() - askedAt).toBeLessThan(1_000);
  expect(await test.ending(run)).toBe("end rollback");
  expect(test.scripted.checkpoints(run.threadId)).toEqual([]);
});

it("keeps the success of a run whose interrupt came too late", async () => {
  const door = gate({ n: 1 }, { deaf: true });
  const test = await openRuntime({ scripts: { door: door.script } });
  const run = await test.run("door");
  await turns();
  await test.services.runs.cancel(ANONYMOUS, run, { action: "interrupt", wait: false });
  door.release();
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  expect(await test.ending(run)).toBe("end success");
  expect((await test.row(run))?.status).toBe("success");
});

it("keeps trying to store an end while the database is away, and loses nothing", async () => {
  let isDown = true;
  const test = await openRuntime({
    scripts: { quick: succeed({ n: 1 }) },
    wrapStore: (store) => withFaults(store, (name) => (name === "runs.finish" && isDown ? "refused" : "none")),
  });
  const run = await test.run("quick");
  await turns();
  const downSince = test.clock.now();
  await test.until(async () => test.clock.now() - downSince > 8_000, "eight seconds", 100);
  expect((await test.events(run))?.sealed).toBe(false);
  isDown = false;
  await test.until(async () => (await test.row(run))?.status === "success", "the end", 100);
  expect(await test.row(run)).toMatchObject({ attempt: 1 });
  expect(test.scripted.executions).toHaveLength(1);
});

it("ends a run whose state the store cannot hold as an error that says so, and keeps the thread's state", async () => {
  const small = (store: MetadataStore): MetadataStore => ({
    ...store,
    runs: {
      ...store.runs,
      finish: (params) => {
        if (!(params.threadPatch.values ?? "").includes("large")) return store.runs.finish(params);
        throw new HeddleError("STATE_TOO_LARGE", { message: 'The state has 17 MB; largest: "files" 16 MB' });
      },
    },
  });
  const test = await openRuntime({
    scripts: { quick: succeed({ n: 1 }), growing: succeed({ files: "large" }) },
    wrapStore: small,
  });
  const first = await test.run("quick");
  await test.until(async () => (await test.ending(first)) !== null, "the first end");
  const second = await test.run("growing", { threadId: first.threadId });
  await test.until(async () => (await test.ending(second)) !== null, "the second end");
  const run = await test.store.runs.get({ runId: second.runId, access: ALL_ROWS });
  expect(run).toMatchObject({ status: "error", attempt: 1 });
  const reason = { error: "StateTooLarge", message: 'The state has 17 MB; largest: "files" 16 MB' };
  expect(parseJsonText(run!.error!)).toEqual(reason);
  expect(await test.ending(second)).toBe("error");
  const thread = await test.store.threads.get({ threadId: first.threadId, access: ALL_ROWS });
  expect(parseJsonText(thread!.values!)).toEqual({ n: 1 });
  expect(thread?.status).toBe("error");
});

it("executes a run again when its end could not be stored at all", async () => {
  let refusals = 0;
  const test = await openRuntime({
    scripts: { quick: succeed({ n: 1 }) },
    wrapStore: (store) =>
      withFaults(store, (name) => (name === "runs.finish" && (refusals += 1) <= 30 ? "refused" : "none")),
  });
  const run = await test.run("quick");
  await test.until(async () => (await test.row(run))?.status === "success", "the end", 200);
  expect(await test.row(run)).toMatchObject({ attempt: 2 });
  expect(await test.ending(run)).toBe("end success");
});

it.each(["success", "rollback"] as const)(
  "tells readers of a %s whose answer from the store was lost",
  async (kind) => {
    let losses = 0;
    const door = gate({}, { deaf: true });
    const test = await openRuntime({
      scripts: { door: door.script },
      wrapStore: (store) =>
        withFaults(store, (name) => (name === "runs.finish" && (losses += 1) === 1 ? "answer-lost" : "none")),
    });
    const run = await test.run("door");
    const next = await test.run("door", { threadId: run.threadId });
    if (kind === "rollback") {
      await turns();
      await test.services.runs.cancel(ANONYMOUS, run, { action: "rollback", wait: false });
      // The first finish is refused for the rollback; the answer to the second one is lost.
      losses = -1;
    }
    door.release();
    await test.until(async () => (await test.ending(run)) === `end ${kind}`, "the end", 20);
    // And the thread's next run starts.
    await test.until(async () => (await test.row(next))?.status === "success", "the next run", 20);
    expect(test.scripted.executions).toHaveLength(2);
  },
);

it("fails a run when the engine throws outside the graph, and says nothing of the inside", async () => {
  const test = await openRuntime({ scripts: { broken: crash(new Error("password=secret")) } });
  const run = await test.run("broken");
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  const row = await test.row(run);
  expect(row?.status).toBe("error");
  expect(row?.error).not.toContain("secret");
  expect(JSON.stringify(await test.events(run))).not.toContain("secret");
  expect(test.log.some((line) => line.level === "error" && String(line.fields["err"]).includes("secret"))).toBe(true);
  expect((await test.services.threads.get(ANONYMOUS, run.threadId)).status).toBe("error");
});

it("counts an engine that throws because it was told to stop as stopped", async () => {
  const test = await openRuntime({
    scripts: {
      brittle: async function* brittle(run) {
        yield [];
        await run.wait(new Promise(() => undefined));
        throw new Error("aborted");
      },
    },
  });
  const run = await test.run("brittle");
  const other = await test.run("brittle");
  await turns();
  await test.services.runs.cancel(ANONYMOUS, run, { action: "interrupt", wait: true });
  expect((await test.row(run))?.status).toBe("interrupted");
  const stopped = test.runtime.stop({ drainMs: 0 });
  await test.until(async () => (await test.row(other))?.status === "pending", "the hand-back", 10);
  await stopped;
});

it("forgets a run whose thread is deleted while it runs: no end event, no log, no checkpoint", async () => {
  const door = gate({}, { deaf: true });
  const test = await openRuntime({ scripts: { door: door.script } });
  const run = await test.run("door");
  const queued = await test.run("door", { threadId: run.threadId });
  await turns();
  const reader = test.services.runs.result(ANONYMOUS, await test.services.runs.join(ANONYMOUS, run, "start"));
  await test.services.threads.delete(ANONYMOUS, run.threadId);
  // What was streamed by then is no result.
  expect(parseJsonText(await reader)).toBeNull();
  // The graph goes on for a moment and writes once more.
  door.release();
  await turns(20);
  expect(await test.events(run)).toBeNull();
  expect(await test.events(queued)).toBeNull();
  expect(test.eventLog.size).toBe(0);
  expect(test.scripted.checkpoints(run.threadId)).toEqual([]);
  expect(await test.row(run)).toBeNull();
  expect(test.log.filter((line) => line.level === "error")).toEqual([]);
  // The slot is free, and nothing is left that could come back.
  test.clock.advance(120_000);
  await turns(20);
  expect(test.scripted.executions).toHaveLength(1);
});

it.each(["while it runs", "just when it has found nothing left"] as const)(
  "removes what a run wrote late, and nothing of a thread that was made again %s",
  async (when) => {
    const door = gate({ late: true }, { deaf: true });
    let again = (): Promise<void> => Promise.resolve();
    const test = await openRuntime({
      scripts: { door: door.script, quick: succeed({ new: true }) },
      wrapStore: (store) => ({
        ...store,
        threads: {
          ...store.threads,
          get: async (params) => {
            const found = await store.threads.get(params);
            if (found === null) await again();
            return found;
          },
        },
      }),
    });
    const run = await test.run("door");
    const { threadId } = run;
    await turns();
    await test.services.threads.delete(ANONYMOUS, threadId);
    let made: RunRef | null = null;
    again = async () => {
      if (made !== null) return;
      await test.store.threads.create({ threadId, metadata: {}, access: ALL_ROWS });
      made = await test.run("quick", { threadId });
      await test.until(async () => (await test.row(made!))?.status === "success", "the new run");
    };
    if (when === "while it runs") await again();
    door.release();
    await test.until(() => made !== null && door.waiting.length === 0, "the late write");
    await turns(20);
    expect(test.scripted.checkpoints(threadId)).toMatchObject([{ runId: made!.runId, values: '{"new":true}' }]);
    const thread = await test.services.threads.get(ANONYMOUS, threadId);
    expect(parseJsonText(thread.values!)).toEqual({ new: true });
  },
);

it("leaves no log behind when the thread is deleted between claim and start", async () => {
  const test = await openRuntime({
    scripts: { quick: succeed() },
    wrapStore: (store) => ({
      ...store,
      runs: {
        ...store.runs,
        create: async (params) => {
          const outcome = await store.runs.create(params);
          await store.threads.delete({ threadId: params.draft.threadId, access: ALL_ROWS });
          return outcome;
        },
      },
    }),
  });
  const run = await test.run("quick");
  await test.until(() => test.eventLog.size === 0, "an empty log");
  expect(test.scripted.checkpoints(run.threadId)).toEqual([]);
});

it("removes the thread of a temporary run after its end, however it ends", async () => {
  const test = await openRuntime({
    scripts: { quick: succeed(), broken: fail("E", "m"), ask: ask("?"), stuck: never(), crash: crash(new Error("x")) },
  });
  for (const graphId of ["quick", "broken", "ask", "crash", "stuck"]) {
    const run = await test.run(graphId, { threadId: null });
    const threadExists = async (): Promise<boolean> =>
      (await test.store.threads.get({ threadId: run.threadId, access: ALL_ROWS })) !== null;
    expect(await threadExists()).toBe(true);
    if (graphId === "stuck") {
      await turns();
      await test.services.runs.cancel(ANONYMOUS, run, { action: "interrupt", wait: false });
    }
    await test.until(async () => !(await threadExists()), `the thread of ${graphId}`);
    expect(await test.row(run)).toBeNull();
    // Its readers can still read how it ended.
    expect(await test.ending(run)).not.toBeNull();
  }
});

it("removes the thread of a temporary run that is cancelled before it starts", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const run = await test.run("quick", { threadId: null });
  await test.services.runs.cancel(ANONYMOUS, run, { action: "interrupt", wait: false });
  expect(await test.store.threads.get({ threadId: run.threadId, access: ALL_ROWS })).toBeNull();
  expect(await test.ending(run)).toBe("end interrupted");
});

it("ends a cancelled run although its graph is gone", async () => {
  const test = await openRuntime({ scripts: { quick: succeed() }, concurrency: 0 });
  const run = await test.run("quick");
  await test.store.runs.claim({ workerId: "dead", leaseMs: 1_000, limit: 1 });
  await test.services.runs.cancel(ANONYMOUS, run, { action: "rollback", wait: false });
  const { engine } = test.scripted;
  const withoutGraph = {
    ...test.scripted,
    engine: { ...engine, finalState: () => Promise.reject(new Error("the graph does not load")) },
  };
  const storage = { ...test, scripted: withoutGraph };
  await openRuntime({ scripts: {}, storage, workerId: "worker-2", mayBeAlive: (id) => id !== "dead" });
  await test.until(async () => (await test.row(run)) === null, "the end", 20);
  expect((await test.services.threads.get(ANONYMOUS, run.threadId)).status).toBe("idle");
});

it("ends every run although every third call of the store fails", async () => {
  const decide = everyNth(3, (name) => name !== "runs.create" && !name.startsWith("threads.c") && name !== "durable");
  const test = await openRuntime({
    scripts: { quick: succeed({ n: 1 }), broken: fail("E", "m") },
    concurrency: 4,
    wrapStore: (store) => withFaults(store, decide),
    wrapCheckpointer: (checkpointer) =>
      withFaults(
        checkpointer,
        everyNth(2, () => true),
      ),
  }).catch(() => null);
  expect(test).not.toBeNull();
  if (test === null) return;
  const runs = [];
  for (let i = 0; i < 40; i += 1) {
    const graphId = i % 4 === 3 ? "broken" : "quick";
    // The request itself may be answered with a failure: then nothing was promised.
    const run = await test.run(graphId, { threadId: null, onCompletion: "keep" }).catch(() => null);
    if (run !== null) runs.push(run);
  }
  expect(runs.length).toBeGreaterThan(10);
  for (const run of runs) {
    // A lost claim costs a lease of fake time, in which the logs of runs that ended long ago expire.
    const expired = async (): Promise<boolean> =>
      (await test.events(run)) === null && isTerminal((await test.row(run))?.status ?? "pending");
    await test.until(async () => (await test.ending(run)) !== null || (await expired()), "an end", 50);
    const expected = run.graphId === "broken" ? "error" : "success";
    expect((await test.row(run))?.status).toBe(expected);
  }
});
