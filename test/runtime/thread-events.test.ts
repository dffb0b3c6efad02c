import { describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import { type JsonObject, parseJsonText, toJsonText } from "../../src/core/json.js";
import type { RunEvent } from "../../src/core/run-event.js";
import type { Run } from "../../src/core/run.js";
import { threadLogOf } from "../../src/core/thread-event.js";
import { ask, fail, gate, never, succeed } from "../../src/testing/scripted-engine.js";
import { MemoryEventLog } from "../../src/streaming/memory-event-log.js";
import { openRuntime, type RuntimeOptions, type TestRuntime, turns } from "./harness.js";

async function open(options: RuntimeOptions) {
  const server = await openRuntime(options);
  const threadId = await server.newThread();
  await server.store.threads.watch({ threadId, access: ALL_ROWS });
  return { ...server, threadId };
}

const eventsOf = async (server: TestRuntime, threadId: string): Promise<readonly RunEvent[]> =>
  (await server.events(threadLogOf(threadId)))?.events ?? [];

const params = (event: RunEvent): JsonObject => parseJsonText(event.data) as JsonObject;
const data = (event: RunEvent): JsonObject => params(event)["data"] as JsonObject;

/** `lifecycle running`, `values`, … */
const outline = async (server: TestRuntime, threadId: string): Promise<readonly string[]> =>
  (await eventsOf(server, threadId)).map((event) =>
    event.event === "lifecycle" ? `lifecycle ${(data(event) as { event: string }).event}` : event.event,
  );

/** A run of one state. */
const whole = (end: string): readonly string[] => ["lifecycle running", "values", `lifecycle ${end}`];

const ended = async (server: TestRuntime, run: Run): Promise<void> =>
  server.until(async () => (await server.ending(run)) !== null, "the end of the run");

/** A thread's log with these events alone, after the server that wrote them has stopped; its clock may have been wrong. */
async function logOf(
  server: TestRuntime,
  threadId: string,
  events: readonly RunEvent[],
  aheadMs = 0,
): Promise<MemoryEventLog> {
  await server.runtime.stop({ drainMs: 0 });
  const eventLog = new MemoryEventLog({ clock: server.clock });
  const log = threadLogOf(threadId);
  await eventLog.begin(log, { leaseToken: 1, lasting: true });
  const late = events.map((event) => {
    const timestamp = Number(params(event)["timestamp"]) + aheadMs;
    return { ...event, data: toJsonText({ ...params(event), timestamp }) };
  });
  eventLog.append(log, late);
  return eventLog;
}

describe("the log of a watched thread", () => {
  it("has the run's events between its beginning and its end, and rests then", async () => {
    const server = await open({ scripts: { quick: succeed({ n: 1 }) } });
    const { threadId } = server;
    const run = await server.run("quick", { threadId });
    await ended(server, run);
    const events = await eventsOf(server, threadId);
    expect(events.map(({ seq }) => seq)).toEqual([0, 1, 2]);
    const root = { namespace: [], timestamp: expect.any(Number), run_id: run.runId };
    expect(events.map((event) => params(event))).toEqual([
      { ...root, data: { event: "running", graph_name: "quick" } },
      { namespace: [], timestamp: 0, data: { n: 1 } },
      { ...root, data: { event: "completed", graph_name: "quick" } },
    ]);
    // Expired, not forgotten.
    server.clock.advance(120_001);
    await server.eventLog.sweep();
    expect(await server.eventLog.extent(threadLogOf(threadId))).toMatchObject({ nextSeq: 3, evictedToSeq: 2 });
  });

  it("goes on from run to run", async () => {
    const server = await open({ scripts: { quick: succeed(), ask: ask("ok?") } });
    const { threadId } = server;
    const runs = [
      await server.run("quick", { threadId }),
      await server.run("ask", { threadId }),
      await server.run("quick", { threadId }),
    ];
    for (const run of runs) await ended(server, run);
    expect(await outline(server, threadId)).toEqual([
      ...whole("completed"),
      ...whole("interrupted"),
      ...whole("completed"),
    ]);
    expect((await eventsOf(server, threadId)).map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("is not written for a thread that nobody watches", async () => {
    const server = await openRuntime({ scripts: { quick: succeed() } });
    const run = await server.run("quick");
    await ended(server, run);
    expect(await server.events(threadLogOf(run.threadId))).toBeNull();
  });

  it.each([
    ["fails", fail("TypeError", "Boo!"), { event: "failed", error: "Boo!" }],
    ["stops at an interrupt", ask("ok?"), { event: "interrupted" }],
  ])("says how a run ends that %s", async (_, script, expected) => {
    const server = await open({ scripts: { graph: script } });
    const run = await server.run("graph", { threadId: server.threadId });
    await ended(server, run);
    const last = (await eventsOf(server, server.threadId)).at(-1);
    expect(last && data(last)).toEqual({ ...expected, graph_name: "graph" });
  });

  it.each([
    ["interrupt", "interrupted"],
    ["rollback", "interrupted"],
  ] as const)("says that a cancelled run is over: %s", async (action, expected) => {
    const server = await open({ scripts: { stuck: never() } });
    const run = await server.run("stuck", { threadId: server.threadId });
    await server.until(async () => (await outline(server, server.threadId)).includes("values"), "the run");
    await server.store.runs.requestCancel({ runId: run.runId, action, access: ALL_ROWS });
    server.dispatcher.signal(run, action);
    await ended(server, run);
    expect(await outline(server, server.threadId)).toEqual(["lifecycle running", "values", `lifecycle ${expected}`]);
  });

  it("says that a run took too long", async () => {
    const server = await open({ scripts: { stuck: never() }, runTimeoutMs: 1_000 });
    const run = await server.run("stuck", { threadId: server.threadId });
    await server.until(async () => (await server.ending(run)) !== null, "the limit", 100);
    const last = (await eventsOf(server, server.threadId)).at(-1);
    expect(last && data(last)).toMatchObject({ event: "failed", error: expect.stringContaining("longer than 1 s") });
  });

  it("says the end only when the store has it", async () => {
    const seen: (string | undefined)[] = [];
    const store: { current?: TestRuntime["store"] } = {};
    const server = await open({
      scripts: { quick: succeed({ n: 1 }) },
      wrapLog: (log) =>
        new Proxy(log, {
          get: (target, key) => {
            const member = Reflect.get(target, key) as unknown;
            if (typeof member !== "function") return member;
            return (...args: readonly unknown[]): unknown => {
              const [, events] = args as readonly [unknown, readonly RunEvent[]];
              if (key === "append" && events.some(({ data: text }) => text.includes('"completed"'))) {
                const { threadId } = args[0] as Run;
                void store.current?.threads.get({ threadId, access: ALL_ROWS }).then((row) => {
                  seen.push(row?.status, row?.values ?? undefined);
                });
              }
              return Reflect.apply(member, target, args);
            };
          },
        }),
    });
    store.current = server.store;
    const run = await server.run("quick", { threadId: server.threadId });
    await ended(server, run);
    expect(seen).toEqual(["idle", toJsonText({ n: 1 })]);
  });

  it("says which interrupts a run answers, if it answers by id", async () => {
    const server = await open({ scripts: { quick: succeed() } });
    const { threadId } = server;
    const ids = ["0123456789abcdef0123456789abcdef", "f".repeat(32)];
    const byId = await server.run("quick", {
      threadId,
      command: { resume: { [ids[0] as string]: true, [ids[1] as string]: null } },
    });
    await ended(server, byId);
    const answered = (await eventsOf(server, threadId)).filter(({ event }) => event === "input.answered");
    expect(answered.map((event) => params(event))).toEqual([
      { namespace: [], timestamp: expect.any(Number), data: { interrupt_ids: ids } },
    ]);
    expect((await outline(server, threadId)).slice(0, 2)).toEqual(["lifecycle running", "input.answered"]);
    for (const resume of ["yes", { answer: true }, {}, [ids[0]]]) {
      await ended(server, await server.run("quick", { threadId, command: { resume } as JsonObject }));
    }
    expect((await outline(server, threadId)).filter((line) => line === "input.answered")).toHaveLength(1);
  });

  it("goes on when a run is given back and taken up again", async () => {
    const door = gate();
    const server = await open({ scripts: { door: door.script } });
    const { threadId } = server;
    const run = await server.run("door", { threadId });
    await server.until(() => door.waiting.length === 1, "the run");
    let isStopped = false;
    void server.runtime.stop({ drainMs: 0 }).then(() => (isStopped = true));
    await server.until(() => isStopped, "the stop", 100);
    expect(await outline(server, threadId)).toEqual(["lifecycle running", "values"]);
    const { clock, store, eventLog, scripted } = server;
    const other = await openRuntime({
      scripts: {},
      workerId: "worker-2",
      storage: { clock, store, eventLog, scripted },
    });
    door.release();
    await ended(other, run);
    expect(await outline(other, threadId)).toEqual([
      "lifecycle running",
      "values",
      "lifecycle running",
      "values",
      "values",
      "lifecycle completed",
    ]);
  });

  it.each([-60_000, 0, 60_000])(
    "is told the end that another worker could not say any more, whose clock is %i ms ahead",
    async (aheadMs) => {
      const server = await open({ scripts: { quick: succeed() } });
      const { threadId, clock, store, scripted } = server;
      const first = await server.run("quick", { threadId });
      await ended(server, first);
      // As the log is when the worker has died between the row's end and its own.
      const cut = await logOf(server, threadId, (await eventsOf(server, threadId)).slice(0, -1), aheadMs);
      const other = await openRuntime({ scripts: {}, storage: { clock, store, eventLog: cut, scripted } });
      const second = await other.run("quick", { threadId });
      await ended(other, second);
      expect(await outline(other, threadId)).toEqual([...whole("completed"), ...whole("completed")]);
      const runs = (await eventsOf(other, threadId)).flatMap((event) => params(event)["run_id"] ?? []);
      expect(runs).toEqual([first.runId, first.runId, second.runId, second.runId]);
    },
  );

  it.each([-60_000, 60_000])(
    "is told no end of a run that an attempt has followed, whose worker's clock is %i ms ahead",
    async (aheadMs) => {
      const door = gate();
      const server = await open({ scripts: { quick: succeed(), door: door.script } });
      const { threadId, clock, store, scripted } = server;
      await ended(server, await server.run("quick", { threadId }));
      const run = await server.run("door", { threadId });
      await server.until(() => door.waiting.length === 1, "the run");
      let isStopped = false;
      const before = await eventsOf(server, threadId);
      void server.runtime.stop({ drainMs: 0 }).then(() => (isStopped = true));
      await server.until(() => isStopped, "the stop", 100);
      const left = await logOf(server, threadId, before, aheadMs);
      const other = await openRuntime({
        scripts: {},
        workerId: "worker-2",
        storage: { clock, store, eventLog: left, scripted },
      });
      await server.until(() => door.waiting.length > 0, "the second attempt", 100);
      door.release();
      await ended(other, run);
      const [attempt] = [["lifecycle running", "values"]];
      expect((await outline(other, threadId)).slice(0, 7)).toEqual([...whole("completed"), ...attempt, ...attempt]);
    },
  );

  it("is told that a run is over whose row is gone", async () => {
    const server = await open({ scripts: { quick: succeed() } });
    const { threadId, clock, store, scripted } = server;
    const gone = await server.run("quick", { threadId });
    await ended(server, gone);
    const cut = await logOf(server, threadId, (await eventsOf(server, threadId)).slice(0, -1));
    await store.runs.delete({ runId: gone.runId, threadId, access: ALL_ROWS });
    const other = await openRuntime({ scripts: {}, storage: { clock, store, eventLog: cut, scripted } });
    await ended(other, await other.run("quick", { threadId }));
    expect(await outline(other, threadId)).toEqual([...whole("interrupted"), ...whole("completed")]);
  });

  it("of a deleted thread is gone with its run", async () => {
    const door = gate();
    const server = await open({ scripts: { door: door.script } });
    const { threadId } = server;
    await server.run("door", { threadId });
    await server.until(() => door.waiting.length === 1, "the run");
    await server.store.threads.delete({ threadId, access: ALL_ROWS });
    await server.eventLog.dropThread(threadId);
    door.release();
    await server.until(() => door.waiting.length === 0, "the run's end");
    await turns(20);
    expect(await server.events(threadLogOf(threadId))).toBeNull();
  });
});
