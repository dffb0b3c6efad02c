import { afterEach, expect, it } from "vitest";
import { audit, readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, openCluster, reportFault } from "./cluster.js";

let cluster: Cluster;
afterEach(() => cluster.close());

const KILLS = 20;
const STEPS = 12;
/** Renewed every 200 s: that is how often a worker looks for ids of processes that are gone. */
const LEASE_MS = 600_000;

/** What the steps of a run have written so far. */
const ownLines = (runId: string) => () => readAudit(cluster.auditFile).filter((line) => line.runId === runId);

/** The process that does a run, once it has begun the step. */
const workerAt = (lines: () => ReturnType<typeof readAudit>, step: number) => () => {
  const begun = lines().find((line) => line.phase === "start" && line.step >= step);
  return begun && cluster.alive().find((process) => process.pid === begun.pid);
};

it.each(["async", "sync"] as const)(
  `a worker is killed in the middle of a run, ${KILLS / 2} times, durability %s: nothing is lost, takeover under a second`,
  { timeout: 180_000 },
  async (durability) => {
    // Leases, and the looks at process ids that go with their renewal, must not be what saves the run.
    cluster = await openCluster({ options: { worker: { leaseMs: LEASE_MS, concurrency: 4 } } });
    const api = await cluster.start({ role: "api" });
    await cluster.start({ role: "worker" });
    const runs = new Map<string, { runId: string; steps: number }[]>();
    const takeovers: number[] = [];
    const lost: string[] = [];
    for (const kill of Array.from({ length: KILLS / 2 }).keys()) {
      await cluster.start({ role: "worker" });
      const { thread_id } = await api.client.threads.create();
      const input = { target: STEPS, ms: 60 };
      const run = await api.client.runs.create(thread_id, "audited", { input, streamMode: "updates", durability });
      runs.set(thread_id, [{ runId: run.run_id, steps: STEPS }]);
      const seen = follow(() => [api], thread_id, run.run_id);
      const own = ownLines(run.run_id);
      const victim = await eventually("the run to be under way", workerAt(own, 1 + (kill % 5)));
      const killedAt = Date.now();
      await victim.kill("SIGKILL");
      const taken = await eventually("another worker", () => own().find((line) => line.pid !== victim.pid));
      takeovers.push(taken.at - killedAt);
      const events = await seen;
      lost.push(...holes(events));
      expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
      expect((await api.client.threads.getState<{ done: number }>(thread_id)).values.done).toBe(STEPS);
    }
    const report = audit(readAudit(cluster.auditFile), runs, durability);
    takeovers.sort((a, b) => a - b);
    reportFault(`killed worker x ${KILLS / 2}, ${durability}`, {
      "steps lost": report.missing.length,
      "holes in streams": lost.length,
      "steps repeated": report.repeated,
      "repeated against durability": report.forbidden.length,
      "takeover ms p50": takeovers[takeovers.length >> 1] ?? -1,
      "takeover ms max": takeovers.at(-1) ?? -1,
    });
    expect(report).toMatchObject({ forbidden: [], overlaps: [], disorder: [], missing: [] });
    expect(lost).toEqual([]);
    // Not a measure of speed: nobody but presence can tell so soon.
    expect(takeovers.at(-1)).toBeLessThan(LEASE_MS / 30);
  },
);

it("a run that kills its worker ends as error after maxAttempts, and says why", { timeout: 120_000 }, async () => {
  cluster = await openCluster({ options: { worker: { leaseMs: 60_000, maxAttempts: 3 } } });
  const api = await cluster.start({ role: "api" });
  const { thread_id } = await api.client.threads.create();
  const run = await api.client.runs.create(thread_id, "poison", { input: {} });
  const second = await api.client.runs.create(thread_id, "audited", {
    input: { target: 2, ms: 1 },
    multitaskStrategy: "enqueue",
  });
  const seen = follow(() => [api], thread_id, run.run_id);
  for (let attempt = 1; attempt <= 3; attempt += 1) await (await cluster.start({ role: "worker" })).exited();
  await cluster.start({ role: "worker" });
  const events = await seen;
  expect(events.at(-1)).toMatchObject({ event: "error", data: { error: "MaxAttemptsExceeded" } });
  expect(holes(events)).toEqual([]);
  expect((await api.client.runs.get(thread_id, run.run_id)).status).toBe("error");
  expect(readAudit(cluster.auditFile).filter((line) => line.runId === run.run_id)).toHaveLength(3);
  // The thread goes on.
  await api.client.runs.join(thread_id, second.run_id);
  expect((await api.client.runs.get(thread_id, second.run_id)).status).toBe("success");
});
