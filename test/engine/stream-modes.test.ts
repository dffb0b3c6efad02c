import { describe, expect, it } from "vitest";
import { chat, failing, hello, outer, steps, silent, whole, fanOut } from "./graphs.js";
import { execute, harness, named } from "./harness.js";

const graphs = { chat, outer, steps, silent, whole, fanOut, boom: failing(new TypeError("Boo!")) };
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
const human = { content: "hello", id: "m1", additional_kwargs: {}, response_metadata: {}, type: "human" };

describe("values", () => {
  it("is the full state after the input and after every superstep, messages flattened", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello });
    expect(run.frames.map((frame) => frame.event)).toEqual(["values", "values"]);
    expect(run.text[0]).toBe(
      'values: {"messages":[{"content":"hello","id":"m1","additional_kwargs":{},"response_metadata":{},"type":"human"}],"log":[]}',
    );
    expect(run.frames[1]?.data).toMatchObject({ topic: "t", messages: [human, { content: "hi there", type: "ai" }] });
    expect(run.frames.every((frame) => frame.kind === "state")).toBe(true);
  });
});

describe("updates", () => {
  it("is one event for each finished node", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "steps", input: { topic: "x" }, streamModes: ["updates"] });
    expect(run.text).toEqual([
      'updates: {"one":{"log":["one"]}}',
      'updates: {"two":{"log":["two"]}}',
      'updates: {"three":{"log":["three"],"topic":"done"}}',
    ]);
  });

  it("is an empty object for a node that writes nothing", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "silent", input: { topic: "x" }, streamModes: ["updates"] });
    expect(run.text).toEqual(['updates: {"nothing":{}}']);
  });

  it("has each of several parallel tasks of one node", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "fanOut", input: { topic: "x" }, streamModes: ["updates"] });
    expect(run.text).toEqual([
      'updates: {"plan":{"log":["plan"]}}',
      'updates: {"work":{"log":["work a"]}}',
      'updates: {"work":{"log":["work b"]}}',
    ]);
  });
});

describe("messages-tuple", () => {
  it("is one `messages` event for each token, with the run's metadata", async () => {
    const { engine } = await harness(graphs, { server: { apiUrl: "http://localhost:2199" } });
    const run = await execute(engine, {
      graphId: "chat",
      input: hello,
      streamModes: ["messages-tuple"],
      metadata: { team: "red" },
    });
    expect(run.frames.map((frame) => frame.event)).toEqual(["messages", "messages"]);
    const [first, second] = run.frames.map((frame) => frame.data as [Record<string, unknown>, Record<string, unknown>]);
    expect(first?.[0]).toMatchObject({
      content: "hi ",
      type: "ai",
      tool_calls: [],
      invalid_tool_calls: [],
      tool_call_chunks: [],
    });
    expect(second?.[0]).toMatchObject({ content: "there", id: first?.[0]["id"] });
    expect(second?.[1]).toEqual(first?.[1]);
    expect(first?.[1]).toMatchObject({
      team: "red",
      tags: [],
      run_attempt: 1,
      langgraph_version: "1.7.3",
      langgraph_plan: "developer",
      langgraph_host: "self-hosted",
      langgraph_api_url: "http://localhost:2199",
      graph_id: "chat",
      assistant_id: run.run.assistantId,
      run_id: run.run.runId,
      thread_id: run.run.threadId,
      langgraph_node: "a",
      langgraph_step: 1,
      langgraph_triggers: ["branch:to:a"],
      langgraph_path: ["__pregel_pull", "a"],
    });
    expect(Object.keys(first?.[1] ?? {}).filter((key) => key.startsWith("__"))).toEqual([]);
    expect(run.frames.every((frame) => frame.kind === "token")).toBe(true);
  });

  it("has whole messages of nodes that stream nothing", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "whole", input: hello, streamModes: ["messages-tuple"] });
    expect(named(run, "messages")).toMatchObject([
      [{ content: "whole", id: "w1", type: "ai" }, { langgraph_node: "a" }],
    ]);
  });

  it("has nested model calls, without a namespace unless subgraphs are streamed", async () => {
    const { engine } = await harness(graphs);
    const flat = await execute(engine, { graphId: "outer", input: hello, streamModes: ["messages-tuple"] });
    expect(flat.frames.map((frame) => frame.event)).toEqual(["messages", "messages"]);
    const nested = await execute(engine, {
      graphId: "outer",
      input: hello,
      streamModes: ["messages-tuple"],
      streamSubgraphs: true,
    });
    expect(nested.frames.map((frame) => frame.event.replace(UUID, "*"))).toEqual([
      "messages|talk:*",
      "messages|talk:*",
    ]);
  });
});

