import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { toJsonText } from "../../src/core/json.js";
import type { Logger } from "../../src/core/logger.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { RecordKey } from "../../src/core/record.js";
import { createExpiry, type ExpiryDeps } from "../../src/runtime/expiry.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import { createMemoryItems, createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { createDatabase } from "../support/postgres.js";
import { startProcess, type ServedProcess } from "../support/served-process.js";
import { startServer, statusOf, until } from "../support/server.js";

const HOUR_MS = 3_600_000;

function fixture(limit = 1_000) {
  const storeClock = fakeClock();
  const store = createMemoryMetadataStore(storeClock);
  const errors: string[] = [];
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (_, message) => void errors.push(message),
  };
  const deleted: string[] = [];
  const pruned: string[] = [];
  const failing = new Set<string>();
  const attempt = (threadId: string, done: string[]): void => {
    if (failing.has(threadId)) throw new Error("away");
    done.push(threadId);
  };
  const checkpointer: Pick<Checkpointer, "deleteThread" | "prune"> = {
    deleteThread: async (threadId) => attempt(threadId, deleted),
    async prune({ threadId }) {
      attempt(threadId, pruned);
      return { checkpoints: 0, writes: 0, values: 0, bytes: 0 };
    },
  };
  const items = createMemoryItems(storeClock);
  // The sweep's own clock: its pauses are real, and short.
  const deps: ExpiryDeps = {
    store,
    items,
    checkpointer,
    eventLog: { dropThread: async () => {} },
    clock: systemClock,
    logger,
  };
  const expiry = (workerId: string, more: Partial<ExpiryDeps> = {}) =>
    createExpiry(
      { ...deps, ...more },
      {
        workerId,
        threads: { everyMs: HOUR_MS, limit },
        items: { everyMs: HOUR_MS },
        records: { everyMs: HOUR_MS, except: ["kept"] },
      },
    );
  return { store, items, storeClock, deleted, pruned, failing, errors, expiry };
}

async function makeThreads(store: MetadataStore, count: number, strategy: "delete" | "keep_latest" = "delete") {
  const ids = Array.from({ length: count }, (_, n) => `${strategy}-${n}`);
  for (const threadId of ids) {
    await store.threads.create({ threadId, metadata: {}, ttl: { strategy, ttlMs: 1_000 }, access: ALL_ROWS });
  }
  return ids;
}

describe("a sweep", () => {
  it("removes and prunes what has expired, and nothing else", async () => {
    const { store, storeClock, expiry, deleted, pruned } = fixture();
    const gone = await makeThreads(store, 25);
    const kept = await makeThreads(store, 25, "keep_latest");
    await store.threads.create({ threadId: "for ever", metadata: {}, access: ALL_ROWS });
    expect(await expiry("a").sweepThreads()).toBe(0);
    storeClock.advance(1_000);
    expect(await expiry("a").sweepThreads()).toBe(50);
    expect([deleted.toSorted(), pruned.toSorted()]).toEqual([gone.toSorted(), kept.toSorted()]);
    expect(await store.threads.count({ access: ALL_ROWS })).toBe(26);
    expect(await expiry("a").sweepThreads()).toBe(0);
  });

  it("removes expired records in rounds, tells whose they were, and leaves those of others", async () => {
    const { store, storeClock, expiry } = fixture();
    const value = toJsonText(1);
    const key = (n: number) => ({ space: "test", owner: "ada", collection: "c", key: String(n).padStart(3, "0") });
    for (let n = 0; n < 250; n += 1) await store.records.write({ ...key(n), value, ttlMs: 1_000 + n });
    await store.records.write({ ...key(1), space: "kept", value, ttlMs: 1 });
    await store.records.write({ ...key(999), value });
    const told: string[] = [];
    const onExpired = (keys: readonly RecordKey[]) => void told.push(...keys.map((one) => one.key));
    expect(await expiry("a", { onExpired }).sweepRecords()).toBe(0);
    storeClock.advance(HOUR_MS);
    expect(await expiry("a", { onExpired }).sweepRecords()).toBe(250);
    expect(told).toEqual(Array.from({ length: 250 }, (_, n) => key(n).key));
    expect(await store.records.expired({ space: "kept", limit: 9 })).toHaveLength(1);
    expect(await store.records.count({ space: "test", owner: "ada" })).toBe(1);
    expect(await expiry("b", { onExpired }).sweepRecords()).toBe(0);
  });

  it("takes no more than its limit, and goes on next time", async () => {
    const { store, storeClock, expiry, deleted } = fixture(12);
    await makeThreads(store, 30);
    storeClock.advance(1_000);
    for (const done of [12, 24, 30]) {
      await expiry("a").sweepThreads();
      expect(deleted).toHaveLength(done);
      expect(await store.threads.count({ access: ALL_ROWS })).toBe(30 - done);
      expect(await store.expiredThreads.removed({ limit: 100 })).toEqual([]);
    }
  });

  it("is one process's at a time, and not again before it is time", async () => {
    const { store, storeClock, expiry, deleted } = fixture();
    await makeThreads(store, 3);
    storeClock.advance(1_000);
    expect(await Promise.all([expiry("a").sweepThreads(), expiry("b").sweepThreads()])).toEqual([3, 0]);
    await makeThreads(store, 3);
    storeClock.advance(1_000);
    expect(await expiry("b").sweepThreads()).toBe(0);
    storeClock.advance(HOUR_MS);
    expect(await expiry("b").sweepThreads()).toBe(3);
    expect(deleted).toHaveLength(6);
  });

  it("goes on past what fails, says so, and tries it again next time", async () => {
    const { store, storeClock, expiry, deleted, pruned, failing, errors } = fixture();
    await makeThreads(store, 15);
    await makeThreads(store, 15, "keep_latest");
    failing.add("delete-3").add("keep_latest-3");
    storeClock.advance(1_000);
    expect(await expiry("a").sweepThreads()).toBe(28);
    expect(errors).toHaveLength(2);
    failing.clear();
    expect(await expiry("a").sweepThreads()).toBe(2);
    expect([deleted.length, pruned.length]).toEqual([15, 15]);
  });

  it("leaves the checkpoints of a thread that became active just then, and takes it up when it has expired again", async () => {
    const { store, storeClock, expiry, pruned } = fixture();
    const [active = ""] = await makeThreads(store, 2, "keep_latest");
    storeClock.advance(1_000);
    const checkpointer: ExpiryDeps["checkpointer"] = {
      deleteThread: async () => {},
      async prune({ threadId, mayRemove }) {
        if (threadId === active) await store.threads.update({ threadId, metadata: { active: true }, access: ALL_ROWS });
        if (await mayRemove?.()) pruned.push(threadId);
        return { checkpoints: 0, writes: 0, values: 0, bytes: 0 };
      },
    };
    expect(await expiry("a", { checkpointer }).sweepThreads()).toBe(1);
    expect(pruned).toEqual(["keep_latest-1"]);
    storeClock.advance(HOUR_MS);
    await expiry("a").sweepThreads();
    expect(pruned).toContain(active);
  });

  it("finishes first what a process that died has left", async () => {
    const { store, storeClock, expiry, deleted } = fixture();
    await makeThreads(store, 3);
    storeClock.advance(1_000);
    await store.expiredThreads.remove({ limit: 3 });
    expect(await expiry("a").sweepThreads()).toBe(3);
    expect(deleted).toHaveLength(3);
  });

  it("stops when it is asked to, and gives its lease to the next", async () => {
    const { store, storeClock, expiry, deleted } = fixture();
    await makeThreads(store, 60);
    storeClock.advance(1_000);
    const first = expiry("a");
    const sweeping = first.sweepThreads();
    await until(async () => deleted.length > 0, "the sweep to begin");
    await first.stop();
    const done = await sweeping;
    expect(done).toBeLessThan(60);
    expect(await expiry("b").sweepThreads()).toBe(60 - done);
  });

  it("removes expired items", async () => {
    const { items, storeClock, expiry } = fixture();
    for (let n = 0; n < 250; n += 1) {
      await items.put({ namespace: ["a"], key: `${n}`, value: {}, ttlMs: n < 210 ? 1_000 : null, access: ALL_ROWS });
    }
    storeClock.advance(1_000);
    expect(await expiry("a").sweepItems()).toBe(210);
    expect(await expiry("a").sweepItems()).toBe(0);
  });
});

