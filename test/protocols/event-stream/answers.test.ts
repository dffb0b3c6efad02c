import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../../src/app.js";
import { listen } from "../../../src/node/listen.js";
import * as graphs from "../../fixtures/graphs/index.js";
import { STORAGES, createStorage, startServer, type TestServer } from "../../support/server.js";
import { type OpenStream, type WireEvent, command, openSse, succeed } from "./thread-client.js";
import { threadClients } from "./thread-clients.js";

const FILTER = { channels: ["lifecycle", "input", "values"] };

describe.each(STORAGES)("answers and strategies on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(storage);
  }, 60_000);
  afterAll(() => server.close(), 60_000);

  const clients = threadClients(() => server);
  const { start } = clients;
  const follow = (threadId: string) => clients.follow(threadId, FILTER);
  const valuesOf = async (threadId: string) =>
    (await server.client.threads.getState<Record<string, unknown>>(threadId)).values;
  const requested = (stream: OpenStream) =>
    stream.events.all.flatMap((event) =>
      event.method === "input.requested"
        ? [{ id: event.params.data.interrupt_id, payload: event.params.data.payload }]
        : [],
    );
  const interrupted = async (graph: string, input: unknown) => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, graph, input);
    await stream.events.terminal();
    return { threadId, stream, asked: requested(stream) };
  };

  it("one interrupt by its id, and everybody hears that it was answered", async () => {
    const { threadId, stream, asked } = await interrupted("ask", { question: "ok?" });
    expect(asked).toEqual([{ id: expect.any(String) as string, payload: { q: "ok?" } }]);
    const id = asked[0]?.id as string;
    await succeed(server.url, threadId, "input.respond", { namespace: [], interrupt_id: id, response: "yes" });
    await stream.events.terminal(2);
    const answered = stream.events.all.find(({ method }) => method === "input.answered") as WireEvent;
    expect(answered.params).toMatchObject({ namespace: [], data: { interrupt_ids: [id] } });
    expect(requested(stream)).toHaveLength(1);
    expect(await valuesOf(threadId)).toMatchObject({ answer: "yes!" });
  });

  it("several at once, and one after the other", async () => {
    const both = await interrupted("askTwo", {});
    expect(both.asked.map(({ payload }) => String(payload)).toSorted((a, b) => a.localeCompare(b))).toEqual([
      "left?",
      "right?",
    ]);
    await succeed(server.url, both.threadId, "input.respond", {
      responses: both.asked.map(({ id, payload }) => ({
        namespace: [],
        interrupt_id: id,
        response: payload === "left?" ? "L" : "R",
      })),
    });
    await both.stream.events.terminal(2);
    expect(((await valuesOf(both.threadId))["answers"] as string[]).toSorted()).toEqual(["L", "R"]);

    const single = await interrupted("askTwo", {});
    const [first, second] = single.asked;
    await succeed(server.url, single.threadId, "input.respond", { interrupt_id: first?.id, response: "one" });
    await single.stream.events.terminal(2);
    expect(
      await command(server.url, single.threadId, "input.respond", { interrupt_id: first?.id, response: "again" }),
    ).toMatchObject({ type: "error", error: "no_such_interrupt" });
    await succeed(server.url, single.threadId, "input.respond", { interrupt_id: second?.id, response: "two" });
    await single.stream.events.terminal(3);
    expect(((await valuesOf(single.threadId))["answers"] as string[]).toSorted()).toEqual(["one", "two"]);
  });

  it("in a subgraph", async () => {
    const { threadId, stream, asked } = await interrupted("nestedAsk", { question: "deep?" });
    expect(asked.map(({ payload }) => payload)).toEqual([{ inner: "deep?" }]);
    await succeed(server.url, threadId, "input.respond", { interrupt_id: asked[0]?.id, response: "fine" });
    await stream.events.terminal(2);
    expect(await valuesOf(threadId)).toMatchObject({ answer: "fine" });
  });

  it("with an update and a jump", async () => {
    const { threadId, stream, asked } = await interrupted("askTwo", {});
    await succeed(server.url, threadId, "input.respond", {
      responses: asked.map(({ id }) => ({ namespace: [], interrupt_id: id, response: "answered" })),
      update: { answers: ["updated"] },
      goto: [{ node: "right", input: {} }],
      metadata: { by: "test" },
      config: { tags: ["tagged"] },
    });
    await stream.events.terminal(2);
    // A node runs once more, by the jump, and asks again.
    expect(
      requested(stream)
        .map(({ payload }) => String(payload))
        .toSorted((a, b) => a.localeCompare(b)),
    ).toEqual(["left?", "right?", "right?"]);
    expect((await valuesOf(threadId))["answers"]).toContain("updated");
    const [run] = await server.client.runs.list(threadId);
    expect(run?.metadata).toMatchObject({ by: "test" });
    expect((run as unknown as { kwargs: { config: object } }).kwargs.config).toMatchObject({ tags: ["tagged"] });
  });

  it("by input of run.start, and fresh input where a checkpoint is named", async () => {
    const { threadId, stream } = await interrupted("ask", { question: "ok?" });
    await start(threadId, "ask", "plain");
    await stream.events.terminal(2);
    expect(await valuesOf(threadId)).toMatchObject({ answer: "plain!" });
    const { checkpoints } = await succeed<{ checkpoints: { id: string; step: number }[] }>(
      server.url,
      threadId,
      "state.listCheckpoints",
      {},
    );
    const first = checkpoints.find(({ step }) => step === -1)?.id;
    await start(threadId, "ask", { question: "other?" }, { config: { configurable: { checkpoint_id: first } } });
    await stream.events.terminal(3);
    expect(requested(stream).at(-1)?.payload).toEqual({ q: "other?" });
  });

  it("is refused when nothing waits, when another id does, and when it was answered already", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "counter", { n: 0 });
    await stream.events.terminal();
    const respond = (id: string) => command(server.url, threadId, "input.respond", { interrupt_id: id, response: 1 });
    expect(await respond("x")).toMatchObject({ type: "error", error: "invalid_argument" });
    const waiting = await interrupted("ask", { question: "?" });
    expect(
      await command(server.url, waiting.threadId, "input.respond", { interrupt_id: "bogus", response: 1 }),
    ).toMatchObject({ type: "error", error: "no_such_interrupt" });
    const id = waiting.asked[0]?.id;
    const answers = await Promise.all(
      [1, 2, 3, 4].map((response) =>
        command(server.url, waiting.threadId, "input.respond", { interrupt_id: id, response }),
      ),
    );
    expect(answers.filter(({ type }) => type === "success")).toHaveLength(1);
    await waiting.stream.events.terminal(2);
    expect(await server.client.runs.list(waiting.threadId)).toHaveLength(2);
  });

  it("may come as soon as the question does, before its run has ended", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "ask", { question: "quick?" });
    const asked = await stream.events.until(({ method }) => method === "input.requested");
    const id = asked.method === "input.requested" ? asked.params.data.interrupt_id : "";
    await succeed(server.url, threadId, "input.respond", { interrupt_id: id, response: "now" });
    await stream.events.terminal(2);
    expect(await valuesOf(threadId)).toMatchObject({ answer: "now!" });
  });

  it("multitask strategies are those of REST", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    const slow = { ms: 40, steps: 50 };
    await start(threadId, "slow", slow);
    await stream.events.until(({ method }) => method === "values");
    for (const name of ["multitask_strategy", "multitaskStrategy"]) {
      expect(
        await command(server.url, threadId, "run.start", { assistant_id: "slow", input: slow, [name]: "reject" }),
      ).toMatchObject({ type: "error", error: "invalid_argument" });
    }
    await start(threadId, "counter", { n: 1 }, { multitaskStrategy: "interrupt", multitask_strategy: "interrupt" });
    await stream.events.terminal(2);
    const ends = stream.events.all.flatMap((event) =>
      event.method === "lifecycle" && event.params.namespace.length === 0 && event.params.data.event !== "running"
        ? [event.params.data.event]
        : [],
    );
    expect(ends).toEqual(["interrupted", "completed"]);
    const runs = await server.client.runs.list(threadId);
    expect(runs.map(({ status }) => status)).toEqual(["success", "interrupted"]);
  });

  it("a message is injected into the state of a thread at rest, and behind the run of a busy one", async () => {
    const threadId = v7();
    const stream = await follow(threadId);
    await start(threadId, "slow", { ms: 20, steps: 3, messages: [{ role: "user", content: "first" }] });
    await stream.events.until(({ method }) => method === "values");
    const inject = (content: string) =>
      succeed(server.url, threadId, "input.inject", { namespace: [], message: { role: "user", content } });
    await inject("busy");
    await stream.events.terminal(2);
    expect(await server.client.runs.list(threadId)).toHaveLength(2);
    await inject("rest");
    expect(await server.client.runs.list(threadId)).toHaveLength(2);
    const messages = (await valuesOf(threadId))["messages"] as { type: string; content: string }[];
    expect(messages.filter(({ type }) => type === "human").map(({ content }) => content)).toEqual([
      "first",
      "busy",
      "rest",
    ]);
  });

  it("state of a subgraph by its namespace, and what is not there", async () => {
    const { threadId, stream } = await interrupted("nestedAsk", { question: "deep?" });
    const namespace = stream.events.all.find(({ method, params }) => method === "values" && params.namespace.length > 0)
      ?.params.namespace;
    const state = await succeed<{ values: object; checkpoint: { ns: string } }>(server.url, threadId, "state.get", {
      namespace,
    });
    expect(state).toMatchObject({ values: { question: "deep?" }, checkpoint: { ns: namespace?.join("|") } });
    expect(await command(server.url, threadId, "state.get", { namespace: ["nowhere"] })).toMatchObject({
      error: "no_such_namespace",
    });
    expect(await command(server.url, threadId, "state.fork", { checkpoint_id: v7() })).toMatchObject({
      error: "no_such_checkpoint",
    });
  });
});