describe("messages", () => {
  it("accumulates: metadata once, a partial for each token, complete once for each message of the state", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello, streamModes: ["messages"] });
    expect(run.frames.map((frame) => frame.event)).toEqual([
      "messages/complete",
      "messages/metadata",
      "messages/partial",
      "messages/partial",
      "messages/complete",
    ]);
    const [input, metadata, one, two, done] = run.frames.map((frame) => frame.data) as Record<string, unknown>[][];
    expect(input).toEqual([human]);
    expect(one).toMatchObject([{ content: "hi ", type: "ai" }]);
    expect(two).toMatchObject([{ content: "hi there", type: "ai", tool_call_chunks: [] }]);
    expect(done).toMatchObject([{ content: "hi there", type: "ai", id: one?.[0]?.["id"] }]);
    const [[id, entry]] = Object.entries(metadata ?? {}) as [[string, { metadata: Record<string, unknown> }]];
    expect(id).toBe(one?.[0]?.["id"]);
    expect(entry.metadata).toMatchObject({ langgraph_node: "a", run_attempt: 1 });
    expect(entry.metadata).not.toHaveProperty("tags");
  });

  it("reports messages that were not streamed as complete, and is never namespaced", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, {
      graphId: "whole",
      input: hello,
      streamModes: ["messages"],
      streamSubgraphs: true,
    });
    expect(run.frames.map((frame) => frame.event)).toEqual(["messages/complete", "messages/complete"]);
    const nested = await execute(engine, {
      graphId: "outer",
      input: hello,
      streamModes: ["messages"],
      streamSubgraphs: true,
    });
    expect(nested.frames.every((frame) => !frame.event.includes("|"))).toBe(true);
    expect(named(nested, "messages/partial")).toHaveLength(2);
  });

  it("goes together with messages-tuple", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello, streamModes: ["messages", "messages-tuple"] });
    expect(named(run, "messages")).toHaveLength(2);
    expect(named(run, "messages/partial")).toHaveLength(2);
  });
});

describe("custom", () => {
  it("is what graph code wrote", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello, streamModes: ["custom"] });
    expect(run.text).toEqual(['custom: {"progress":1}']);
  });

  it("has what nested graphs wrote, under their namespace when subgraphs are streamed", async () => {
    const { engine } = await harness(graphs);
    const nested = { graphId: "outer", input: hello };
    const flat = await execute(engine, { ...nested, streamModes: ["custom"] });
    expect(flat.text).toEqual(['custom: {"progress":1}']);
    const beside = await execute(engine, { ...nested, streamModes: ["custom", "messages-tuple"] });
    expect(named(beside, "custom")).toEqual([{ progress: 1 }]);
    const deep = await execute(engine, { ...nested, streamModes: ["custom"], streamSubgraphs: true });
    expect(deep.frames.map((frame) => frame.event.replace(UUID, "*"))).toEqual(["custom|talk:*"]);
  });
});

