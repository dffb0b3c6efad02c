import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { hasRedisServer, startRedis } from "../support/redis.js";
import type { ServedProcess } from "../support/served-process.js";
import { audit, readAudit } from "./audit.js";
import { type Cluster, eventually, follow, holes, openCluster, reportFault } from "./cluster.js";

/** How the processes hear of one another: by looking, or by messages. */
const BUSES = hasMongo() ? (["alone", ...(hasRedisServer() ? (["with Redis"] as const) : [])] as const) : [];

const STEPS = 8;
/** The paused one comes back, and is there for the next test. A killed one's lease need not end: on one machine its id is gone. */
const LOSSES = [
  ["paused", "SIGSTOP"],
  ["killed", "SIGKILL"],
] as const;

/** Several processes on one MongoDB: no notifications of its own, no session locks, no transactions. */
describe.each(BUSES)("several processes on MongoDB, %s", (bus) => {
  const closers: (() => Promise<void>)[] = [];
  let cluster: Cluster;
  let first: ServedProcess;
  beforeAll(async () => {
    const database = await createMongoDatabase();
    closers.push(() => database.drop());
    const redis = bus === "alone" ? null : await startRedis();
    if (redis !== null) closers.push(() => redis.close());
    cluster = await openCluster({
      uri: database.uri,
      // Both serve and execute, one run each: what is made at one may be the other's.
      options: { worker: { leaseMs: 3_000, concurrency: 1 }, ...(redis !== null && { redis: redis.uri }) },
    });
    closers.push(() => cluster.close());
    [first] = await Promise.all([cluster.start(), cluster.start()]);
  });
  afterAll(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  /** A run that was made at the first process, and the process that does it. */
  async function begin(ms: number) {
    const { thread_id: threadId } = await first.client.threads.create();
    const { run_id: runId } = await first.client.runs.create(threadId, "audited", {
      input: { target: STEPS, ms },
      streamMode: "updates",
      streamResumable: true,
      durability: "sync",
    });
    const starts = () => readAudit(cluster.auditFile).filter((line) => line.runId === runId && line.phase === "start");
    await eventually("two steps", () => starts().length >= 2);
    const worker = cluster.processes.find(({ pid }) => pid === starts()[0]?.pid);
    const other = cluster.processes.find(({ pid }) => pid !== starts()[0]?.pid);
    if (worker === undefined || other === undefined) throw new Error("a worker that is not of the cluster");
    return { threadId, runId, worker, other, starts };
  }

  it("what one does the other streams while it does, and cancels", { timeout: 60_000 }, async () => {
    const streamed = await begin(100);
    const events = await follow(() => [streamed.other], streamed.threadId, streamed.runId);
    expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
    expect(holes(events)).toEqual([]);
    expect(events.filter(({ event }) => event === "updates")).toHaveLength(STEPS);
    const { values } = await streamed.other.client.threads.getState<{ done: number }>(streamed.threadId);
    expect(values.done).toBe(STEPS);

    const { threadId, runId, other, starts } = await begin(1_000);
    await other.client.runs.cancel(threadId, runId, true);
    expect((await other.client.runs.get(threadId, runId)).status).toBe("interrupted");
    expect(starts().length).toBeLessThan(STEPS);
  });

  it.each(LOSSES)(
    "a worker that is %s loses its run to the other, and nothing is lost",
    { timeout: 60_000 },
    async (what, signal) => {
      const { threadId, runId, worker, other, starts } = await begin(150);
      const seen = follow(() => [other], threadId, runId);
      const lostAt = Date.now();
      if (signal === "SIGKILL") await worker.kill(signal);
      else worker.signal(signal);
      const taken = await eventually("the other process", () => starts().find(({ pid }) => pid === other.pid));
      worker.signal("SIGCONT");
      const events = await seen;
      expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });
      const attempts = events.flatMap(({ event, data }) =>
        event === "metadata" ? [(data as { readonly attempt?: number }).attempt] : [],
      );
      expect(attempts).toEqual([1, 2]);
      const lost = holes(events);
      const { values } = await other.client.threads.getState<{ done: number }>(threadId);
      const report = audit(readAudit(cluster.auditFile), new Map([[threadId, [{ runId, steps: STEPS }]]]), "sync");
      reportFault(`MongoDB ${bus}, worker ${what}`, {
        "takeover ms": taken.at - lostAt,
        "holes in streams": lost.length,
        "steps lost": report.missing.length,
        "steps repeated": report.repeated,
      });
      expect(lost).toEqual([]);
      expect(values.done).toBe(STEPS);
      expect(report).toMatchObject({ disorder: [], missing: [] });
      // The step that was under way, and one that the paused process had begun when it woke up.
      expect(report.repeated).toBeLessThanOrEqual(2);
    },
  );
});
