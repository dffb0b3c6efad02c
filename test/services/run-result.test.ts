import { expect, it } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import { ask, fail, gate, never, type Script, succeed, valuesEvent } from "../../src/testing/scripted-engine.js";
import { openRuntime, type TestRuntime, turns } from "../runtime/harness.js";

const silent: Script = async function* silentScript(run) {
  yield [{ event: "updates", data: valuesEvent({ a: 1 }).data, kind: "state" }];
  run.checkpoint({ stored: true });
  return { kind: "success", ...run.state() };
};

const silentAsk: Script = async function* silentAskScript(run) {
  yield [];
  run.checkpoint(
    { stored: true },
    { hasNext: true, interrupts: { t1: [{ id: "i1", value: "?" }], t2: [{ id: "i2" }] } },
  );
  return { kind: "success", ...run.state() };
};

const open = (): Promise<TestRuntime> =>
  openRuntime({
    scripts: {
      quick: succeed({ n: 1 }),
      broken: fail("TypeError", "Boo!"),
      ask: ask("?"),
      stuck: never(),
      silent,
      silentAsk,
    },
  });

const joined = async (test: TestRuntime, graphId: string, threadId?: string | null): Promise<unknown> => {
  const run = await test.run(graphId, threadId === undefined ? {} : { threadId });
  const attached = await test.services.runs.join(ANONYMOUS, run, "start");
  return JSON.parse(await test.services.runs.result(ANONYMOUS, attached)) as unknown;
};

it.each([
  ["the last values", "quick", { n: 1 }],
  ["the error", "broken", { __error__: { error: "TypeError", message: "Boo!" } }],
  ["the interrupt that was streamed", "ask", { __interrupt__: [{ id: "i", value: "?" }] }],
  ["the thread's values when none were streamed", "silent", { stored: true }],
  [
    "the thread's values and interrupts when none were streamed",
    "silentAsk",
    { stored: true, __interrupt__: [{ id: "i1", value: "?" }, { id: "i2" }] },
  ],
])("answers %s", async (_what, graphId, expected) => {
  const test = await open();
  expect(await joined(test, graphId)).toEqual(expected);
});

it("answers null for a stateless run without values: its thread is nobody's", async () => {
  const test = await open();
  expect(await joined(test, "silent", null)).toBeNull();
});

it.each([
  ["quick", { n: 1 }],
  ["broken", { __error__: { error: "TypeError", message: "Boo!" } }],
  ["silentAsk", { stored: true, __interrupt__: [{ id: "i1", value: "?" }, { id: "i2" }] }],
])("answers the same from the store when the events of %s are no longer kept", async (graphId, expected) => {
  const test = await open();
  const run = await test.run(graphId);
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  await test.eventLog.drop(run);
  const attached = await test.services.runs.join(ANONYMOUS, run, "start");
  expect(attached.cursor).toBeNull();
  expect(JSON.parse(await test.services.runs.result(ANONYMOUS, attached))).toEqual(expected);
});

it("answers the error of a thread's run, also after the thread has gone on", async () => {
  const test = await open();
  const failed = await test.run("broken");
  await test.until(async () => (await test.ending(failed)) !== null, "the end");
  await joined(test, "quick", failed.threadId);
  await test.eventLog.drop(failed);
  const attached = await test.services.runs.join(ANONYMOUS, failed, "start");
  expect(JSON.parse(await test.services.runs.result(ANONYMOUS, attached))).toMatchObject({
    __error__: { error: "TypeError" },
  });
});

it("answers null when the thread was deleted", async () => {
  const door = gate();
  const test = await openRuntime({ scripts: { door: door.script }, concurrency: 0 });
  const run = await test.run("door");
  const attached = await test.services.runs.join(ANONYMOUS, run, "start");
  const result = test.services.runs.result(ANONYMOUS, attached);
  await test.services.threads.delete(ANONYMOUS, run.threadId);
  expect(await result).toBe("null");
});

it("stops reading when the client has left", async () => {
  const test = await open();
  const run = await test.run("stuck");
  const attached = await test.services.runs.join(ANONYMOUS, run, "now");
  const left = new AbortController();
  const result = test.services.runs.result(ANONYMOUS, attached, left.signal).catch((error: unknown) => error);
  await turns();
  left.abort(new Error("gone"));
  expect(await result).toEqual(new Error("gone"));
  // Its cursor is closed: nothing waits on the log any more.
  expect(await attached.cursor?.next()).toEqual({ kind: "end" });
});
