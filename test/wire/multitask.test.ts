import type { Run } from "@langchain/langgraph-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf, until } from "../support/server.js";

const busy = { input: { ms: 30, steps: 20 } };

describe.each(STORAGES)("double texting and cancelling on %s", (storage) => {
  // FerretDB, which stands in for MongoDB, takes one command at a time.
  const isSlow = storage === "mongodb";
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  const running = async (input = busy.input) => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const run = await runs.create(thread_id, "slow", { input });
    await until(async () => ((await threads.getState<{ done?: number }>(thread_id)).values.done ?? 0) > 0, "a step");
    return { thread_id, run };
  };
  const next = { input: { ms: 1, steps: 1, done: 0 } };

  it("reject refuses with 409 and leaves the first alone", async () => {
    const { runs, threads } = server.client;
    const { thread_id, run } = await running();
    expect(await statusOf(runs.create(thread_id, "slow", { ...next, multitaskStrategy: "reject" }))).toBe(409);
    await runs.join(thread_id, run.run_id);
    expect((await runs.get(thread_id, run.run_id)).status).toBe("success");
    expect((await threads.get(thread_id)).status).toBe("idle");
  });

  it("enqueue runs both, in order", async () => {
    const { runs, threads } = server.client;
    const { thread_id } = await threads.create();
    const created = await Promise.all(
      Array.from({ length: 5 }, () => runs.create(thread_id, "counter", { input: { n: 0 } })),
    );
    for (const run of created) await runs.join(thread_id, run.run_id);
    const listed = await runs.list(thread_id);
    expect(listed.map((r) => r.status)).toEqual(Array(5).fill("success"));
    expect((await threads.getState<{ log: string[] }>(thread_id)).values.log).toHaveLength(15);
  });

  it("interrupt keeps the work of the first run", async () => {
    const { runs, threads } = server.client;
    const { thread_id, run } = await running();
    const second = await runs.create(thread_id, "slow", { ...next, multitaskStrategy: "interrupt" });
    await runs.join(thread_id, second.run_id);
    expect((await runs.get(thread_id, run.run_id)).status).toBe("interrupted");
    expect((await runs.get(thread_id, second.run_id)).status).toBe("success");
    const { values } = await threads.getState<{ messages: unknown[] }>(thread_id);
    expect(values.messages.length).toBeGreaterThan(1);
  });

  it("rollback removes the first run and its checkpoints", async () => {
    const { runs, threads } = server.client;
    const { thread_id, run } = await running();
    const second = await runs.create(thread_id, "slow", { ...next, multitaskStrategy: "rollback" });
    await runs.join(thread_id, second.run_id);
    expect(await statusOf(runs.get(thread_id, run.run_id))).toBe(404);
    const { values } = await threads.getState<{ messages: unknown[] }>(thread_id);
    expect(values.messages).toHaveLength(1);
    const history = await threads.getHistory(thread_id, { limit: 100 });
    expect(new Set(history.map((s) => s.metadata?.["run_id"]))).toEqual(new Set([second.run_id]));
  });

  it("cancels a running run within a second, and a queued one at once", async () => {
    const { runs, threads } = server.client;
    // Long enough to be in its middle when it is cancelled, also where looking at it takes seconds.
    const { thread_id, run } = await running({ ms: 30, steps: 2_000 });
    const queued = await runs.create(thread_id, "slow", next);
    await runs.cancel(thread_id, queued.run_id);
    expect((await runs.get(thread_id, queued.run_id)).status).toBe("interrupted");
    const before = Date.now();
    await runs.cancel(thread_id, run.run_id, true);
    expect(Date.now() - before).toBeLessThan(isSlow ? 20_000 : 1_000);
    expect((await runs.get(thread_id, run.run_id)).status).toBe("interrupted");
    expect(await threads.get(thread_id)).toMatchObject({ status: "interrupted" });
    expect(await statusOf(runs.cancel(thread_id, run.run_id))).toBe(409);
    expect(await statusOf(runs.cancel(thread_id, crypto.randomUUID()))).toBe(404);
  });

  it("cancels with rollback: the thread is as it was before", async () => {
    const { runs, threads } = server.client;
    const { thread_id } = await threads.create();
    const before = await runs.wait(thread_id, "slow", next);
    const run = await runs.create(thread_id, "slow", { input: { ms: 30, steps: 20, done: 0 } });
    await until(
      async () => (await threads.getState<{ messages: unknown[] }>(thread_id)).values.messages.length > 1,
      "a step",
    );
    await runs.cancel(thread_id, run.run_id, true, "rollback");
    expect(await statusOf(runs.get(thread_id, run.run_id))).toBe(404);
    expect((await threads.getState(thread_id)).values).toEqual(before);
    expect(await threads.get(thread_id)).toMatchObject({ status: "idle", values: before });
  });

  it("brings back the state of another graph that ran on the thread before", async () => {
    const { runs, threads } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "ask", { input: { question: "still there?" } });
    const before = await threads.get(thread_id);
    const run = await runs.create(thread_id, "slow", busy);
    await until(async () => (await runs.get(thread_id, run.run_id)).status === "running", "a start");
    await runs.cancel(thread_id, run.run_id, true, "rollback");
    const { status, values, interrupts, metadata } = await threads.get(thread_id);
    expect({ status, values, interrupts, metadata }).toEqual({
      status: "interrupted",
      values: before.values,
      interrupts: before.interrupts,
      metadata: before.metadata,
    });
    expect(await runs.wait(thread_id, "ask", { command: { resume: "yes" } })).toMatchObject({ answer: "yes!" });
  });

  it("cancels many: by ids and by status", async () => {
    const { runs, threads } = server.client;
    const { thread_id, run } = await running();
    const queued = await runs.create(thread_id, "slow", next);
    await runs.cancelMany({ threadId: thread_id, runIds: [run.run_id, queued.run_id] });
    await runs.join(thread_id, run.run_id);
    expect((await runs.list(thread_id)).map((r) => r.status)).toEqual(["interrupted", "interrupted"]);
    expect(await statusOf(runs.cancelMany({ threadId: thread_id, runIds: [crypto.randomUUID()] }))).toBe(404);
    const other = await running();
    await runs.cancelMany({ status: "all" });
    await runs.join(other.thread_id, other.run.run_id);
    expect((await runs.get(other.thread_id, other.run.run_id)).status).toBe("interrupted");
    expect((await threads.get(other.thread_id)).status).not.toBe("busy");
  });

  it("deletes a thread whose run is running, and a running run", async () => {
    const { runs, threads } = server.client;
    const { thread_id } = await running();
    await threads.delete(thread_id);
    expect(await statusOf(threads.getState(thread_id))).toBe(404);
    const other = await running();
    await runs.delete(other.thread_id, other.run.run_id);
    expect(await statusOf(runs.get(other.thread_id, other.run.run_id))).toBe(404);
    expect((await threads.get(other.thread_id)).status).toBe("idle");
  });

  it("stays consistent under parallel creators of every strategy", async () => {
    const creators = isSlow ? 10 : 50;
    const { runs, threads } = server.client;
    for (const multitaskStrategy of ["reject", "enqueue", "interrupt", "rollback"] as const) {
      const { thread_id } = await threads.create();
      const results = await Promise.allSettled(
        Array.from({ length: creators }, () =>
          runs.create(thread_id, "slow", { input: { ms: 1, steps: 1, done: 0 }, multitaskStrategy }),
        ),
      );
      let listed: Run[] = [];
      // All in one look: asked for pending ones and for running ones, a run that starts in between is in neither answer.
      await until(async () => {
        listed = await runs.list(thread_id, { limit: 100 });
        return listed.every((r) => r.status !== "pending" && r.status !== "running");
      }, `all runs of ${multitaskStrategy} to end`);
      const successes = listed.filter((r) => r.status === "success").length;
      const accepted = results.filter((r) => r.status === "fulfilled").length;
      const ends = JSON.stringify({
        strategy: multitaskStrategy,
        refused: results.flatMap((r) => (r.status === "rejected" ? [String(r.reason)] : [])),
        unsuccessful: listed.filter((r) => r.status !== "success"),
      });
      expect(successes, ends).toBeGreaterThanOrEqual(multitaskStrategy === "enqueue" ? creators : 1);
      // Rolled back runs are gone; all others that were accepted are there.
      const kept = multitaskStrategy === "rollback" ? listed.length : accepted;
      expect(listed).toHaveLength(kept);
      expect(accepted).toBeGreaterThanOrEqual(multitaskStrategy === "reject" ? 1 : creators);
      expect((await threads.get(thread_id)).status).not.toBe("busy");
    }
  });
});
