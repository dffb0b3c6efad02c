import { randomUUID } from "node:crypto";
import { MemorySaver } from "@langchain/langgraph";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rawFiles, rawMongo, rawPostgres } from "../support/raw-storage.js";
import {
  createStorage,
  type StorageName,
  STORAGES,
  startServer,
  statusOf,
  type TestServer,
  until,
} from "../support/server.js";
import { dirname } from "node:path";

/** Minutes: long enough for a test to look, short enough to wait for. */
const SOON = 0.01;
const OFTEN = { threads: { ttl: { sweepIntervalMinutes: 0.01 } } } as const;

interface Pruned {
  readonly pruned_count: number;
  readonly checkpoints?: number;
  readonly bytes?: number;
}
interface Storage {
  readonly thread_id: string;
  readonly total_bytes: number;
  readonly checkpoints: { readonly count: number; readonly bytes: number };
  readonly channel_values: {
    readonly count: number;
    readonly by_channel: Readonly<Record<string, { readonly versions: number; readonly bytes: number }>>;
  };
  readonly pending_writes: { readonly count: number };
}

interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

async function ask<T>(server: TestServer, method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return { status: answer.status, body: (await answer.json()) as T };
}

describe.each(STORAGES)("threads that expire, by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage, OFTEN)));
  afterAll(() => server.close());
  const ttlOf = (threadId: string) => ttlBy(server, threadId);
  const historyOf = async (threadId: string) => server.client.threads.getHistory(threadId, { limit: 100 });
  /** A thread with some checkpoints. */
  const made = async (ttl?: number): Promise<string> => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create(ttl === undefined ? {} : { ttl });
    await runs.wait(thread_id, "counter", { input: { n: 1 } });
    return thread_id;
  };

  it("keeps a time to live, shows it when asked, changes it and takes it away", async () => {
    const { threads } = server.client;
    const { thread_id } = await threads.create({ ttl: 43_200 });
    expect(await threads.get(thread_id)).not.toHaveProperty("ttl");
    const before = await threads.get(thread_id, { include: ["ttl"] });
    expect(await ttlOf(thread_id)).toEqual({
      strategy: "delete",
      ttl_minutes: 43_200,
      expires_at: new Date(Date.parse(before.updated_at) + 43_200 * 60_000).toISOString(),
    });
    const keep = await ask(server, "PATCH", `/threads/${thread_id}`, { ttl: { strategy: "keep_latest", ttl: 0.5 } });
    expect(keep.status).toBe(200);
    expect(await ttlOf(thread_id)).toMatchObject({ strategy: "keep_latest", ttl_minutes: 0.5 });
    await threads.update(thread_id, { metadata: { a: 1 }, ttl: 10 });
    expect(await ttlOf(thread_id)).toMatchObject({ strategy: "delete", ttl_minutes: 10 });
    await expect(threads.update(thread_id, { ttl: 20, returnMinimal: true })).resolves.toBeUndefined();
    const found = await threads.search({ ids: [thread_id], select: ["thread_id", "ttl" as "status"] });
    expect(found).toMatchObject([{ thread_id, ttl: { ttl_minutes: 20 } }]);
    expect(await ttlOf((await threads.copy(thread_id)).thread_id)).toMatchObject({ ttl_minutes: 20 });
    await ask(server, "PATCH", `/threads/${thread_id}`, { ttl: null });
    expect(await ttlOf(thread_id)).toBeNull();
  });

  it.each([
    { ttl: 0 },
    { ttl: -1 },
    { ttl: "5" },
    { ttl: { strategy: "archive", ttl: 5 } },
    { ttl: {} },
    { ttl: 1e12 },
  ])("refuses %j by name", async (body) => {
    const { status, body: answer } = await ask<{ detail: string }>(server, "POST", "/threads", body);
    expect([status, answer.detail.includes("ttl")], answer.detail).toEqual([422, true]);
  });

  it("removes expired threads with all they had, and frees their ids", async () => {
    const { threads, runs } = server.client;
    const threadId = randomUUID();
    await threads.create({ threadId, ttl: SOON });
    const run = await runs.create(threadId, "counter", { input: { n: 1 } });
    await runs.join(threadId, run.run_id);
    await until(async () => (await statusOf(threads.get(threadId))) === 404, "the thread to expire");
    expect(await statusOf(runs.get(threadId, run.run_id))).toBe(404);
    await threads.create({ threadId, ttl: 60 });
    await runs.wait(threadId, "counter", { input: { n: 5 } });
    expect((await threads.getState<{ n: number }>(threadId)).values.n).toBe(8);
    expect(await threads.count({ metadata: {} })).toBeGreaterThan(0);
  });

  it("keeps the latest state of threads that expire so, and goes on from there", async () => {
    const { threads, runs } = server.client;
    const threadId = await made();
    await runs.wait(threadId, "counter", { input: { n: 5 } });
    const before = await threads.getState(threadId);
    expect((await historyOf(threadId)).length).toBeGreaterThan(3);
    await ask(server, "PATCH", `/threads/${threadId}`, { ttl: { strategy: "keep_latest", ttl: SOON } });
    await until(async () => (await historyOf(threadId)).length === 1, "the checkpoints to be pruned");
    expect(await threads.getState(threadId)).toEqual(before);
    const later = await runs.wait(threadId, "counter", { input: { n: 1 } });
    expect(later).toMatchObject({ n: 4 });
    await ask(server, "PATCH", `/threads/${threadId}`, { ttl: null });
  });

  it("prunes by ids: deletes, keeps the latest, or only counts", async () => {
    const { threads } = server.client;
    const [one, two, three] = [await made(), await made(), await made()];
    const missing = randomUUID();
    const dry = await ask<Pruned>(server, "POST", "/threads/prune", { thread_ids: [one, missing], dry_run: true });
    expect(dry.body).toMatchObject({ pruned_count: 1 });
    expect(dry.body.bytes).toBeGreaterThan(100);
    const length = (await historyOf(two)).length;
    const kept = { thread_ids: [two], strategy: "keep_latest" };
    const counted = await ask<Pruned>(server, "POST", "/threads/prune", { ...kept, dry_run: true });
    expect(counted.body).toMatchObject({ pruned_count: 1, checkpoints: length - 1 });
    expect((await historyOf(two)).length).toBe(length);
    const state = await threads.getState(two);
    expect((await ask<Pruned>(server, "POST", "/threads/prune", kept)).body).toEqual(counted.body);
    expect((await historyOf(two)).length).toBe(1);
    expect(await threads.getState(two)).toEqual(state);
    expect(await threads.prune([two], { strategy: "keep_latest" })).toMatchObject({ pruned_count: 1, checkpoints: 0 });
    expect(await threads.prune([one, one, three, missing])).toEqual({ pruned_count: 2 });
    expect(await statusOf(threads.get(one))).toBe(404);
    expect(await threads.prune([])).toEqual({ pruned_count: 0 });
    expect((await ask(server, "POST", "/threads/prune", { thread_ids: ["x"] })).status).toBe(422);
  });

  it("leaves threads alone whose run is under way", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const run = await runs.create(thread_id, "slow", { input: { steps: 200, step_ms: 20 } });
    await until(async () => (await historyOf(thread_id)).length > 3, "the run to have checkpoints");
    expect(await threads.prune([thread_id], { strategy: "keep_latest" })).toMatchObject({ pruned_count: 0 });
    expect((await historyOf(thread_id)).length).toBeGreaterThan(3);
    await runs.cancel(thread_id, run.run_id, true);
    expect(await threads.prune([thread_id])).toEqual({ pruned_count: 1 });
  });

  it("copies all checkpoints, the latest, or the last n", async () => {
    const { threads } = server.client;
    const source = await made();
    const length = (await historyOf(source)).length;
    const copy = async (body?: unknown): Promise<string> => {
      const answer = await ask<{ thread_id: string }>(server, "POST", `/threads/${source}/copy`, body);
      expect(answer.status).toBe(200);
      return answer.body.thread_id;
    };
    for (const [body, expected] of [
      [undefined, length],
      [{ mode: "full" }, length],
      [{ mode: "latest" }, 1],
      [{ mode: "last_n", n: 2 }, 2],
    ] as const) {
      const copied = await copy(body);
      expect((await historyOf(copied)).length).toBe(expected);
      expect((await threads.getState(copied)).values).toEqual((await threads.getState(source)).values);
    }
    for (const [bad, field] of [
      [{ mode: "last_n" }, "n"],
      [{ n: 2 }, "n"],
      [{ mode: "some" }, "mode"],
      [{ mode: "last_n", n: 0 }, "n"],
    ] as const) {
      const answer = await ask<{ detail: string }>(server, "POST", `/threads/${source}/copy`, bad);
      expect([answer.status, answer.body.detail.startsWith(`${field}:`)], answer.body.detail).toEqual([422, true]);
    }
  });

  it("says what a thread takes, by channel", async () => {
    const threadId = await made();
    const { body } = await ask<Storage>(server, "GET", `/threads/${threadId}/storage`);
    expect(body.thread_id).toBe(threadId);
    expect(body.checkpoints.count).toBe((await historyOf(threadId)).length);
    expect(body.total_bytes).toBeGreaterThan(body.checkpoints.bytes);
    expect(body.channel_values.by_channel["n"]).toMatchObject({ versions: expect.any(Number) as number });
    expect((await ask(server, "GET", `/threads/${randomUUID()}/storage`)).status).toBe(404);
    const empty = await server.client.threads.create();
    const nothing = await ask<Storage>(server, "GET", `/threads/${empty.thread_id}/storage`);
    expect(nothing.body).toMatchObject({
      total_bytes: 0,
      checkpoints: { count: 0 },
      channel_values: { by_channel: {} },
    });
  });
});

