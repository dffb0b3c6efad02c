import { expect, it } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import { parseJsonText } from "../../src/core/json.js";
import { gate, never, succeed } from "../../src/testing/scripted-engine.js";
import { openRuntime, turns } from "./harness.js";

it.each([
  ["the run's own", { timeoutMs: 5_000 }, {}],
  ["the server's", {}, { runTimeoutMs: 5_000 }],
  ["the smaller one, the run's", { timeoutMs: 5_000 }, { runTimeoutMs: 9_000 }],
  ["the smaller one, the server's", { timeoutMs: 9_000 }, { runTimeoutMs: 5_000 }],
])("ends a run as timeout at its limit and not before: %s", async (_, request, options) => {
  const test = await openRuntime({ scripts: { stuck: never(), quick: succeed() }, ...options });
  const run = await test.run("stuck", request);
  await turns();
  test.clock.advance(4_999);
  await turns(20);
  expect((await test.row(run))?.status).toBe("running");
  test.clock.advance(1);
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  const row = await test.row(run);
  expect(row?.status).toBe("timeout");
  const error = { error: "RunTimeout", message: "The run took longer than 5 s and was stopped." };
  expect(parseJsonText(row!.error!)).toEqual(error);
  const last = (await test.events(run))?.events.at(-1);
  expect([last?.event, parseJsonText(last!.data)]).toEqual(["error", error]);
  const thread = await test.services.threads.get(ANONYMOUS, run.threadId);
  expect([thread.status, parseJsonText(thread.error!)]).toEqual(["error", error]);
  // The thread is free for its next run.
  const next = await test.run("quick", { threadId: run.threadId });
  await test.until(async () => (await test.row(next))?.status === "success", "the next run");
});

it("keeps the success of a run that was about to finish, and no timer", async () => {
  const door = gate({}, { deaf: true });
  const test = await openRuntime({ scripts: { door: door.script, quick: succeed() } });
  const late = await test.run("door", { timeoutMs: 1_000 });
  await turns();
  test.clock.advance(1_500);
  door.release();
  await test.until(async () => (await test.ending(late)) !== null, "the end");
  expect(await test.ending(late)).toBe("end success");
  const before = test.clock.pendingTimers;
  const run = await test.run("quick", { timeoutMs: 60_000 });
  await test.until(async () => (await test.ending(run)) !== null, "the end");
  expect(test.clock.pendingTimers).toBeLessThanOrEqual(before + 1);
});

it("undoes a run that was stopped by its limit when a rollback comes before its end is stored", async () => {
  let stopped: () => void = () => undefined;
  const mayStop = new Promise<void>((resolve) => (stopped = resolve));
  const test = await openRuntime({
    scripts: {
      slowToStop: async function* slowToStop(run) {
        run.checkpoint({ half: true });
        yield [];
        await run.wait(new Promise(() => undefined));
        await mayStop;
        return { kind: "aborted", ...run.state() };
      },
    },
  });
  const run = await test.run("slowToStop", { timeoutMs: 1_000 });
  await turns();
  test.clock.advance(1_000);
  await turns();
  await test.services.runs.cancel(ANONYMOUS, run, { action: "rollback", wait: false });
  stopped();
  await test.until(async () => (await test.row(run)) === null, "the rollback", 10);
  expect(await test.ending(run)).toBe("end rollback");
  expect(test.scripted.checkpoints(run.threadId)).toEqual([]);
});

it("gives every attempt its own time, and a shutdown its own reason", async () => {
  const test = await openRuntime({ scripts: { stuck: never() } });
  const run = await test.run("stuck", { timeoutMs: 5_000 });
  await turns();
  test.clock.advance(4_000);
  const stopping = test.runtime.stop({ drainMs: 0 });
  await test.until(async () => (await test.row(run))?.status === "pending", "the hand-back", 1);
  await stopping;
  await openRuntime({ scripts: {}, storage: test, workerId: "worker-2" });
  await test.until(async () => (await test.row(run))?.status === "running", "the next attempt");
  test.clock.advance(4_000);
  await turns(20);
  expect((await test.row(run))?.status).toBe("running");
  await test.until(async () => (await test.row(run))?.status === "timeout", "the limit", 200);
});
