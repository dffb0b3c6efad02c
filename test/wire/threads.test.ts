import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf } from "../support/server.js";

describe.each(STORAGES)("threads by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  it("creates, gets, updates and deletes", async () => {
    const { threads } = server.client;
    const created = await threads.create({ metadata: { topic: "a" } });
    expect(created).toMatchObject({ status: "idle", metadata: { topic: "a" } });
    expect(await threads.get(created.thread_id)).toMatchObject({ thread_id: created.thread_id });
    const updated = await threads.update(created.thread_id, { metadata: { more: 1 } });
    expect(updated.metadata).toEqual({ topic: "a", more: 1 });
    await threads.delete(created.thread_id);
    expect(await statusOf(threads.get(created.thread_id))).toBe(404);
  });

  it("answers a taken id with 409, or with the thread that exists", async () => {
    const { threads } = server.client;
    const threadId = randomUUID();
    await threads.create({ threadId, metadata: { first: true } });
    expect(await statusOf(threads.create({ threadId }))).toBe(409);
    const again = await threads.create({ threadId, ifExists: "do_nothing", metadata: { second: true } });
    expect(again.metadata).toEqual({ first: true });
  });

  it("answers a missing thread with 404 and a bad id with 422", async () => {
    const { threads, runs } = server.client;
    const missing = randomUUID();
    expect(await statusOf(threads.get(missing))).toBe(404);
    expect(await statusOf(threads.getState(missing))).toBe(404);
    expect(await statusOf(threads.getHistory(missing))).toBe(404);
    expect(await statusOf(runs.create(missing, "echo", {}))).toBe(404);
    expect(await statusOf(threads.get("nonsense"))).toBe(422);
  });

  it("searches by metadata, status, values and ids, sorted and paged", async () => {
    const { threads, runs } = server.client;
    const tag = randomUUID();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await threads.create({ metadata: { tag, i } })).thread_id);
    const byTag = { metadata: { tag } };
    expect(await threads.count(byTag)).toBe(5);
    const page = await threads.search({ ...byTag, limit: 2, offset: 1, sortBy: "created_at", sortOrder: "asc" });
    expect(page.map((t) => t.thread_id)).toEqual(ids.slice(1, 3));
    expect((await threads.search({ ...byTag, ids: [ids[3]!] })).map((t) => t.thread_id)).toEqual([ids[3]]);
    await runs.wait(ids[0]!, "counter", { input: { n: 5 } });
    expect((await threads.search({ ...byTag, values: { n: 8 } })).map((t) => t.thread_id)).toEqual([ids[0]]);
    expect(await threads.count({ ...byTag, status: "busy" })).toBe(0);
    const [selected] = await threads.search({ ...byTag, ids: [ids[0]!], select: ["thread_id", "status"] });
    expect(selected).toEqual({ thread_id: ids[0], status: "idle" });
  });

  it("copies a thread with its state and history", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create({ metadata: { keep: "me" } });
    await runs.wait(thread_id, "counter", { input: { n: 1 } });
    const copy = await threads.copy(thread_id);
    expect(copy.thread_id).not.toBe(thread_id);
    expect(copy.metadata).toMatchObject({ keep: "me", thread_id: copy.thread_id });
    const [a, b] = await Promise.all([threads.getState(thread_id), threads.getState(copy.thread_id)]);
    expect(b.values).toEqual(a.values);
    expect((await threads.getHistory(copy.thread_id, { limit: 50 })).length).toBe(
      (await threads.getHistory(thread_id, { limit: 50 })).length,
    );
    await runs.wait(copy.thread_id, "counter", { input: { n: 100 } });
    expect((await threads.getState<{ n: number }>(thread_id)).values.n).toBe(4);
    expect(await statusOf(threads.copy(randomUUID()))).toBe(409);
  });

  it("makes state from supersteps", async () => {
    const { threads } = server.client;
    const thread = await threads.create({
      graphId: "echo",
      supersteps: [
        { updates: [{ values: { messages: [{ role: "user", content: "hi" }] }, asNode: "__input__" }] },
        { updates: [{ values: { messages: [{ role: "user", content: "hi" }] }, asNode: "__start__" }] },
        { updates: [{ values: { messages: [{ role: "assistant", content: "there" }] }, asNode: "say" }] },
      ],
    });
    const state = await threads.getState<{ messages: { content: string }[] }>(thread.thread_id);
    expect(state.values.messages.map((m) => m.content)).toEqual(["hi", "there"]);
    expect(state.next).toEqual([]);
    expect((thread.values as { messages: unknown[] }).messages).toHaveLength(2);
    expect(await statusOf(threads.create({ supersteps: [{ updates: [{ values: {}, asNode: "say" }] }] }))).toBe(400);
  });
});