describe.each(STORAGES)("a default time to live on %s", (storage) => {
  let server: TestServer;
  const ttl = { strategy: "keep_latest", defaultTtlMinutes: 60 } as const;
  beforeAll(async () => void (server = await startServer(storage, { threads: { ttl } })));
  afterAll(() => server.close());

  it("is for all new threads that say nothing, also those that runs make, and not for hidden ones", async () => {
    const { threads, runs } = server.client;
    const ttlOf = (threadId: string) => ttlBy(server, threadId);
    const plain = await threads.create();
    expect(await ttlOf(plain.thread_id)).toMatchObject({ strategy: "keep_latest", ttl_minutes: 60 });
    const own = await threads.create({ ttl: 5 });
    expect(await ttlOf(own.thread_id)).toMatchObject({ strategy: "delete", ttl_minutes: 5 });
    const byRun = randomUUID();
    await runs.wait(byRun, "counter", { input: { n: 1 }, ifNotExists: "create" });
    expect(await ttlOf(byRun)).toMatchObject({ strategy: "keep_latest", ttl_minutes: 60 });
    const kept = await runs.create(null, "counter", { input: { n: 1 }, onCompletion: "keep" as "complete" });
    expect(await ttlOf(kept.thread_id)).toMatchObject({ ttl_minutes: 60 });
  });
});

