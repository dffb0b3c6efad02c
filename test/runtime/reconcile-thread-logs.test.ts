import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import type { EventLog } from "../../src/core/event-log.js";
import type { Run } from "../../src/core/run.js";
import { rootLifecycle, threadLogOf } from "../../src/core/thread-event.js";
import { createThreadLogReconciler } from "../../src/runtime/reconcile-thread-logs.js";
import { createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { openSqliteEventStorage } from "../../src/streaming/sqlite-event-storage.js";
import { StoredEventLog } from "../../src/streaming/stored-event-log.js";
import { newEvent } from "../../src/testing/event-log/fixture.js";
import { type FakeClock, fakeClock } from "../../src/testing/fake-clock.js";
import { ALL, CLAIM, Rows } from "../../src/testing/stores/suite.js";

const TOKEN = 1_800_000_000_000;
const SETTLE_MS = 5_000;
const TTL_MS = 60_000;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function openProcess(cwd: string, clock: FakeClock): Promise<EventLog> {
  const storage = await openSqliteEventStorage("sqlite:./events.db", { cwd, clock });
  const logger = {
    warn: (fields: object) => {
      throw new Error("Nothing may fail here", { cause: fields });
    },
  };
  const log = new StoredEventLog({ clock, storage, logger, ttlMs: TTL_MS });
  closers.push(() => log.close());
  return log;
}

/** Two processes on one file, one of which writes logs of threads and says nothing at their end. */
async function openBoth() {
  const cwd = await mkdtemp(join(tmpdir(), "heddle-thread-logs-"));
  closers.push(() => rm(cwd, { recursive: true, force: true }));
  const clock = fakeClock();
  const [crashed, eventLog] = [await openProcess(cwd, clock), await openProcess(cwd, clock)];
  const store = createMemoryMetadataStore(clock);
  const round = createThreadLogReconciler({ store, eventLog, clock });
  const write = async (threadId: string, run?: Run): Promise<void> => {
    const thread = threadLogOf(threadId);
    await crashed.begin(thread, { leaseToken: TOKEN, lasting: true });
    if (run !== undefined) {
      const { runId, graphId: graphName } = run;
      crashed.append(thread, [rootLifecycle({ runId, graphName, step: "running", timestamp: clock.now() })]);
    }
    crashed.append(thread, [newEvent("a")]);
    await crashed.flush(thread);
  };
  return { clock, crashed, eventLog, store, rows: new Rows(store), round, write };
}

describe("logs of threads that a crash left", () => {
  it("are put to rest once the thread has been idle for a while, and wait while it is busy", async () => {
    const { clock, eventLog, rows, round, write } = await openBoth();
    const [idle, busy] = [await rows.thread(), await rows.thread()];
    const { run, lease } = await rows.leased(busy);
    await write(idle);
    await write(busy, run);
    await round();
    clock.advance(SETTLE_MS - 1);
    await round();
    expect(await eventLog.restless()).toHaveLength(2);
    clock.advance(1);
    await round();
    expect((await eventLog.restless()).map(({ threadId }) => threadId)).toEqual([busy]);
    for (let i = 0; i < 3; i += 1) {
      clock.advance(SETTLE_MS);
      await round();
    }
    expect((await eventLog.restless()).map(({ threadId }) => threadId)).toEqual([busy]);
    await rows.finish(lease);
    for (let i = 0; i < 2; i += 1) {
      await round();
      clock.advance(SETTLE_MS);
    }
    await round();
    expect(await eventLog.restless()).toEqual([]);
    clock.advance(TTL_MS + 1);
    await eventLog.sweep();
    // Their numbers stay: their threads are there. The end of the run that had one was made up for.
    expect(await eventLog.extent(threadLogOf(idle))).toMatchObject({ nextSeq: 1, evictedToSeq: 0 });
    expect(await eventLog.extent(threadLogOf(busy))).toMatchObject({ nextSeq: 3, evictedToSeq: 2 });
  });

  it("are not touched when another run begins in between", async () => {
    const { clock, crashed, eventLog, rows, round, write } = await openBoth();
    const threadId = await rows.thread();
    const thread = threadLogOf(threadId);
    await write(threadId);
    await round();
    clock.advance(SETTLE_MS);
    // The store does not say so yet.
    await crashed.begin(thread, { leaseToken: TOKEN + 1, lasting: true });
    const [seen] = await eventLog.restless();
    await eventLog.rest(thread, { leaseToken: TOKEN });
    expect(await eventLog.restless()).toEqual([seen]);
    expect(seen).toEqual({ ...thread, leaseToken: TOKEN + 1 });
    expect(crashed.append(thread, [newEvent("b")])).toBe(1);
  });

  it("are dropped when the thread is gone, resting or not, expired or not; those of living threads never", async () => {
    const { clock, crashed, eventLog, store, rows, round, write } = await openBoth();
    const [left, resting, expired, living] = [rows.id(), rows.id(), rows.id(), await rows.thread()];
    for (const threadId of [expired, living, resting, left]) {
      await write(threadId);
      if (threadId === left) continue;
      await crashed.rest(threadLogOf(threadId), { leaseToken: TOKEN });
      if (threadId !== living) continue;
      clock.advance(TTL_MS + 1);
      await eventLog.sweep();
    }
    const kept = async (): Promise<readonly string[]> => (await eventLog.lasting()).map(({ threadId }) => threadId);
    await round();
    clock.advance(SETTLE_MS - 1);
    await round();
    expect(await kept()).toEqual([left, resting, expired, living].sort());
    clock.advance(1);
    await round();
    expect(await kept()).toEqual([living]);
    for (let i = 0; i < 30; i += 1) {
      await round();
      clock.advance(SETTLE_MS);
    }
    expect(await kept()).toEqual([living]);

    await store.threads.delete({ threadId: living, access: ALL_ROWS });
    for (let i = 0; i < 14; i += 1) {
      await round();
      clock.advance(SETTLE_MS);
    }
    expect(await kept()).toEqual([]);
  });

  it("of a thread that is not there yet wait for it, as their readers do", async () => {
    const { clock, crashed, eventLog, store, rows, round } = await openBoth();
    const threadId = rows.id();
    const thread = threadLogOf(threadId);
    await crashed.begin(thread, { lasting: true });
    await crashed.flush(thread);
    const cursor = await eventLog.open(thread, "now");
    for (let i = 0; i < 30; i += 1) {
      await round();
      clock.advance(SETTLE_MS);
    }
    const read = cursor?.next();
    await rows.create(threadId, { createThread: true, watched: true }, CLAIM);
    expect((await store.threads.get({ threadId, access: ALL }))?.status).toBe("busy");
    await eventLog.begin(thread, { leaseToken: TOKEN, lasting: true });
    eventLog.append(thread, [newEvent("a")]);
    expect(await read).toMatchObject({ kind: "events" });
  });
});