describe("tasks", () => {
  it("has start and end of each task, without inner keys", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello, streamModes: ["tasks"] });
    expect(run.frames).toHaveLength(2);
    const [start, end] = named(run, "tasks") as Record<string, unknown>[];
    expect(Object.keys(start ?? {})).toEqual(["id", "name", "input", "triggers", "interrupts", "metadata"]);
    expect(start).toMatchObject({
      name: "a",
      triggers: ["branch:to:a"],
      interrupts: [],
      metadata: { graph_id: "chat" },
    });
    expect(end).toMatchObject({ id: start?.["id"], name: "a", result: { topic: "t" }, interrupts: [], error: null });
    expect(run.text.join("\n")).not.toContain("__heddle");
    expect(Object.keys(start?.["metadata"] as object).filter((key) => key.startsWith("__"))).toEqual([]);
  });

  it("has a failed task's error as text and no result", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "boom", input: hello, streamModes: ["tasks"] });
    const last = run.frames.at(-1)?.data as Record<string, unknown>;
    expect(last).toMatchObject({ name: "bad", interrupts: [], error: "TypeError: Boo!" });
    expect(last).not.toHaveProperty("result");
  });
});

describe("checkpoints and debug", () => {
  it("line up with the history, and hide inner keys and the caller's identity", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, {
      graphId: "chat",
      input: hello,
      streamModes: ["checkpoints", "debug"],
      config: { configurable: { langgraph_auth_user: { token: "secret" }, flavour: "x" } },
    });
    const checkpoints = named(run, "checkpoints") as Record<string, Record<string, unknown>>[];
    const debug = (named(run, "debug") as Record<string, unknown>[]).filter((event) => event["type"] === "checkpoint");
    const history = await engine.listStates({ graphId: "chat", threadId: run.run.threadId, config: {}, limit: 10 });
    const wire = history.toReversed().map(({ checkpoint, parentCheckpoint, next, values }) => ({
      next,
      values: JSON.parse(values) as unknown,
      id: checkpoint?.checkpointId,
      parent: parentCheckpoint?.checkpointId ?? null,
    }));
    const seen = (event: Record<string, Record<string, unknown>>) => ({
      next: event["next"],
      values: event["values"],
      id: event["checkpoint"]?.["checkpoint_id"],
      parent: event["parent_checkpoint"]?.["checkpoint_id"] ?? null,
    });
    expect(checkpoints.map(seen)).toEqual(wire);
    expect(debug.map((event) => seen(event["payload"] as Record<string, Record<string, unknown>>))).toEqual(wire);
    expect(debug.map((event) => event["step"])).toEqual([-1, 0, 1]);
    expect(checkpoints[0]?.["checkpoint"]).toEqual({
      thread_id: run.run.threadId,
      checkpoint_ns: "",
      checkpoint_id: wire[0]?.id,
      checkpoint_map: null,
    });
    const configurable = checkpoints[0]?.["config"]?.["configurable"] as object;
    expect(configurable).toMatchObject({ flavour: "x", run_id: run.run.runId });
    expect(Object.keys(configurable).filter((key) => key.startsWith("__"))).toEqual([]);
    expect(run.text.join("\n")).not.toContain("secret");
  });

  it("debug has the tasks too, equal to mode tasks", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello, streamModes: ["debug", "tasks"] });
    const debug = named(run, "debug") as { type: string; payload: unknown; timestamp: string; step: number }[];
    expect(debug.map((event) => event.type)).toEqual(["checkpoint", "checkpoint", "task", "task_result", "checkpoint"]);
    expect(debug.filter((event) => event.type.startsWith("task")).map((event) => event.payload)).toEqual(
      named(run, "tasks"),
    );
    expect(new Date(debug[0]?.timestamp ?? "").toISOString()).toBe(debug[0]?.timestamp);
  });

  it("gives a subgraph's task a checkpoint reference instead of its state", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "outer", input: hello, streamModes: ["debug"] });
    const task = (named(run, "debug") as { payload: { tasks?: Record<string, unknown>[] } }[])
      .flatMap((event) => event.payload.tasks ?? [])
      .find(({ name }) => name === "talk");
    expect(task).not.toHaveProperty("state");
    expect(task?.["checkpoint"]).toEqual({
      thread_id: run.run.threadId,
      checkpoint_ns: `talk:${String(task?.["id"])}`,
      checkpoint_id: null,
      checkpoint_map: null,
    });
  });
});

