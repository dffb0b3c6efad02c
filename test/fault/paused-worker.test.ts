import { afterEach, expect, it } from "vitest";
import { readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, LEASE_MS, openCluster, reportFault } from "./cluster.js";

let cluster: Cluster;
afterEach(() => cluster.close());

interface Done {
  readonly done: number;
}

it("a paused process that wakes up can neither finish its run, append events nor write checkpoints", async () => {
  cluster = await openCluster();
  const api = await cluster.start({ role: "api" });
  const zombie = await cluster.start({ role: "worker" });
  const { thread_id } = await api.client.threads.create();
  const run = await api.client.runs.create(thread_id, "audited", {
    input: { target: 12, ms: 100 },
    streamMode: ["updates", "values"],
    durability: "sync",
  });
  const seen = follow(() => [api], thread_id, run.run_id);
  const own = () => readAudit(cluster.auditFile).filter((line) => line.runId === run.run_id);
  await eventually("some steps", () => own().length >= 5);
  zombie.signal("SIGSTOP");
  const stoppedAt = Date.now();
  const successor = await cluster.start({ role: "worker" });
  const taken = await eventually("the takeover by lease", () => own().find((line) => line.pid === successor.pid));
  // It wakes while its successor is in the middle of the run.
  zombie.signal("SIGCONT");
  const events = await seen;
  /** Of the run that changed hands. */
  const checkpoints = async () =>
    (await api.client.threads.getHistory<Done>(thread_id, { limit: 1000 }))
      .filter(({ metadata }) => metadata?.["run_id"] === run.run_id)
      .map(({ checkpoint, values, metadata }) => ({
        id: checkpoint.checkpoint_id,
        done: values.done,
        step: metadata?.step,
      }));
  const before = await checkpoints();
  expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
  expect(holes(events)).toEqual([]);
  const attempts = events.flatMap(({ event, data }) =>
    event === "metadata" ? [(data as { attempt: number }).attempt] : [],
  );
  expect(attempts).toEqual([1, 2]);
  // Each step of the state is there once: nobody wrote beside the successor.
  const steps = before.map(({ step }) => step);
  expect(steps.length).toBeGreaterThan(12);
  expect(new Set(steps).size).toBe(steps.length);
  expect((await api.client.threads.getState<Done>(thread_id)).values.done).toBe(12);

  // The zombie is alive, takes new work, and has given up the old.
  await successor.kill("SIGTERM");
  const next = await api.client.runs.create(thread_id, "audited", { input: { target: 2, ms: 5 } });
  await api.client.runs.join(thread_id, next.run_id);
  expect(readAudit(cluster.auditFile).findLast((line) => line.runId === next.run_id)?.pid).toBe(zombie.pid);
  expect((await api.client.runs.get(thread_id, run.run_id)).status).toBe("success");
  expect((await api.client.threads.getState<Done>(thread_id)).values.done).toBe(14);
  const again = api.client.runs.joinStream(thread_id, run.run_id, { lastEventId: "-1" });
  const replayed: unknown[] = [];
  for await (const event of again) replayed.push(event);
  expect(replayed).toHaveLength(events.length);
  // Whatever it did when it woke, it has done by now.
  const after = await checkpoints();
  expect(after).toEqual(before);
  reportFault("paused worker", {
    "events by the zombie": replayed.length - events.length,
    "checkpoints by the zombie": after.length - before.length,
    "takeover ms": taken.at - stoppedAt,
    "lease ms": LEASE_MS,
  });
}, 60_000);

it("a graph that keeps the CPU busy for longer than its lease keeps its run", { timeout: 60_000 }, async () => {
  cluster = await openCluster();
  const api = await cluster.start({ role: "api" });
  const busy = await cluster.start({ role: "worker" });
  const { thread_id } = await api.client.threads.create();
  const input = { target: 1, ms: LEASE_MS * 2.5 };
  const run = await api.client.runs.create(thread_id, "busy", { input });
  const own = () => readAudit(cluster.auditFile).filter((line) => line.runId === run.run_id);
  await eventually("the start", () => own().length > 0);
  await cluster.start({ role: "worker" });
  await api.client.runs.join(thread_id, run.run_id);
  expect(own().map((line) => [line.phase, line.pid])).toEqual([
    ["start", busy.pid],
    ["end", busy.pid],
  ]);
});

it(
  "a graph that never gives the event loop back is replaced, and in the end given up",
  { timeout: 120_000 },
  async () => {
    cluster = await openCluster({ options: { worker: { leaseMs: 1_500, maxBlockedMs: 1_500, maxAttempts: 2 } } });
    const api = await cluster.start({ role: "api" });
    const { thread_id } = await api.client.threads.create();
    const run = await api.client.runs.create(thread_id, "busy", { input: { target: 1, ms: 600_000 } });
    for (let n = 0; n < 3; n += 1) await cluster.start({ role: "worker" });
    await eventually(
      "the run to be given up",
      async () => (await api.client.runs.get(thread_id, run.run_id)).status === "error",
      60_000,
    );
    const pids = new Set(readAudit(cluster.auditFile).map((line) => line.pid));
    expect(pids.size).toBe(2);
  },
);
