import { afterEach, expect, it } from "vitest";
import { createDatabase, startPostgres, type TestPostgres } from "../support/postgres.js";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { audit, readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, keepWriting, LEASE_MS, openCluster, reportFault } from "./cluster.js";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const STEPS = 8;

/** Threads with two queued runs each, their streams followed through all processes. */
async function load(cluster: Cluster, threads: number, ms: number) {
  const runs = new Map<string, { runId: string; steps: number }[]>();
  const streams: Promise<readonly string[]>[] = [];
  const [server] = cluster.processes;
  if (server === undefined) throw new Error("no server");
  for (let n = 0; n < threads; n += 1) {
    const { thread_id } = await server.client.threads.create();
    const own: { runId: string; steps: number }[] = [];
    runs.set(thread_id, own);
    for (let k = 0; k < 2; k += 1) {
      const { run_id } = await server.client.runs.create(thread_id, "audited", {
        input: { target: STEPS, ms },
        streamMode: "updates",
        streamResumable: true,
        multitaskStrategy: "enqueue",
      });
      own.push({ runId: run_id, steps: STEPS });
      streams.push(follow(() => cluster.alive(), thread_id, run_id).then(holes));
    }
  }
  return { runs, streams };
}

it("Postgres is restarted under load: latency, and nothing else", { timeout: 120_000 }, async () => {
  const postgres: TestPostgres = await startPostgres();
  closers.push(() => postgres.close());
  const cluster = await openCluster({ uri: postgres.uri });
  closers.push(() => cluster.close());
  await Promise.all([cluster.start(), cluster.start()]);
  const { runs, streams } = await load(cluster, 8, 60);
  const [first] = cluster.processes;
  const endWriting = keepWriting(() => [first!]);
  for (let restart = 0; restart < 2; restart += 1) {
    const before = readAudit(cluster.auditFile).length;
    await eventually("progress", () => readAudit(cluster.auditFile).length > before + 10);
    await postgres.stop();
    await postgres.start();
  }
  const lost = (await Promise.all(streams)).flat();
  const writes = await endWriting(first!);
  expect(cluster.alive()).toHaveLength(2);
  const report = audit(readAudit(cluster.auditFile), runs, "async");
  reportFault("Postgres restarted twice under load", {
    "acknowledged writes": writes.acknowledged,
    "acknowledged writes lost": writes.lost,
    "writes refused": writes.refused,
    "holes in streams": lost.length,
    "steps lost": report.missing.length,
    "steps repeated": report.repeated,
  });
  expect(writes.acknowledged).toBeGreaterThan(0);
  expect(writes).toMatchObject({ refused: 0, lost: 0 });
  expect(lost).toEqual([]);
  expect(report).toMatchObject({ forbidden: [], disorder: [], missing: [] });
});

/** Two processes, the first of which reaches its database through a proxy that can break. */
async function partitioned(): Promise<{ cluster: Cluster; proxy: TcpProxy }> {
  const database = await createDatabase();
  closers.push(() => database.drop());
  const direct = new URL(database.uri);
  const proxy = await startTcpProxy({ port: Number(direct.port) });
  closers.push(() => proxy.close());
  const through = new URL(database.uri);
  through.port = String(proxy.port);
  const cluster = await openCluster({ uri: database.uri });
  closers.push(() => cluster.close());
  await cluster.start({ storage: through.href, worker: { leaseMs: LEASE_MS, concurrency: 20 } });
  return { cluster, proxy };
}

it.each(["cut", "freeze"] as const)(
  "one process is partitioned from Postgres (%s): another takes over its runs, and it comes back",
  { timeout: 120_000 },
  async (how) => {
    const { cluster, proxy } = await partitioned();
    const [first] = cluster.processes;
    const { runs, streams: resuming } = await load(cluster, 4, 150);
    await eventually("progress", () => readAudit(cluster.auditFile).length > 8);
    proxy[how]();
    const second = await cluster.start();
    const endWriting = keepWriting(() => [second]);
    for (const [threadId, own] of runs) {
      for (const { runId } of own) {
        await eventually(
          "the run to end on the other process",
          async () => (await second.client.runs.get(threadId, runId)).status === "success",
          40_000,
        );
      }
      const { values } = await second.client.threads.getState<{ done: number }>(threadId);
      expect(values.done).toBe(STEPS * 2);
    }
    const lines = readAudit(cluster.auditFile);
    expect(lines.some((line) => line.pid === second.pid)).toBe(true);
    proxy.heal();
    // It serves again, and what it believed to hold is gone.
    const [threadId] = [...runs.keys()];
    await eventually(
      "the first process to be back",
      async () => {
        try {
          return (await first!.client.threads.get(threadId!)).status === "idle";
        } catch {
          return false;
        }
      },
      40_000,
    );
    expect(first!.isAlive()).toBe(true);
    const streams = [...runs].flatMap(([id, own]) =>
      own.map(async ({ runId }) => holes(await follow(() => [first!], id, runId))),
    );
    const lost = (await Promise.all(streams)).flat();
    const lostByResuming = (await Promise.all(resuming)).flat();
    const writes = await endWriting(first!);
    reportFault(`partitioned process (${how})`, {
      "holes in streams": lost.length,
      "holes in resumed streams": lostByResuming.length,
      "acknowledged writes": writes.acknowledged,
      "acknowledged writes lost": writes.lost,
      "steps missing": audit(lines, runs, "async").missing.length,
    });
    expect(lost).toEqual([]);
    expect(lostByResuming).toEqual([]);
    expect(writes.acknowledged).toBeGreaterThan(0);
    expect(writes.lost).toBe(0);
    expect(audit(lines, runs, "async").missing).toEqual([]);
  },
);