describe("events", () => {
  it("are LangChain's v2 events, without the root graph's own chunks", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, { graphId: "chat", input: hello, streamModes: ["events"] });
    const events = named(run, "events") as { event: string; run_id: string; data: Record<string, unknown> }[];
    const names = events.map((event) => event.event);
    expect(names).toContain("on_chat_model_stream");
    expect(names.filter((name) => name === "on_chain_stream")).toHaveLength(0);
    expect(names[0]).toBe("on_chain_start");
    expect(names.at(-1)).toBe("on_chain_end");
    expect(events[0]?.run_id).toBe(run.run.runId);
    expect(events.find((event) => event.event === "on_chat_model_stream")?.data["chunk"]).toMatchObject({
      content: "hi ",
      type: "ai",
    });
    expect(run.outcome.kind).toBe("success");
    expect(run.values).toMatchObject({ topic: "t" });
  });

  it("mix with every other mode, which stay the same as without", async () => {
    const { engine } = await harness(graphs);
    const modes = ["values", "updates", "messages-tuple", "custom", "tasks"] as const;
    const plain = await execute(engine, { graphId: "outer", input: hello, streamModes: modes, streamSubgraphs: true });
    const mixed = await execute(engine, {
      graphId: "outer",
      input: hello,
      streamModes: [...modes, "events"],
      streamSubgraphs: true,
    });
    const order = (run: typeof plain) =>
      run.frames.map((frame) => frame.event.replace(UUID, "*")).filter((event) => event !== "events");
    expect(order(mixed)).toEqual(order(plain));
    expect(order(mixed).filter((event) => event.startsWith("checkpoints"))).toEqual([]);
    expect(named(mixed, "events").length).toBeGreaterThan(5);
  });
});

describe("mixing", () => {
  it("interleaves in the order of execution and sends nothing unrequested", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, {
      graphId: "outer",
      input: hello,
      streamModes: ["values", "updates", "messages-tuple", "custom"],
      streamSubgraphs: true,
    });
    expect(run.frames.map((frame) => frame.event.replace(UUID, "*"))).toEqual([
      "values",
      "values|talk:*",
      "custom|talk:*",
      "messages|talk:*",
      "messages|talk:*",
      "updates|talk:*",
      "values|talk:*",
      "updates",
      "values",
      "values|approve:*",
      "updates|approve:*",
      "values|approve:*",
      "updates",
      "values",
    ]);
  });

  it("shows root events only without stream_subgraphs", async () => {
    const { engine } = await harness(graphs);
    const run = await execute(engine, {
      graphId: "outer",
      input: hello,
      streamModes: ["values", "updates", "tasks", "debug", "checkpoints", "messages-tuple"],
    });
    expect(run.frames.filter((frame) => frame.event.includes("|"))).toEqual([]);
    expect(named(run, "updates")).toHaveLength(2);
    expect((named(run, "tasks") as { name: string }[]).map((task) => task.name)).toEqual([
      "talk",
      "talk",
      "approve",
      "approve",
    ]);
  });

  it("is the same for a graph with a `stream` of its own, which is honoured", async () => {
    let calls = 0;
    const own = Object.create(outer, {
      stream: {
        value(this: typeof outer, ...args: Parameters<typeof outer.stream>) {
          calls += 1;
          return outer.stream.apply(this, args);
        },
      },
    }) as typeof outer;
    const { engine } = await harness({ outer, own });
    const params = {
      input: hello,
      streamModes: ["values", "updates", "messages-tuple"] as const,
      streamSubgraphs: true,
    };
    const names = async (graphId: string) =>
      (await execute(engine, { graphId, ...params })).frames.map((frame) => frame.event.replace(UUID, "*"));
    expect(await names("own")).toEqual(await names("outer"));
    expect(calls).toBe(1);
  });
});
