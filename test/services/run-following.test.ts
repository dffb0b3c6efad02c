import { expect, it } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import type { CursorRead, EventCursor, EventLog } from "../../src/core/event-log.js";
import { parseJsonText } from "../../src/core/json.js";
import { gate, never } from "../../src/testing/scripted-engine.js";
import { openRuntime, type TestRuntime, turns } from "../runtime/harness.js";
import { withFaults } from "../support/faults.js";

/** A run that waits at its gate, followed by somebody who has read what there is. */
async function openFollowed(options: Partial<Parameters<typeof openRuntime>[0]> = {}) {
  const door = gate({ n: 1 });
  const test = await openRuntime({ scripts: { door: door.script, stuck: never() }, ...options });
  return { test, door };
}

/** Everything that a cursor gives until it ends. */
async function readAll(test: TestRuntime, cursor: EventCursor | null): Promise<readonly string[]> {
  const told: string[] = [];
  let ended = false;
  const reading = (async () => {
    for (;;) {
      const read: CursorRead | undefined = await cursor?.next();
      if (read === undefined || read.kind === "end") return;
      if (read.kind === "gap") told.push(`gap of ${read.lost} before ${read.resumeAtSeq}`);
      else told.push(...read.events.map(({ seq, event }) => `${seq} ${event}`));
    }
  })().finally(() => (ended = true));
  await test.until(() => ended, "the end of the events", 500);
  await reading;
  return told;
}

/** The log of a flushed Redis: nothing is there any more, and what comes is discarded. */
const flush = (test: TestRuntime, run: { readonly runId: string; readonly threadId: string }) =>
  test.eventLog.drop(run);

it("a wait outlives the loss of the log, and gives what the thread holds", async () => {
  const { test, door } = await openFollowed();
  const run = await test.run("door");
  await turns();
  const waiting = test.services.runs.result(ANONYMOUS, await test.services.runs.join(ANONYMOUS, run, "start"));
  await flush(test, run);
  let answered = false;
  void waiting.then(() => (answered = true));
  test.clock.advance(3_000);
  await turns(20);
  expect(answered).toBe(false);
  door.release();
  await test.until(() => answered, "the answer", 100);
  expect(parseJsonText(await waiting)).toEqual({ n: 1 });
});

it("a reader of the stream is told that events are missing, and how the run ended", async () => {
  const { test, door } = await openFollowed();
  const run = await test.run("door");
  await turns();
  const { cursor } = await test.services.runs.join(ANONYMOUS, run, "start");
  await cursor?.next();
  await flush(test, run);
  door.release();
  expect(await readAll(test, cursor)).toEqual(["gap of state before 2", "2 end"]);
});

it("a join of a run whose log was lost is no 404: it follows what comes, and ends", async () => {
  const { test, door } = await openFollowed();
  const run = await test.run("door");
  await turns();
  await flush(test, run);
  const joined = await test.services.runs.join(ANONYMOUS, run, "start");
  const resumed = await test.services.runs.join(ANONYMOUS, run, { afterSeq: 1 });
  // There is a log again by now, but not the events that were asked for.
  expect(joined.cursor).not.toBeNull();
  door.release();
  expect((await readAll(test, joined.cursor)).at(-1)).toMatch(/end$/);
  expect((await readAll(test, resumed.cursor)).at(-1)).toMatch(/end$/);
});

it("whoever comes back to a log that was lost is told so at once", async () => {
  const { test } = await openFollowed();
  const run = await test.run("stuck");
  await turns();
  await flush(test, run);
  expect((await test.services.runs.join(ANONYMOUS, run, { afterSeq: 1 })).cursor).toBeNull();
});

/** Cursors that never say anything: every notice that the log has grown was lost. */
const deafLog = (log: EventLog): EventLog =>
  new Proxy(log, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (key === "open") {
        return async (): Promise<EventCursor> => {
          const closed = Promise.withResolvers<CursorRead>();
          return { next: () => closed.promise, close: () => closed.resolve({ kind: "end" }) };
        };
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });

it("a log that says nothing is given some seconds after the run's end, and then given up", async () => {
  const { test, door } = await openFollowed({ wrapLog: deafLog });
  const run = await test.run("door");
  await turns();
  const attached = await test.services.runs.join(ANONYMOUS, run, "start");
  const waiting = test.services.runs.result(ANONYMOUS, attached);
  const { cursor } = await test.services.runs.join(ANONYMOUS, run, "start");
  const cancelled = await test.run("stuck");
  await turns();
  let isCancelled = false;
  void test.services.runs
    .cancel(ANONYMOUS, cancelled, { action: "interrupt", wait: true })
    .then(() => (isCancelled = true));
  door.release();
  const startedAt = test.clock.now();
  expect(await readAll(test, cursor)).toEqual(["gap of state before 0", "0 end"]);
  expect(parseJsonText(await waiting)).toEqual({ n: 1 });
  await test.until(() => isCancelled, "the cancelled run", 500);
  expect(test.clock.now() - startedAt).toBeLessThan(25_000);
});

