import { afterEach, expect, it } from "vitest";
import { audit, readAudit } from "./audit.js";
import { type Cluster, follow, holes, openCluster, reportFault } from "./cluster.js";

let cluster: Cluster;
afterEach(() => cluster.close());

/** CI's size; `npm run soak` sets the long one: 200 threads, 2,000 runs, 60 s. */
const THREADS = Number(process.env["CHAOS_THREADS"] ?? 30);
const RUNS = Number(process.env["CHAOS_RUNS"] ?? 240);
const KILL_FOR_MS = Number(process.env["CHAOS_MS"] ?? 10_000);
const SEED = Number(process.env["CHAOS_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const STEPS = 3;
/** Every so many-th run is followed, through whatever process lives. */
const FOLLOWED = 8;

/** Mulberry32: the kills can be repeated by their seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) & 0xffffffff;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

it(`3 processes, ${THREADS} threads, ${RUNS} runs, random kills`, { timeout: KILL_FOR_MS * 3 + 240_000 }, async () => {
  const next = random(SEED);
  // More attempts than a test's bad luck needs: giving up is another test's matter.
  cluster = await openCluster({ options: { worker: { leaseMs: 5_000, maxAttempts: 50, concurrency: 10 } } });
  await Promise.all([cluster.start(), cluster.start(), cluster.start()]);
  const runs = new Map<string, { runId: string; steps: number }[]>();
  const pick = () => {
    const alive = cluster.alive();
    return alive[Math.floor(next() * alive.length)]!;
  };
  /** An answer that was never given promises nothing: ask again, of anybody, with the same id where there is one. */
  const insisting = async <T>(call: () => Promise<T>): Promise<T> => {
    for (let tries = 0; ; tries += 1) {
      try {
        return await call();
      } catch (error) {
        if (tries >= 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  let unanswered = 0;
  const streams: Promise<readonly string[]>[] = [];
  const servers = () => cluster.alive();
  const threadIds: string[] = [];
  for (let n = 0; n < THREADS; n += 1) {
    const { thread_id } = await insisting(() => pick().client.threads.create());
    threadIds.push(thread_id);
    runs.set(thread_id, []);
  }
  let kills = 0;
  const replacements: Promise<unknown>[] = [];
  const killer = (async () => {
    const until = Date.now() + KILL_FOR_MS;
    while (Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 300 + next() * 1_200));
      // Somebody must be there to ask; a replacement takes its time.
      if (cluster.alive().length < 2) continue;
      const victim = pick();
      await victim.kill("SIGKILL");
      kills += 1;
      replacements.push(cluster.start());
    }
    await Promise.all(replacements);
  })();
  // One lane per thread, so that "the order in which they were made" has one meaning.
  const lanes = threadIds.map(async (threadId, lane) => {
    for (let n = lane; n < RUNS; n += THREADS) {
      for (let tries = 0; ; tries += 1) {
        const before = new Set((runs.get(threadId) ?? []).map(({ runId }) => runId));
        try {
          const { run_id } = await pick().client.runs.create(threadId, "audited", {
            input: { target: STEPS, ms: 5 },
            // Steps that are shorter than a put.
            durability: "async",
            multitaskStrategy: "enqueue",
            streamResumable: true,
          });
          runs.get(threadId)?.push({ runId: run_id, steps: STEPS });
          if (n % FOLLOWED === 0) streams.push(follow(servers, threadId, run_id).then(holes));
          break;
        } catch (error) {
          if (tries >= 200) throw error;
          unanswered += 1;
          await new Promise((resolve) => setTimeout(resolve, 20));
          // The run may be there although nobody said so: then it counts.
          const there = await insisting(() => pick().client.runs.list(threadId, { limit: 1000 }));
          const found = there.find(({ run_id }) => !before.has(run_id));
          if (found !== undefined) {
            runs.get(threadId)?.push({ runId: found.run_id, steps: STEPS });
            break;
          }
        }
      }
      await new Promise((resolve) => setTimeout(resolve, (next() * KILL_FOR_MS * THREADS) / RUNS));
    }
  });
  await Promise.all(lanes);
  await killer;
  const wrong: string[] = [];
  for (const [threadId, own] of runs) {
    for (const { runId } of own) await insisting(() => pick().client.runs.join(threadId, runId));
    const listed = await insisting(() => pick().client.runs.list(threadId, { limit: 1000 }));
    for (const run of listed) if (run.status !== "success") wrong.push(`${run.run_id}: ${run.status}`);
    const state = await insisting(() => pick().client.threads.getState<{ done: number }>(threadId));
    if (state.values.done !== own.length * STEPS)
      wrong.push(`${threadId}: ${state.values.done} of ${own.length * STEPS}`);
    const { status } = await insisting(() => pick().client.threads.get(threadId));
    if (status !== "idle") wrong.push(`${threadId}: ${status}`);
  }
  const lost = (await Promise.all(streams)).flat();
  const report = audit(readAudit(cluster.auditFile), runs, "async");
  reportFault("chaos", {
    seed: SEED,
    kills,
    runs: [...runs.values()].flat().length,
    unanswered,
    "streams followed": streams.length,
    "holes in streams": lost.length,
    "runs or threads wrong": wrong.length,
    "steps lost": report.missing.length,
    "steps repeated": report.repeated,
    "repeated against durability": report.forbidden.length,
    "out of order": report.disorder.length,
    overlaps: report.overlaps.length,
  });
  expect(kills, `seed ${SEED}`).toBeGreaterThan(0);
  expect(lost, `seed ${SEED}`).toEqual([]);
  expect(wrong, `seed ${SEED}`).toEqual([]);
  expect(report, `seed ${SEED}`).toMatchObject({ forbidden: [], overlaps: [], disorder: [], missing: [] });
});
