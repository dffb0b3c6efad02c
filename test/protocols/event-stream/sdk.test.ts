import { RemoteGraph } from "@langchain/langgraph/remote";
import { Client } from "@langchain/langgraph-sdk";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STORAGES, collect, startServer, type TestServer } from "../../support/server.js";

const human = (content: string) => ({ messages: [{ role: "user", content }] });

// A second try: beside a busy Chromium a client's events stayed away twice in nine runs, for a reason that is not found yet.
describe.each(STORAGES)("the SDK's clients of threads on %s", (storage) => {
  let server: TestServer;
  let client: Client;
  beforeAll(async () => {
    server = await startServer(storage);
    client = new Client({ apiUrl: server.url, apiKey: null });
  }, 60_000);
  afterAll(() => server.close(), 60_000);

  describe.each(["sse", "websocket"] as const)("threads.stream() over %s", (transport) => {
    const stream = (assistantId: string, threadId: string = v7()) =>
      client.threads.stream(threadId, { assistantId, transport });

    it("the tokens of a run, and those of a second run on the same handle, each once", async () => {
      const thread = stream("tokens");
      const texts: string[] = [];
      thread.onEvent((event) => {
        if (event.method !== "messages") return;
        const { data } = event.params;
        if (data.event === "message-start" && data.role === "ai") texts.push("");
        if (data.event === "content-block-delta" && data.delta.type === "text-delta") {
          texts.push(`${texts.pop() ?? ""}${data.delta.text}`);
        }
      });
      const { messages } = thread;
      const pieces: string[] = [];
      for (const count of [1, 2]) {
        const { run_id: runId } = await thread.run.start({ input: human("hi") });
        expect(runId).toMatch(/^[0-9a-f-]{36}$/);
        for await (const message of count === 1 ? messages : []) {
          pieces.push(...(await collect(message.text)));
          break;
        }
        expect(pieces.length).toBeGreaterThan(5);
        expect(pieces.join("")).toBe("Hello from the model");
        await client.runs.join(thread.threadId, runId as string);
        await expect
          .poll(() => texts, { timeout: 10_000, interval: 10 })
          .toEqual(Array.from({ length: count }, () => "Hello from the model"));
        const { values } = await client.threads.getState<{ messages: unknown[] }>(thread.threadId);
        expect(values.messages).toHaveLength(count * 2);
      }
      expect(thread.ordering.lastAppliedThroughSeq).toBeTypeOf("number");
      await thread.close();
    });

    it("awaits the output", async () => {
      const thread = stream("counter");
      await thread.run.start({ input: { n: 1 } });
      expect(await thread.output).toMatchObject({ n: 4, log: ["one", "two", "three"] });
      await thread.close();
    });

    it("subscribes before any run, and raw to several channels", async () => {
      const thread = stream("nested");
      const events = await thread.subscribe({ channels: ["updates", "lifecycle"], namespaces: [["sub"]] });
      const updates: string[] = [];
      const reading = (async () => {
        for await (const event of events) {
          if (event.method === "updates") updates.push(...(event.params.data.values["log"] as string[]));
          if (updates.length === 2) return;
        }
      })();
      await thread.run.start({ input: { n: 0 } });
      await reading;
      expect(updates).toEqual(["innerOne", "innerTwo"]);
      await thread.close();
    });

    it("interrupts, an answer, and what came of it", async () => {
      const thread = stream("ask");
      await thread.run.start({ input: { question: "ok?" } });
      await expect.poll(() => thread.interrupted, { timeout: 20_000, interval: 10 }).toBe(true);
      expect(thread.interrupts).toMatchObject([{ payload: { q: "ok?" }, namespace: [] }]);
      const interruptId = thread.interrupts[0]?.interruptId as string;
      await thread.input.respond({ namespace: [], interrupt_id: interruptId, response: "yes" });
      await expect
        .poll(async () => (await thread.state.get({ namespace: [] })).values, { timeout: 20_000, interval: 20 })
        .toEqual({ question: "ok?", answer: "yes!" });
      await thread.close();
    });

    it("commands of state: get, checkpoints, fork; and the tree", async () => {
      const thread = stream("nested");
      const { run_id: runId } = await thread.run.start({ input: { n: 0 } });
      await thread.output;
      await client.runs.join(thread.threadId, runId as string);
      const state = await thread.state.get({ namespace: [], keys: ["n"] });
      expect(state.values).toEqual({ n: 21 });
      const { checkpoints } = await thread.state.listCheckpoints({ limit: 10 });
      expect(checkpoints[0]).toMatchObject({ id: state.checkpoint?.id, step: 2, node_name: "after" });
      expect(checkpoints.map(({ step }) => step)).toEqual([2, 1, 0, -1]);
      const older = await thread.state.listCheckpoints({ limit: 10, before: checkpoints[0]?.id as string });
      expect(older.checkpoints).toEqual(checkpoints.slice(1));
      const tree = await thread.agent.getTree({ run_id: runId as string });
      expect(tree.tree).toMatchObject({ namespace: [], status: "completed", graph_name: "nested" });
      expect(tree.tree.children?.map(({ graph_name: name, status }) => [name, status])).toContainEqual([
        "sub",
        "completed",
      ]);
      const before = checkpoints.find(({ step }) => step === 1)?.id as string;
      const fork = await thread.state.fork({ checkpoint_id: before });
      expect(fork.thread_id).toBe(thread.threadId);
      await client.runs.join(thread.threadId, fork.run_id);
      expect((await thread.state.get({ namespace: [], keys: ["log"] })).values).toEqual({
        log: ["innerOne", "innerTwo", "after"],
      });
      await thread.close();
    });

    it("says by the protocol's error what is wrong", async () => {
      const thread = stream("nobody");
      await expect(thread.run.start({ input: {} })).rejects.toMatchObject({ code: "invalid_argument" });
      await expect(thread.input.respond({ namespace: [], interrupt_id: "x", response: 1 })).rejects.toMatchObject({
        code: "no_such_run",
      });
      await thread.close();
    });
  });

  it("RemoteGraph.streamEvents v3", async () => {
    const graph = new RemoteGraph({ graphId: "tokens", url: server.url });
    const run = await graph.streamEvents(human("hi"), { version: "v3", configurable: { thread_id: v7() } } as never);
    const texts: string[] = [];
    for await (const message of (run as unknown as { messages: AsyncIterable<{ text: AsyncIterable<string> }> })
      .messages) {
      texts.push((await collect(message.text)).join(""));
      break;
    }
    expect(texts).toEqual(["Hello from the model"]);
    const output = (await (run as unknown as { output: Promise<{ messages: unknown[] }> }).output).messages;
    expect(output).toHaveLength(2);
    (run as unknown as { abort(): void }).abort();
  });
});
