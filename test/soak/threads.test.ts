import { expect, it } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import type { JsonObject } from "../../src/core/json.js";
import { openWrappedApp, SINGLE_STORAGES } from "../fault/wrapped-app.js";
import { inParallel, longestStallMs, memory, percentile, report, sizeFrom } from "./measure.js";

const THREADS = sizeFrom("SOAK_THREADS", 100_000);

const QUERIES: Readonly<Record<string, { readonly metadata?: JsonObject; readonly status?: "idle"; offset?: number }>> =
  {
    "newest first": {},
    "by user": { metadata: { user: "user-7" } },
    "by user and nested tag": { metadata: { user: "user-7", tags: { team: "b" } } },
    "by nothing that is there": { metadata: { user: "nobody" } },
    "by status": { status: "idle" },
    "deep page": { offset: THREADS / 2 },
  };

it.each(SINGLE_STORAGES)(
  "searches many threads without holding up the others (%s)",
  { timeout: 600_000 },
  async (storage) => {
    const app = await openWrappedApp(storage);
    const { threads } = app.services;
    const before = await memory();
    const startedAt = performance.now();
    await inParallel(THREADS, 200, async (index) => {
      const metadata = { user: `user-${String(index % 1_000)}`, index, tags: { team: index % 2 === 0 ? "a" : "b" } };
      await threads.create(ANONYMOUS, { ifExists: "raise", metadata });
    });
    const after = await memory();
    report(`${String(THREADS)} threads on ${storage}`, {
      "created/s": (THREADS / (performance.now() - startedAt)) * 1_000,
      "heap bytes/thread": (after.heap - before.heap) / THREADS,
    });
    for (const [what, query] of Object.entries(QUERIES)) {
      const tookMs: number[] = [];
      const stallMs = await longestStallMs(async () => {
        for (let i = 0; i < 20; i += 1) {
          const askedAt = performance.now();
          const page = await threads.search(ANONYMOUS, {
            offset: 0,
            ...query,
            limit: 10,
            sortBy: "created_at",
            sortOrder: "desc",
            withState: true,
          });
          tookMs.push(performance.now() - askedAt);
          expect(page.rows.length > 0).toBe(what !== "by nothing that is there");
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
      report(`  ${what}`, { p50Ms: percentile(tookMs, 0.5), p95Ms: percentile(tookMs, 0.95), stallMs });
      expect(percentile(tookMs, 0.95)).toBeLessThan(500);
      expect(stallMs).toBeLessThan(250);
    }
  },
);
