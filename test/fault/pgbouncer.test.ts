import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasPgBouncer, startPgBouncer, type TestPgBouncer } from "../support/pgbouncer.js";
import { createDatabase } from "../support/postgres.js";
import type { ServedProcess } from "../support/served-process.js";
import { audit, readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, openCluster, reportFault } from "./cluster.js";

/** Fewer connections to Postgres than clients have: sessions do not last beyond a transaction. */
const POOL_SIZE = 4;

/** Two processes whose statements go through PgBouncer, what listens and what holds session locks to Postgres itself. */
describe.skipIf(!hasPgBouncer())("behind PgBouncer with pool_mode = transaction", () => {
  let cluster: Cluster;
  let bouncer: TestPgBouncer;
  let api: ServedProcess;
  let worker: ServedProcess;
  let directUri: string;
  let drop: () => Promise<void>;
  beforeAll(async () => {
    const database = await createDatabase();
    ({ drop, uri: directUri } = database);
    bouncer = await startPgBouncer(database.uri, { poolSize: POOL_SIZE });
    cluster = await openCluster({
      uri: bouncer.uri,
      // Nobody but presence can tell of a dead worker within the test's bounds.
      options: { database: { directUri }, worker: { leaseMs: 600_000 } },
    });
    [api, worker] = await Promise.all([cluster.start({ role: "api" }), cluster.start({ role: "worker" })]);
  });
  afterAll(async () => {
    await cluster?.close();
    await bouncer?.close();
    await drop?.();
  });

  /** Connections to Postgres by name, of this database. */
  const connections = async (): Promise<Record<string, number>> => {
    const client = new pg.Client({ connectionString: directUri });
    await client.connect();
    try {
      const { rows } = await client.query<{ name: string; count: number }>(
        "SELECT application_name AS name, count(*)::int AS count FROM pg_stat_activity " +
          "WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1",
      );
      return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
    } finally {
      await client.end();
    }
  };

  const STEPS = 6;
  const payload = { input: { target: STEPS, ms: 5 }, streamMode: "updates" as const, streamResumable: true };

  it("threads, runs, state, history and items work, and what one process does the other streams", async () => {
    const { client } = api;
    const runs = new Map<string, { runId: string; steps: number }[]>();
    const streams: Promise<readonly string[]>[] = [];
    const servers = () => [api];
    for (let n = 0; n < 12; n += 1) {
      const { thread_id } = await client.threads.create({ metadata: { kind: "pooled" } });
      const own: { runId: string; steps: number }[] = [];
      runs.set(thread_id, own);
      for (let k = 0; k < 2; k += 1) {
        const { run_id } = await client.runs.create(thread_id, "audited", { ...payload, multitaskStrategy: "enqueue" });
        own.push({ runId: run_id, steps: STEPS });
        streams.push(follow(servers, thread_id, run_id).then(holes));
      }
    }
    const lost = (await Promise.all(streams)).flat();
    const report = audit(readAudit(cluster.auditFile), runs, "async");
    reportFault(`behind PgBouncer ${bouncer.version}`, {
      runs: [...runs.values()].flat().length,
      "holes in streams": lost.length,
      "steps lost": report.missing.length,
      "steps repeated": report.repeated,
    });
    expect(lost).toEqual([]);
    expect(report).toMatchObject({ repeated: 0, forbidden: [], overlaps: [], disorder: [], missing: [] });
    expect(new Set(readAudit(cluster.auditFile).map(({ pid }) => pid))).toEqual(new Set([worker.pid]));
    for (const threadId of runs.keys()) {
      const { values } = await client.threads.getState<{ done: number }>(threadId);
      expect(values.done).toBe(STEPS * 2);
      expect((await client.threads.getHistory(threadId, { limit: 100 })).length).toBeGreaterThan(STEPS * 2);
    }
    expect(await client.threads.count({ metadata: { kind: "pooled" } })).toBe(12);
    await client.store.putItem(["pooled"], "one", { here: true });
    expect((await client.store.searchItems(["pooled"])).items).toMatchObject([{ key: "one", value: { here: true } }]);
  });

  it("shares its connections, and listens past it", async () => {
    const { "heddle-listen": listening, ...others } = await connections();
    // One of the process that serves, one of the one that executes.
    expect(listening).toBe(2);
    expect(Object.values(others).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(POOL_SIZE);
  });

  it("a cancel reaches the other process, and a dead worker is noticed long before its lease ends", async () => {
    const lines = (runId: string) => readAudit(cluster.auditFile).filter((line) => line.runId === runId);
    const begin = async (target: number) => {
      const { thread_id: threadId } = await api.client.threads.create();
      const run = await api.client.runs.create(threadId, "audited", { ...payload, input: { target, ms: 100 } });
      await eventually("some steps", () => lines(run.run_id).length > 3);
      return { threadId, runId: run.run_id };
    };
    const cancelled = await begin(20);
    await api.client.runs.cancel(cancelled.threadId, cancelled.runId, true);
    expect((await api.client.runs.get(cancelled.threadId, cancelled.runId)).status).toBe("interrupted");
    expect(lines(cancelled.runId).length).toBeLessThan(40);

    const workers = [worker, await cluster.start({ role: "worker" })];
    const { threadId, runId } = await begin(20);
    const seen = follow(() => [api], threadId, runId);
    const victim = workers.find(({ pid }) => pid === lines(runId)[0]?.pid);
    await victim?.kill("SIGKILL");
    await eventually("the other worker", () => lines(runId).some(({ pid }) => pid !== victim?.pid));
    const events = await seen;
    expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
    expect(holes(events)).toEqual([]);
  });
});