describe.each(STORAGES.filter((name) => name !== "memory" && name !== "two processes"))(
  "what a deletion leaves behind on %s",
  (storage) => {
    it("is nothing: no row, document or file says the thread's or its runs' names", async () => {
      const { uri, drop } = await createStorage(storage);
      const server = await startServer(storage, { ...OFTEN, storage: uri, streaming: { eventLogTtlMs: 600_000 } });
      try {
        const { threads, runs } = server.client;
        const secret = `mark${randomUUID().replaceAll("-", "")}`;
        const gone: string[] = [secret];
        for (const how of ["delete", "prune", "expire"] as const) {
          const { thread_id } = await threads.create({ metadata: { secret } });
          const other = await threads.create();
          const run = await runs.create(thread_id, "counter", {
            input: { n: 1 },
            metadata: { secret },
            streamResumable: true,
          });
          await runs.join(thread_id, run.run_id);
          await runs.wait(thread_id, "ask", { input: { question: secret } });
          const copied = await threads.copy(thread_id);
          gone.push(thread_id, run.run_id, copied.thread_id);
          const ids = [thread_id, copied.thread_id];
          expect(await rawOf(storage, uri)).toContain(run.run_id);
          if (how === "delete") for (const id of ids) await threads.delete(id);
          else if (how === "prune") await threads.prune(ids);
          else for (const id of ids) await threads.update(id, { ttl: SOON });
          await until(
            async () => (await Promise.all(ids.map((id) => statusOf(threads.get(id))))).every((code) => code === 404),
            "the threads to go",
          );
          expect(await statusOf(threads.get(other.thread_id))).toBe(200);
        }
        await until(async () => {
          const raw = await rawOf(storage, uri);
          return gone.every((name) => !raw.includes(name));
        }, "nothing of them to be left");
      } finally {
        await server.close();
        await drop();
      }
    });
  },
);

describe("a user's own saver", () => {
  it("is asked for what it cannot do with 501, and copies what it can", async () => {
    const server = await startServer("memory", { checkpointer: new MemorySaver() });
    try {
      const { threads, runs } = server.client;
      const { thread_id } = await threads.create();
      await runs.wait(thread_id, "counter", { input: { n: 1 } });
      const storage = await ask<{ detail: string }>(server, "GET", `/threads/${thread_id}/storage`);
      expect([storage.status, storage.body.detail]).toEqual([501, expect.stringContaining("MemorySaver")]);
      const prune = { thread_ids: [thread_id], strategy: "keep_latest" };
      expect((await ask(server, "POST", "/threads/prune", prune)).status).toBe(501);
      const copy = await ask<{ thread_id: string }>(server, "POST", `/threads/${thread_id}/copy`, { mode: "latest" });
      expect(await threads.getHistory(copy.body.thread_id)).toHaveLength(1);
      expect(await threads.prune([thread_id])).toEqual({ pruned_count: 1 });
    } finally {
      await server.close();
    }
  });
});

/** The SDK's type of a thread has no `ttl` (@langchain/langgraph-sdk 1.x). */
async function ttlBy(server: TestServer, threadId: string): Promise<unknown> {
  return ((await server.client.threads.get(threadId, { include: ["ttl"] })) as { ttl?: unknown }).ttl;
}

/** All that lies in a storage. */
async function rawOf(storage: StorageName, uri: string): Promise<string> {
  if (storage === "postgres") return rawPostgres(uri);
  if (storage === "mongodb") return rawMongo(uri);
  const { default: Database } = await import("better-sqlite3");
  const path = uri.slice("sqlite:".length);
  const db = new Database(path, { readonly: true });
  try {
    // A file keeps pages that nothing uses any more: what counts is what tables say.
    const tables = db.prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const texts = tables.flatMap(({ name }) =>
      db
        .prepare<[], Record<string, unknown>>(`SELECT * FROM "${name}"`)
        .all()
        .map((row) => `${name} ${Object.values(row).map(cellText).join(" ")}`),
    );
    return texts.join("\n") + (texts.length === 0 ? rawFiles(dirname(path)) : "");
  } finally {
    db.close();
  }
}

function cellText(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);
}
