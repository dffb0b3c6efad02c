import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, collect, startServer, statusOf } from "../support/server.js";

const hi = { messages: [{ role: "user", content: "hi" }] };
const names = (events: readonly { event: string }[]): string[] => events.map((e) => e.event);

describe.each(STORAGES)("run streams by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  const stream = async (assistant: string, payload: object) => {
    const { thread_id } = await server.client.threads.create();
    return collect(
      server.client.runs.stream(thread_id, assistant, payload as never) as AsyncIterable<{
        id?: string;
        event: string;
        data: never;
      }>,
    );
  };

  it("starts with metadata, counts ids from zero, and ends with end", async () => {
    const events = await stream("counter", { input: { n: 0 }, streamMode: "values" });
    expect(names(events)).toEqual(["metadata", "values", "values", "values", "values", "end"]);
    expect(events.map((e) => e.id)).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(events[0]!.data).toMatchObject({ attempt: 1 });
    expect(events.at(-1)!.data).toMatchObject({ status: "success" });
  });

  it("streams updates, tasks, checkpoints and debug in their order", async () => {
    const events = await stream("ask", { input: { question: "?" }, streamMode: ["updates", "tasks", "checkpoints"] });
    expect(new Set(names(events))).toEqual(new Set(["metadata", "updates", "tasks", "checkpoints", "end"]));
    expect(events.findLast((e) => e.event === "updates")!.data).toMatchObject({
      __interrupt__: [{ value: { q: "?" } }],
    });
    const debug = await stream("counter", { input: { n: 0 }, streamMode: "debug" });
    const types = debug.filter((e) => e.event === "debug").map((e) => (e.data as { type: string }).type);
    expect(types.filter((t) => t === "task")).toHaveLength(3);
    expect(types.filter((t) => t === "task_result")).toHaveLength(3);
    expect(types.filter((t) => t === "checkpoint")).toHaveLength(5);
  });

  it("streams tokens as tuples and as accumulated messages", async () => {
    const tuples = await stream("tokens", { input: hi, streamMode: "messages-tuple" });
    const text = tuples
      .filter((e) => e.event === "messages")
      .map((e) => (e.data as [{ content: string }, { langgraph_node: string }])[0].content)
      .join("");
    expect(text).toContain("Hello from the model");
    const parts = await stream("tokens", { input: hi, streamMode: "messages" });
    expect(new Set(names(parts))).toEqual(
      new Set(["metadata", "messages/metadata", "messages/partial", "messages/complete", "end"]),
    );
    const last = parts.findLast((e) => e.event === "messages/partial")!.data as { content: string }[];
    expect(last[0]!.content).toBe("Hello from the model");
  });

  it("names subgraph events only when subgraphs are asked for", async () => {
    const flat = await stream("nested", { input: { n: 0 }, streamMode: ["updates", "values"] });
    expect(names(flat).filter((n) => n.includes("|"))).toEqual([]);
    const deep = await stream("nested", { input: { n: 0 }, streamMode: ["updates"], streamSubgraphs: true });
    const nested = names(deep).filter((n) => n.startsWith("updates|sub:"));
    expect(nested).toHaveLength(2);
    expect(names(deep)).not.toContain("checkpoints");
  });

  it("streams custom data, raw events, and several modes at once", async () => {
    const custom = await stream("slow", { input: { ms: 1, steps: 2 }, streamMode: ["custom", "values"] });
    expect(custom.filter((e) => e.event === "custom").map((e) => e.data)).toEqual([{ progress: 0 }, { progress: 1 }]);
    const raw = await stream("counter", { input: { n: 0 }, streamMode: ["events", "updates"] });
    const kinds = raw.filter((e) => e.event === "events").map((e) => (e.data as { event: string }).event);
    expect(kinds).toEqual(expect.arrayContaining(["on_chain_start", "on_chain_end"]));
    expect(names(raw).filter((n) => n === "updates")).toHaveLength(3);
  });

  it("ends a failing stream with one error event", async () => {
    const events = await stream("failing", { input: { n: 0 } });
    expect(names(events).at(-1)).toBe("error");
    expect(events.at(-1)!.data).toEqual({ error: "TypeError", message: "Boo!" });
  });

  it("replays to late joiners, resumes after an id, narrows by mode", async () => {
    const { threads, runs } = server.client;
    const { thread_id } = await threads.create();
    const run = await runs.create(thread_id, "slow", {
      input: { ms: 20, steps: 5 },
      streamMode: ["values", "custom"],
      streamResumable: true,
    });
    const join = (options: object) =>
      collect(runs.joinStream(thread_id, run.run_id, options) as AsyncIterable<{ id?: string; event: string }>);
    const [live, early] = await Promise.all([join({ lastEventId: "-1" }), join({ lastEventId: "-1" })]);
    expect(early).toEqual(live);
    const late = await join({ lastEventId: "-1" });
    expect(late).toEqual(live);
    expect(await join({ lastEventId: "3" })).toEqual(live.slice(4));
    const narrowed = await join({ lastEventId: "-1", streamMode: "custom" });
    expect(names(narrowed)).toEqual(names(live).filter((n) => n !== "values"));
    expect(await statusOf(join({ lastEventId: "-1" }).then(() => runs.join(thread_id, crypto.randomUUID())))).toBe(404);
  });

  it("goes on after its reader has left, or is cancelled when asked", async () => {
    const { threads, runs } = server.client;
    for (const [onDisconnect, status] of [
      ["continue", "success"],
      ["cancel", "interrupted"],
    ] as const) {
      const { thread_id } = await threads.create();
      const controller = new AbortController();
      let runId = "";
      const events = runs.stream(thread_id, "slow", {
        input: { ms: 50, steps: 4 },
        onDisconnect,
        signal: controller.signal,
        onRunCreated: (run) => (runId = run.run_id),
      });
      for await (const _ of events) {
        controller.abort();
        break;
      }
      await runs.join(thread_id, runId);
      expect((await runs.get(thread_id, runId)).status).toBe(status);
    }
  });
});
