import { afterEach, expect, it } from "vitest";
import { hasRedisServer, startRedis } from "../support/redis.js";
import { audit, readAudit } from "./audit.js";
import {
  type Cluster,
  eventually,
  follow,
  keepWriting,
  openCluster,
  reportFault,
  type StreamEvent,
} from "./cluster.js";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const STEPS = 6;

async function queued(cluster: Cluster, threads: number) {
  const runs = new Map<string, { runId: string; steps: number }[]>();
  const [server] = cluster.processes;
  if (server === undefined) throw new Error("no server");
  for (let n = 0; n < threads; n += 1) {
    const { thread_id } = await server.client.threads.create();
    const own: { runId: string; steps: number }[] = [];
    runs.set(thread_id, own);
    for (let k = 0; k < 3; k += 1) {
      const payload = {
        input: { target: STEPS, ms: 30 },
        streamMode: "updates" as const,
        streamResumable: true,
        multitaskStrategy: "enqueue" as const,
      };
      own.push({ runId: (await server.client.runs.create(thread_id, "audited", payload)).run_id, steps: STEPS });
    }
  }
  return runs;
}

/** Events that came twice or out of order. A log may be gone with its Redis, then the stream ends and says so. */
function doubled(events: readonly StreamEvent[]): readonly string[] {
  const ids = events.flatMap(({ id }) => (id === undefined ? [] : [Number(id)]));
  return ids.filter((id, index) => id <= (ids[index - 1] ?? -1)).map(String);
}

/** Events that are missing although the stream did not say so. */
function gaps(events: readonly StreamEvent[]): readonly string[] {
  const isTold = events.some(({ event, data }) => event === "error" && JSON.stringify(data).includes("EventsGone"));
  const ids = events.flatMap(({ id }) => (id === undefined ? [] : [Number(id)]));
  return isTold ? [] : ids.filter((id, index) => id > (ids[index - 1] ?? -1) + 1).map(String);
}

it.skipIf(!hasRedisServer())(
  "Redis is away when processes start: they start, serve, and use it when it comes",
  { timeout: 60_000 },
  async () => {
    const server = await startRedis();
    closers.push(() => server.close());
    await server.stop();
    const cluster = await openCluster({ options: { redis: server.uri } });
    closers.push(() => cluster.close());
    await Promise.all([cluster.start(), cluster.start()]);
    const [one, two] = cluster.processes as [Cluster["processes"][number], Cluster["processes"][number]];
    const waitFor = async (): Promise<unknown> => {
      const { thread_id } = await one.client.threads.create();
      return two.client.runs.wait(thread_id, "audited", { input: { target: 2, ms: 1 } });
    };
    expect(await waitFor()).toMatchObject({ done: 2 });
    await server.start();
    await eventually("both processes' connections", async () => {
      const clients = (await server.admin.client("LIST")) as string;
      return clients.split("\n").filter((line) => line.includes("name=heddle-listen")).length === 2;
    });
    expect(await waitFor()).toMatchObject({ done: 2 });
    // Its event logs are there now, and jobs go through it.
    await eventually("an event log in Redis", async () => {
      expect(await waitFor()).toMatchObject({ done: 2 });
      return (await server.admin.keys("heddle:log:*")).length > 0;
    });
    expect(await server.admin.keys("{heddle}:heddle-threads:*")).not.toEqual([]);
    expect(cluster.alive()).toHaveLength(2);
  },
);

it.skipIf(!hasRedisServer()).each(["flushed", "stopped", "restarted", "paused"] as const)(
  "Redis is %s under load: every run still ends",
  { timeout: 120_000 },
  async (how) => {
    const server = await startRedis();
    closers.push(() => server.close());
    const cluster = await openCluster({ options: { redis: server.uri } });
    closers.push(() => cluster.close());
    await Promise.all([cluster.start(), cluster.start()]);
    const runs = await queued(cluster, 10);
    const servers = () => cluster.alive();
    const streams = [...runs].flatMap(([threadId, own]) => own.map(({ runId }) => follow(servers, threadId, runId)));
    const endWriting = keepWriting(servers);
    await eventually("progress", () => readAudit(cluster.auditFile).length > 20);
    if (how === "flushed") await server.flush();
    else if (how === "paused") server.pause();
    else await server.stop();
    if (how === "restarted") await server.start();
    for (const [threadId, own] of runs) {
      for (const [index, { runId }] of own.entries()) {
        const { client } = cluster.processes[index % 2]!;
        // A waiter of any process hears of the end, with or without Redis.
        await client.runs.join(threadId, runId);
        expect((await client.runs.get(threadId, runId)).status).toBe("success");
      }
    }
    expect(cluster.alive()).toHaveLength(2);
    const report = audit(readAudit(cluster.auditFile), runs, "async");
    const seen = await Promise.all(streams);
    const writes = await endWriting(cluster.processes[0]!);
    const untold = seen.flatMap(gaps);
    const twice = seen.flatMap(doubled);
    reportFault(`Redis ${how} under load`, {
      runs: runs.size * 3,
      "steps lost": report.missing.length,
      "events missing, untold": untold.length,
      "events twice": twice.length,
      "streams cut short": seen.filter((events) => events.at(-1)?.event === "error").length,
      "acknowledged writes": writes.acknowledged,
      "acknowledged writes lost": writes.lost,
    });
    expect(untold).toEqual([]);
    expect(twice).toEqual([]);
    expect(writes.acknowledged).toBeGreaterThan(0);
    expect(writes).toMatchObject({ lost: 0, refused: 0 });
    expect(report).toMatchObject({ forbidden: [], overlaps: [], disorder: [], missing: [] });
    // New work is found as well, only later.
    const { thread_id } = await cluster.processes[0]!.client.threads.create();
    const after = await cluster.processes[1]!.client.runs.wait(thread_id, "audited", { input: { target: 1, ms: 1 } });
    expect(after).toMatchObject({ done: 1 });
  },
);
