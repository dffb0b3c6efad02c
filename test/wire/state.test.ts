import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, collect, startServer, statusOf } from "../support/server.js";

interface Counted {
  n: number;
  log: string[];
}

describe.each(STORAGES)("state and history by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  it("is empty before the first run", async () => {
    const { threads } = server.client;
    const { thread_id } = await threads.create();
    expect(await threads.getState(thread_id)).toMatchObject({ values: {}, next: [], tasks: [], checkpoint: null });
    expect(await threads.getHistory(thread_id)).toEqual([]);
  });

  it("lists every checkpoint newest first, pages with before, filters by metadata", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "counter", { input: { n: 0 }, metadata: { mark: "first" } });
    await runs.wait(thread_id, "counter", { input: { n: 10 }, metadata: { mark: "second" } });
    const all = await threads.getHistory<Counted>(thread_id, { limit: 100 });
    expect(all).toHaveLength(10);
    expect(all[0]!.values.n).toBe(13);
    expect(all.map((s) => s.metadata?.["step"])).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0, -1]);
    for (let i = 0; i + 1 < all.length; i++) {
      expect(all[i]!.parent_checkpoint?.checkpoint_id).toBe(all[i + 1]!.checkpoint.checkpoint_id);
    }
    const rest = await threads.getHistory(thread_id, {
      limit: 3,
      before: { configurable: { checkpoint_id: all[4]!.checkpoint.checkpoint_id } },
    });
    expect(rest.map((s) => s.checkpoint.checkpoint_id)).toEqual(all.slice(5, 8).map((s) => s.checkpoint.checkpoint_id));
    const second = await threads.getHistory(thread_id, { limit: 100, metadata: { mark: "second" } });
    expect(second).toHaveLength(5);
  });

  it("reads a checkpoint by id and by reference", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "counter", { input: { n: 0 } });
    const all = await threads.getHistory<Counted>(thread_id, { limit: 10 });
    const middle = all.find((s) => s.values.n === 1)!;
    const byId = await threads.getState<Counted>(thread_id, middle.checkpoint.checkpoint_id!);
    const byRef = await threads.getState<Counted>(thread_id, middle.checkpoint, { subgraphs: false });
    expect(byId.values).toEqual({ n: 1, log: ["one"] });
    expect(byRef).toEqual(byId);
    expect(byId.next).toEqual(["two"]);
  });

  it("updates state as a node, forks from an old checkpoint and continues there", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "counter", { input: { n: 0 } });
    const history = await threads.getHistory<Counted>(thread_id, { limit: 10 });
    const afterOne = history.find((s) => s.next[0] === "two")!;
    const { checkpoint } = (await threads.updateState(thread_id, {
      values: { n: 50 },
      asNode: "one",
      checkpointId: afterOne.checkpoint.checkpoint_id!,
    })) as unknown as { checkpoint: { checkpoint_id: string } };
    expect(checkpoint.checkpoint_id).toBeTypeOf("string");
    const forked = await threads.getState<Counted>(thread_id);
    expect(forked).toMatchObject({ next: ["two"], values: { n: 50 }, metadata: { source: "update" } });
    expect((await threads.get(thread_id)).status).toBe("interrupted");
    expect(await runs.wait(thread_id, "counter", { input: null })).toMatchObject({ n: 52 });
    expect((await threads.get(thread_id)).status).toBe("idle");
  });

  it("replays from a checkpoint given to a run", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "counter", { input: { n: 0 } });
    const history = await threads.getHistory<Counted>(thread_id, { limit: 10 });
    const afterTwo = history.find((s) => s.next[0] === "three")!;
    const replay = await runs.wait(thread_id, "counter", {
      input: null,
      checkpointId: afterTwo.checkpoint.checkpoint_id!,
    });
    expect(replay).toEqual({ n: 3, log: ["one", "two", "three"] });
    const events = await collect(
      runs.stream(thread_id, "counter", { input: null, checkpoint: afterTwo.checkpoint, streamMode: "updates" }),
    );
    expect(events.filter((e) => e.event === "updates").map((e) => Object.keys(e.data as object))).toEqual([["three"]]);
  });

  it("shows subgraph tasks, nested state, and writes into the subgraph", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const first = await runs.wait(thread_id, "nestedAsk", { input: { question: "who?" } });
    expect(first).toMatchObject({ __interrupt__: [{ value: { inner: "who?" } }] });
    const flat = await threads.getState(thread_id);
    expect(flat.tasks[0]).toMatchObject({ name: "sub", interrupts: [{ value: { inner: "who?" } }] });
    expect(flat.tasks[0]!.checkpoint?.checkpoint_ns).toMatch(/^sub:/);
    const deep = await threads.getState<{ question: string }>(thread_id, undefined, { subgraphs: true });
    expect(deep.tasks[0]!.state).toMatchObject({ values: { question: "who?" }, next: ["innerAsk"] });
    const child = await threads.getState(thread_id, flat.tasks[0]!.checkpoint as never);
    expect(child.next).toEqual(["innerAsk"]);
    expect(await runs.wait(thread_id, "nestedAsk", { command: { resume: "me" } })).toMatchObject({ answer: "me" });
  });

  it("refuses a state update while a run is in flight, or without a graph", async () => {
    const { threads, runs } = server.client;
    const bare = await threads.create();
    expect(await statusOf(threads.updateState(bare.thread_id, { values: {} }))).toBe(400);
    const { thread_id } = await threads.create();
    const run = await runs.create(thread_id, "slow", { input: { ms: 500, steps: 10 } });
    expect(await statusOf(threads.updateState(thread_id, { values: { done: 0 } }))).toBe(409);
    await runs.cancel(thread_id, run.run_id, true);
  });
});
