import { expect, it } from "vitest";
import { ALL_ROWS, ANONYMOUS } from "../../src/core/auth.js";
import { isHeddleError } from "../../src/core/errors.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { MultitaskStrategy, Run } from "../../src/core/run.js";
import { REQUEST } from "../runtime/harness.js";
import { LOCAL_STORAGES, type StorageName, until } from "../support/server.js";
import { openWrappedApp, FAST_STORAGES } from "./wrapped-app.js";

const CREATORS = 50;

/** How all runs ended that were created by 50 callers at once. */
async function race(storage: StorageName, multitaskStrategy: MultitaskStrategy) {
  let store: MetadataStore | undefined;
  const app = await openWrappedApp(storage, {
    store: (real) => {
      store = real.metadata;
      return real;
    },
  });
  await app.start();
  const { runs, threads } = app.services;
  const { threadId } = await threads.create(ANONYMOUS, { ifExists: "raise" });
  const create = (index: number): Promise<Run | "busy"> =>
    runs
      .create(ANONYMOUS, threadId, {
        ...REQUEST,
        assistantId: "slow",
        input: { ms: 2, steps: 2 },
        metadata: { index },
        multitaskStrategy,
      })
      .catch((error: unknown) => {
        if (isHeddleError(error) && error.code === "RUN_IN_FLIGHT") return "busy" as const;
        throw error;
      });
  const startedAt = performance.now();
  const answers = await Promise.all(Array.from({ length: CREATORS }, (_, index) => create(index)));
  const created = answers.filter((answer) => answer !== "busy");
  const thread = () => threads.get(ANONYMOUS, threadId);
  await until(async () => (await thread()).status !== "busy", "an idle thread");
  const rows = await Promise.all(created.map(async ({ runId }) => store?.runs.get({ runId, access: ALL_ROWS })));
  return { created, rows, thread: await thread(), tookMs: performance.now() - startedAt, log: app.log };
}

it.each(FAST_STORAGES)("reject lets one of 50 in (%s)", async (storage) => {
  const { created, rows, thread } = await race(storage, "reject");
  expect(created).toHaveLength(1);
  expect(rows[0]?.status).toBe("success");
  expect(thread.status).toBe("idle");
});

it.each(FAST_STORAGES)("enqueue runs all 50, one after the other, in order (%s)", async (storage) => {
  const { created, rows, thread, log } = await race(storage, "enqueue");
  expect(created).toHaveLength(CREATORS);
  expect(rows.map((row) => row?.status)).toEqual(created.map(() => "success"));
  expect(new Set(rows.map((row) => row?.attempt))).toEqual(new Set([1]));
  // A database gives the times itself: ids that were drawn at once may come to it in another order.
  const ordered = rows.toSorted((a, b) => a!.dueAt - b!.dueAt || (a!.runId < b!.runId ? -1 : 1));
  const ends = ordered.map((row) => row!.updatedAt);
  expect(ends).toEqual(ends.toSorted((a, b) => a - b));
  expect(JSON.parse(thread.values!)).toMatchObject({ steps: 2 });
  expect(log.filter(({ level }) => level === "error")).toEqual([]);
});

// Over a network one may have ended before the next one is made: test/wire/multitask has these strategies on every storage.
it.each(LOCAL_STORAGES)("interrupt leaves the newest of 50 to finish (%s)", async (storage) => {
  const { created, rows, thread, tookMs } = await race(storage, "interrupt");
  expect(created).toHaveLength(CREATORS);
  const newest = created
    .map((run) => run.runId)
    .toSorted()
    .at(-1);
  for (const row of rows) {
    expect(row?.status).toBe(row?.runId === newest ? "success" : "interrupted");
  }
  expect(thread.status).toBe("idle");
  // The signals arrived: nobody waited for a heartbeat.
  expect(tookMs).toBeLessThan(5_000);
});

it.each(LOCAL_STORAGES)("rollback leaves only the newest of 50 (%s)", async (storage) => {
  const { created, rows, thread, tookMs } = await race(storage, "rollback");
  expect(created).toHaveLength(CREATORS);
  const left = rows.filter((row) => row !== null && row !== undefined);
  expect(left.map((row) => [row.runId, row.status])).toEqual([
    [
      created
        .map((run) => run.runId)
        .toSorted()
        .at(-1),
      "success",
    ],
  ]);
  // Nothing of the others is left in the state.
  expect(JSON.parse(thread.values!)).toMatchObject({ done: 2 });
  expect(tookMs).toBeLessThan(5_000);
});