it("looks at the rows of all who wait together, and not before some seconds have passed", async () => {
  const asked: string[] = [];
  const { test, door } = await openFollowed({
    concurrency: 200,
    wrapStore: (store) => withFaults(store, (name) => (asked.push(name), "none")),
  });
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < 100; i += 1) {
    const run = await test.run("door");
    waiting.push(test.services.runs.result(ANONYMOUS, await test.services.runs.join(ANONYMOUS, run, "start")));
  }
  await turns();
  test.clock.advance(4_900);
  await turns(20);
  const looks = () => asked.filter((name) => name === "runs.list").length;
  expect(looks()).toBe(0);
  test.clock.advance(55_000);
  await turns(40);
  // Every 10 s in the end, for all of them.
  expect(looks()).toBeGreaterThan(0);
  expect(looks()).toBeLessThan(12);
  door.release();
  for (const result of await Promise.all(waiting)) expect(result).toContain('"n":1');
});

it("answers by the row when the log fails, and says which run", async () => {
  let isDown = false;
  const { test, door } = await openFollowed({
    wrapLog: (log) => withFaults(log, (name) => (name === "open" && isDown ? "refused" : "none")),
  });
  const run = await test.run("door");
  await turns();
  isDown = true;
  const waiting = test.services.runs.result(ANONYMOUS, await test.services.runs.join(ANONYMOUS, run, "start"));
  let isCancelled = false;
  const stuck = await test.run("stuck");
  await turns();
  void test.services.runs
    .cancel(ANONYMOUS, stuck, { action: "interrupt", wait: true })
    .then(() => (isCancelled = true));
  door.release();
  let answer: unknown;
  void waiting.then((text) => (answer = parseJsonText(text)));
  await test.until(() => isCancelled && answer !== undefined, "both", 50);
  expect(answer).toEqual({ n: 1 });
  expect(test.log.filter(({ message }) => message.startsWith("the event log failed"))).toHaveLength(2);
});

it("says of a stateless run that its result is lost, when it is", async () => {
  const { test, door } = await openFollowed();
  const run = await test.run("door", { threadId: null });
  await turns();
  const waiting = test.services.runs.result(ANONYMOUS, await test.services.runs.join(ANONYMOUS, run, "start"));
  await flush(test, run);
  door.release();
  let failure: unknown;
  void waiting.catch((error: unknown) => (failure = error));
  await test.until(() => failure !== undefined, "the answer", 500);
  expect(failure).toMatchObject({ code: "EVENTS_GONE" });
});

it("keeps waiting while the store is away, and leaves when the client does", async () => {
  let isDown = false;
  const { test, door } = await openFollowed({
    wrapStore: (store) => withFaults(store, (name) => (name === "runs.list" && isDown ? "refused" : "none")),
  });
  const run = await test.run("door");
  await turns();
  const leaving = new AbortController();
  const attach = () => test.services.runs.join(ANONYMOUS, run, "start");
  const waiting = test.services.runs.result(ANONYMOUS, await attach());
  const left = test.services.runs.result(ANONYMOUS, await attach(), leaving.signal).catch((error: unknown) => error);
  await flush(test, run);
  isDown = true;
  await turns();
  test.clock.advance(60_000);
  await turns(20);
  leaving.abort(new Error("gone"));
  expect(await left).toMatchObject({ message: "gone" });
  isDown = false;
  door.release();
  let answer: unknown;
  void waiting.then((text) => (answer = parseJsonText(text)));
  await test.until(() => answer !== undefined, "the answer", 500);
  expect(answer).toEqual({ n: 1 });
});

it("does not take a partial state for the result when the server closes", async () => {
  const closing = new AbortController();
  const { test } = await openFollowed({ closing: closing.signal });
  const run = await test.run("stuck");
  await turns();
  const attached = await test.services.runs.join(ANONYMOUS, run, "start");
  const failure = test.services.runs.result(ANONYMOUS, attached).catch((error: unknown) => error);
  closing.abort();
  await test.eventLog.close();
  expect(await failure).toMatchObject({ code: "SHUTTING_DOWN" });
});