describe.each(STORAGES.filter((name) => name !== "memory" && name !== "two processes"))(
  "after a restart on %s",
  (storage) => {
    it("an interrupt is answered, and numbers and events go on", async () => {
      const place = await createStorage(storage);
      const serve = async () => {
        const app = await createApp({ graphs: { ...graphs }, storage: place.uri, env: {}, logLevel: "error" });
        const listener = await listen(app, { port: 0 });
        return {
          url: listener.url,
          stop: async () => {
            await app.close();
            await listener.close({ graceMs: 0 });
          },
        };
      };
      const threadId = v7();
      const before = await serve();
      const first = await openSse(before.url, threadId, FILTER);
      await succeed(before.url, threadId, "run.start", { assistant_id: "ask", input: { question: "?" } });
      await first.events.terminal();
      await before.stop();
      const seen = [...first.events.all];

      const after = await serve();
      const second = await openSse(after.url, threadId, FILTER);
      await second.events.terminal();
      expect(second.events.all).toEqual(seen);
      const asked = seen.find(({ method }) => method === "input.requested");
      const id = asked?.method === "input.requested" ? asked.params.data.interrupt_id : "";
      await succeed(after.url, threadId, "input.respond", { interrupt_id: id, response: "back" });
      await second.events.terminal(2);
      const seqs = second.events.all.map(({ seq }) => seq as number);
      expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
      expect(new Set(seqs).size).toBe(seqs.length);
      expect(await succeed(after.url, threadId, "state.get", { namespace: [], keys: ["answer"] })).toMatchObject({
        values: { answer: "back!" },
      });
      second.close();
      await after.stop();
      await place.drop();
    }, 60_000);
  },
);
