import { expect, it } from "vitest";
import type { StorageName } from "../support/server.js";
import { openWrappedApp, SINGLE_STORAGES, type WrappedApp } from "../fault/wrapped-app.js";
import { inParallel, memory, report, sizeFrom } from "./measure.js";

const RUNS = sizeFrom("SOAK_RUNS", 20_000);
const WARM_UP = RUNS / 4;
/** A kilobyte; with SQLite also its page cache, which fills once: `cache_size` of databases/sqlite/open.ts. */
const maxRssPerRun = (storage: StorageName): number =>
  1_000 + (storage === "sqlite" ? (32_000 * 1_024) / (RUNS - WARM_UP) : 0);
/** Logs of ended runs go after this long: what is kept for ever shows, and what is kept for two minutes does not. */
const EVENT_LOG_TTL_MS = 1_000;

const post = async (app: WrappedApp, path: string, body: unknown): Promise<unknown> => {
  const response = await app.fetch(new Request(`http://heddle${path}`, { method: "POST", body: JSON.stringify(body) }));
  expect(response.status).toBe(200);
  return response.json();
};

const open = (storage: StorageName): Promise<WrappedApp> =>
  openWrappedApp(storage, {
    options: { streaming: { eventLogTtlMs: EVENT_LOG_TTL_MS, unreadTtlMs: EVENT_LOG_TTL_MS } },
  });

/** What the process gains per run, after a warm-up. */
async function slope(what: string, app: WrappedApp, run: () => Promise<void>): Promise<{ rss: number; heap: number }> {
  const settle = async () => {
    await new Promise((resolve) => setTimeout(resolve, EVENT_LOG_TTL_MS * 2));
    await app.eventLog.sweep();
    return memory();
  };
  await inParallel(WARM_UP, 10, run);
  const before = await settle();
  const startedAt = performance.now();
  await inParallel(RUNS - WARM_UP, 10, run);
  const tookMs = performance.now() - startedAt;
  const after = await settle();
  const perRun = (key: "rss" | "heap") => (after[key] - before[key]) / (RUNS - WARM_UP);
  report(what, {
    "runs/s": ((RUNS - WARM_UP) / tookMs) * 1_000,
    "RSS bytes/run": perRun("rss"),
    "heap bytes/run": perRun("heap"),
    "RSS MB": after.rss / 1e6,
    "logs in memory": app.eventLog.size,
  });
  return { rss: perRun("rss"), heap: perRun("heap") };
}

it.each(SINGLE_STORAGES)("stateless runs leave nothing behind (%s)", { timeout: 600_000 }, async (storage) => {
  const app = await open(storage);
  const { rss, heap } = await slope(`stateless runs on ${storage}`, app, async () => {
    expect(await post(app, "/runs/wait", { assistant_id: "counter", input: {} })).toMatchObject({ n: 3 });
  });
  expect(heap).toBeLessThan(300);
  expect(rss).toBeLessThan(maxRssPerRun(storage));
  expect(app.eventLog.size).toBe(0);
});

const DURABLE = SINGLE_STORAGES.filter((storage) => storage !== "memory");

it.each(DURABLE)("runs on threads cost the database, not the process (%s)", { timeout: 1_800_000 }, async (storage) => {
  const app = await open(storage);
  const { rss, heap } = await slope(`runs on threads of their own on ${storage}`, app, async () => {
    const thread = (await post(app, "/threads", {})) as { thread_id: string };
    await post(app, `/threads/${thread.thread_id}/runs/wait`, { assistant_id: "counter", input: {} });
  });
  expect(heap).toBeLessThan(300);
  expect(rss).toBeLessThan(maxRssPerRun(storage));
});
