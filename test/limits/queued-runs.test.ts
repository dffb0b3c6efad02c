import { expect, test } from "vitest";
import type { MetadataStore, RunStore } from "../../src/core/metadata-store.js";
import { withQueueLimits } from "../../src/limits/queued-runs.js";
import { createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import {
  assistant,
  claimOne,
  create as createCron,
  EVERY_MINUTE_MS,
  newCron,
} from "../../src/testing/stores/cron-drafts.js";
import { ALL, CLAIM, newRun, Rows, uuid } from "../../src/testing/stores/suite.js";

/** A store that counts how often a run is read. */
function counted(store: MetadataStore) {
  let reads = 0;
  const get: RunStore["get"] = async (params) => {
    reads += 1;
    return store.runs.get(params);
  };
  const counting: MetadataStore = { ...store, runs: { ...store.runs, get } };
  return { store: counting, reads: () => reads };
}

async function openLimited(perCaller: number) {
  const clock = fakeClock();
  const memory = createMemoryMetadataStore(clock);
  const { store, reads } = counted(memory);
  const rows = new Rows(withQueueLimits(store, { perThread: null, perCaller }, () => "id:ann", clock));
  const create = async () => rows.create(await rows.thread()).then(({ kind }) => kind);
  return { clock, memory, create, reads };
}

test("requests that are refused share a look-up, and cause none again for a second", async () => {
  const { clock, create, reads } = await openLimited(3);
  for (let i = 0; i < 3; i += 1) expect(await create()).toBe("created");
  expect(reads()).toBe(0);
  const refused = await Promise.allSettled(Array.from({ length: 50 }, create));
  expect(refused.filter(({ status }) => status === "fulfilled")).toEqual([]);
  expect(reads()).toBe(3);
  await expect(create()).rejects.toMatchObject({ code: "LIMIT_REACHED" });
  expect(reads()).toBe(3);
  clock.advance(1_000);
  await expect(create()).rejects.toMatchObject({ code: "LIMIT_REACHED" });
  expect(reads()).toBe(6);
});

test("a run that is taken up makes room after that second at the latest", async () => {
  const { clock, memory, create } = await openLimited(1);
  expect(await create()).toBe("created");
  await expect(create()).rejects.toMatchObject({ code: "LIMIT_REACHED" });
  await memory.runs.claim({ ...CLAIM, limit: 1 });
  clock.advance(1_000);
  expect(await create()).toBe("created");
});

test("ticks of a cron count as what waits on its thread, and come again when there is room", async () => {
  const clock = fakeClock();
  const memory = createMemoryMetadataStore(clock);
  const store = withQueueLimits(memory, { perThread: 2, perCaller: null }, () => null, clock);
  const rows = new Rows(store);
  const threadId = await rows.thread();
  await assistant(store);
  let next = clock.now();
  await createCron(store, newCron(1, { threadId, nextRunAt: next }));
  const fire = async (n: number, strategy: "enqueue" | "reject" = "enqueue") => {
    clock.advance(EVERY_MINUTE_MS);
    const { leaseToken } = await claimOne(store);
    const draft = newRun(n, threadId, { multitaskStrategy: strategy });
    next += EVERY_MINUTE_MS;
    return store.crons.fire({ cronId: uuid(1), leaseToken, next, draft, access: ALL });
  };
  expect(await fire(1)).toMatchObject({ kind: "fired", outcome: { kind: "created" } });
  expect(await fire(2)).toMatchObject({ kind: "fired", outcome: { kind: "created" } });
  await expect(fire(3)).rejects.toMatchObject({ code: "LIMIT_REACHED" });
  await memory.runs.claim({ ...CLAIM, limit: 1 });
  expect(await fire(4)).toMatchObject({ kind: "fired", outcome: { kind: "created" } });
  expect(await fire(5, "reject")).toMatchObject({ kind: "fired", outcome: { kind: "busy" } });
});