describe("kill -9 in the middle of a sweep", () => {
  const running: ServedProcess[] = [];
  const drops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const process of running.splice(0)) await process.kill("SIGKILL");
    for (const drop of drops.splice(0)) await drop();
  });

  const places = {
    sqlite: async () => {
      const dir = mkdtempSync(join(tmpdir(), "heddle-expiry-"));
      drops.push(async () => rmSync(dir, { recursive: true, force: true }));
      return `sqlite:${join(dir, "heddle.db")}`;
    },
    postgres: async () => {
      const { uri, drop } = await createDatabase();
      drops.push(drop);
      return uri;
    },
  };

  it.each(["sqlite", "postgres"] as const)("leaves whole threads or none on %s", { timeout: 120_000 }, async (name) => {
    const uri = await places[name]();
    const seeding = await startServer("memory", { storage: uri });
    const { threads, runs } = seeding.client;
    const ids: string[] = [];
    for (let n = 0; n < 80; n += 10) {
      ids.push(
        ...(await Promise.all(
          Array.from({ length: 10 }, async () => {
            const { thread_id } = await threads.create({ ttl: 0.0001 });
            await runs.wait(thread_id, "counter", { input: { n: 1 } });
            return thread_id;
          }),
        )),
      );
    }
    await seeding.close();
    const often = { threads: { ttl: { sweepIntervalMinutes: 0.01 } } };
    const start = async () => {
      const process = await startProcess({ graphs: "fixtures", options: { storage: uri, ...often } });
      running.push(process);
      return process;
    };
    const first = await start();
    await until(async () => (await first.client.threads.count()) < 75, "the sweep to be under way");
    await first.kill("SIGKILL");
    // Without a sweep: what there is, is whole.
    const looking = await startServer("memory", { storage: uri });
    let left = 0;
    for (const id of ids) {
      const { client } = looking;
      if ((await statusOf(client.threads.get(id))) === 404) continue;
      left += 1;
      expect((await client.threads.getState<{ n: number }>(id)).values.n).toBe(4);
      expect((await client.threads.getHistory(id)).length).toBeGreaterThan(3);
      expect(await client.runs.list(id)).toHaveLength(1);
    }
    expect(left).toBeGreaterThan(0);
    await looking.close();
    const second = await start();
    await until(async () => (await second.client.threads.count()) === 0, "the next sweep to finish").catch(
      async (error: unknown) => {
        throw new Error(`${await second.client.threads.count()} threads are left`, { cause: error });
      },
    );
  });
});
