import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf, until } from "../support/server.js";

const hi = { messages: [{ role: "user", content: "hi" }] };

describe.each(STORAGES)("runs by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  it("creates in the background, joins, gets, lists newest first, deletes", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const first = await runs.create(thread_id, "counter", { input: { n: 0 }, metadata: { k: 1 } });
    expect(first).toMatchObject({ thread_id, metadata: { k: 1 }, multitask_strategy: "enqueue" });
    expect(await runs.join(thread_id, first.run_id)).toMatchObject({ n: 3 });
    expect(await runs.get(thread_id, first.run_id)).toMatchObject({ status: "success" });
    const second = await runs.create(thread_id, "counter", { input: { n: 9 } });
    await runs.join(thread_id, second.run_id);
    expect((await runs.list(thread_id)).map((r) => r.run_id)).toEqual([second.run_id, first.run_id]);
    expect((await runs.list(thread_id, { limit: 1, offset: 1 })).map((r) => r.run_id)).toEqual([first.run_id]);
    expect(await runs.list(thread_id, { status: "error" })).toEqual([]);
    await runs.delete(thread_id, first.run_id);
    expect(await statusOf(runs.get(thread_id, first.run_id))).toBe(404);
    expect(await statusOf(runs.get(thread_id, randomUUID()))).toBe(404);
  });

  it("waits for the final values and names the run in Content-Location", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    let created: { run_id: string; thread_id?: string } | undefined;
    const values = await runs.wait(thread_id, "echo", { input: hi, onRunCreated: (run) => (created = run) });
    expect(JSON.stringify(values)).toContain("echo: hi");
    expect(created?.thread_id).toBe(thread_id);
    expect(await runs.get(thread_id, created!.run_id)).toMatchObject({ status: "success" });
    expect(await threads.get(thread_id)).toMatchObject({
      status: "idle",
      values,
      metadata: { graph_id: "echo", assistant_id: (await server.client.assistants.get("echo")).assistant_id },
    });
  });

  it("reports a failing graph: run, thread and the document", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await expect(runs.wait(thread_id, "failing", { input: { n: 0 } })).rejects.toThrow("TypeError: Boo!");
    const raw = await runs.wait(thread_id, "failing", { input: { n: 0 }, raiseError: false });
    expect(raw).toEqual({ __error__: { error: "TypeError", message: "Boo!" } });
    const [run] = await runs.list(thread_id);
    expect(run).toMatchObject({ status: "error" });
    expect(await threads.get(thread_id)).toMatchObject({ status: "error", values: { n: 1 } });
  });

  it("interrupts, shows it on the thread, and resumes", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const asked = (await runs.wait(thread_id, "ask", { input: { question: "ok?" } })) as Record<string, unknown>;
    expect(asked).toMatchObject({ question: "ok?", __interrupt__: [{ value: { q: "ok?" } }] });
    const thread = await threads.get(thread_id);
    expect(thread.status).toBe("interrupted");
    expect(Object.values(thread.interrupts ?? {}).flat()).toMatchObject([{ value: { q: "ok?" } }]);
    const state = await threads.getState(thread_id);
    expect(state.next).toEqual(["ask"]);
    expect(Object.keys(thread.interrupts ?? {})).toEqual([state.tasks[0]!.id]);
    expect((await runs.list(thread_id))[0]!.status).toBe("success");
    expect(await runs.wait(thread_id, "ask", { command: { resume: "yes" } })).toEqual({
      question: "ok?",
      answer: "yes!",
    });
    expect((await threads.get(thread_id)).status).toBe("idle");
  });

  it("resumes several interrupts by id", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const asked = (await runs.wait(thread_id, "askTwo", { input: { answers: [] } })) as {
      __interrupt__: { id: string; value: string }[];
    };
    expect(asked.__interrupt__.map((i) => i.value).sort()).toEqual(["left?", "right?"]);
    const resume = Object.fromEntries(asked.__interrupt__.map((i) => [i.id, `re: ${i.value}`]));
    const done = (await runs.wait(thread_id, "askTwo", { command: { resume } })) as { answers: string[] };
    expect(done.answers.sort()).toEqual(["re: left?", "re: right?"]);
  });

  it("stops before and after nodes, and continues with null input", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "counter", { input: { n: 0 }, interruptBefore: ["two"] });
    expect(await threads.get(thread_id)).toMatchObject({ status: "interrupted", values: { n: 1 } });
    await runs.wait(thread_id, "counter", { input: null, interruptAfter: ["two"] });
    expect((await threads.getState(thread_id)).next).toEqual(["three"]);
    expect(await runs.wait(thread_id, "counter", { input: null })).toMatchObject({ n: 3 });
  });

  it("obeys command goto and update", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    await runs.wait(thread_id, "jumper", { input: { n: 0 } });
    const result = await runs.wait(thread_id, "jumper", { command: { goto: "one", update: { n: 7 } } });
    expect(result).toEqual({ n: 7, log: ["start", "two", "one"] });
  });

  it("makes the thread on demand, delays with after_seconds", async () => {
    const { threads, runs } = server.client;
    const threadId = randomUUID();
    await runs.wait(threadId, "echo", { input: hi, ifNotExists: "create" });
    expect(await threads.get(threadId)).toMatchObject({ status: "idle" });
    const before = Date.now();
    const run = await runs.create(threadId, "echo", { input: hi, afterSeconds: 0.3 });
    await runs.join(threadId, run.run_id);
    expect(Date.now() - before).toBeGreaterThanOrEqual(300);
  });

  it("hands config, context and metadata to the graph", async () => {
    const { runs, assistants } = server.client;
    const { assistant_id } = await assistants.create({ graphId: "who", context: { from: "assistant", a: "1" } });
    const seen = (await runs.wait(null, assistant_id, {
      input: {},
      context: { a: "2" },
    })) as { configurable: Record<string, string>; context: unknown };
    expect(seen.context).toEqual({ from: "assistant", a: "2" });
    expect(seen.configurable).toMatchObject({ graph_id: "who", assistant_id });
    const other = (await runs.wait(null, "who", { input: {}, config: { configurable: { x: "y" } } })) as typeof seen;
    expect(other.configurable).toMatchObject({ x: "y" });
  });

  it("serves factories, functional entrypoints and the store inside graphs", async () => {
    const { runs, store } = server.client;
    expect(await runs.wait(null, "made", { input: {}, config: { configurable: { greeting: "hey" } } })).toEqual({
      text: "hey",
    });
    expect(await runs.wait(null, "functional", { input: { x: 21 } })).toEqual({ doubled: 42 });
    const first = (await runs.wait(null, "remembers", { input: { note: "a" } })) as { found: number };
    const second = (await runs.wait(null, "remembers", { input: { note: "b" } })) as { found: number };
    expect(second.found).toBe(first.found + 1);
    const { items } = await store.searchItems(["notes"]);
    expect(items.map((i) => i.value["note"])).toEqual(expect.arrayContaining(["a", "b"]));
  });

  it("runs stateless: alone, in a batch, kept on demand, with interrupts in subgraphs", async () => {
    const { runs, threads } = server.client;
    const before = await threads.count({});
    expect(JSON.stringify(await runs.wait(null, "echo", { input: hi }))).toContain("echo: hi");
    expect(await runs.wait(null, "nestedAsk", { input: { question: "?" } })).toMatchObject({
      __interrupt__: [{ value: { inner: "?" } }],
    });
    const batch = await runs.createBatch([
      { assistantId: "echo", input: hi },
      { assistantId: "counter", input: { n: 1 } },
    ]);
    expect(batch).toHaveLength(2);
    await until(async () => (await threads.count({})) === before, "threads of stateless runs to go");
    const kept = await runs.create(null, "counter", { input: { n: 1 }, onCompletion: "keep" } as never);
    await runs.join(kept.thread_id, kept.run_id);
    expect((await threads.getState<{ n: number }>(kept.thread_id)).values.n).toBe(4);
  });
});
