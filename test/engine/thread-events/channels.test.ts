import { describe, expect, it } from "vitest";
import { createEventWriter } from "../../../src/engine/thread-events/event-writer.js";
import * as graphs from "./graphs.js";
import { harness, execute } from "../harness.js";
import { dataOf, nameOf, of, outline, record } from "./record.js";
import { typeErrors, wireFrames } from "./protocol-types.js";
import { randomUUID } from "node:crypto";

const cancel = { kind: "cancel", action: "interrupt" };

/** `started a/b (name)`. */
const lifecycle = (run: Awaited<ReturnType<typeof record>>): readonly string[] =>
  run.thread
    .filter(({ event }) => event.startsWith("lifecycle"))
    .map((frame) => {
      const { event, graph_name: name, cause, error } = dataOf(frame) as Readonly<Record<string, string>>;
      const place = frame.event.split("|").slice(1).map(nameOf).join("/");
      const { tool_call_id: call } = (cause ?? {}) as { tool_call_id?: string };
      const by = call === undefined ? "" : ` by ${call}`;
      return `${event} ${place} (${name})${by}${error === undefined ? "" : `: ${error}`}`;
    });

describe("channel lifecycle", () => {
  it("names agents, and the tool call that spawned them", async () => {
    const run = await record(graphs.supervisor());
    const model = ["started model_request (model_request)", "completed model_request (model_request)"];
    const tools = ["started tools (tools)", "completed tools (tools)"];
    expect(lifecycle(run)).toEqual([
      ...model,
      "started tools (tools)",
      "running tools (researcher) by call-research",
      "started tools/model_request (model_request)",
      "completed tools/model_request (model_request)",
      "completed tools (researcher)",
      ...[model, tools, model, tools, model].flat(),
    ]);
    expect(lifecycle(await record(graphs.withAgent))).toEqual([
      "started expert (researcher)",
      "started expert/model_request (model_request)",
      "completed expert/model_request (model_request)",
      "completed expert (researcher)",
    ]);
  });

  it("follows each of several tasks of one node", async () => {
    const run = await record(graphs.fanOut);
    const places = run.thread.filter(({ event }) => event.startsWith("lifecycle")).map(({ event }) => event);
    expect(new Set(places).size).toBe(2);
    expect(lifecycle(run)).toEqual(
      ["started", "started", "completed", "completed"].map((event) => `${event} work (work)`),
    );
  });

  it("tells which graphs failed, and which had ended before", async () => {
    expect(lifecycle(await record(graphs.failing))).toEqual(["started sub (sub)", "completed sub (sub)"]);
    expect(lifecycle(await record(graphs.failingInside))).toEqual([
      "started sub (sub)",
      "failed sub (sub): TypeError: Deep!",
    ]);
  });

  it.each([
    [cancel, ["started sub (sub)", "interrupted sub (sub)"]],
    [{ kind: "timeout", timeoutMs: 5 }, ["started sub (sub)", "failed sub (sub)"]],
    [{ kind: "shutdown" }, ["started sub (sub)"]],
    [{ kind: "lease-lost" }, ["started sub (sub)"]],
  ])("ends what a stopped run had open, where the run ends: %j", async (reason, expected) => {
    const abort = new AbortController();
    // The subgraph's own events come first.
    const graph = graphs.endless(() => setImmediate(() => abort.abort(reason)));
    const run = await record(graph, {}, { signal: abort.signal });
    expect(run.outcome.kind).toBe("aborted");
    expect(lifecycle(run)).toEqual(expected);
  });
});

describe("channel input", () => {
  it("asks once for each interrupt, where it comes from", async () => {
    const run = await record(graphs.askInside);
    const asked = run.thread.filter(({ event }) => event.startsWith("input"));
    expect(asked.map(({ event }) => event.split("|").map(nameOf))).toEqual([
      ["input.requested", "left"],
      ["input.requested", "right"],
    ]);
    expect(asked.map((frame) => dataOf(frame))).toEqual(
      [1, 2].map(() => ({ interrupt_id: expect.stringMatching(/^[0-9a-f]{32}$/), payload: { q: "ok?" } })),
    );
    expect(asked.every(({ kind }) => kind === "control")).toBe(true);
    expect(lifecycle(run)).toEqual([
      "started left (left)",
      "started right (right)",
      "interrupted left (left)",
      "interrupted right (right)",
    ]);
    const ids = Object.values(run.interrupts as Record<string, { id: string }[]>).flatMap((list) =>
      list.map(({ id }) => id),
    );
    expect(of(run, "input.requested").map(({ interrupt_id: id }) => id)).toEqual(ids);
    for (const values of of(run, "values")) expect(values).not.toHaveProperty("__interrupt__");
  });

  it("is silent about breakpoints and about answers", async () => {
    const { engine } = await harness({ graph: graphs.ask, nested: graphs.nested });
    const threadId = randomUUID();
    const options = { threadEvents: true };
    const stopped = await execute(
      engine,
      { graphId: "nested", input: graphs.hello, interruptBefore: ["sub"] },
      options,
    );
    expect(stopped.outcome).toMatchObject({ kind: "success", hasNext: true });
    expect(of(stopped, "input.requested")).toEqual([]);
    expect(outline(stopped.thread).at(-1)).toBe("values");

    const asked = await execute(engine, { graphId: "graph", threadId, input: graphs.hello }, options);
    expect(of(asked, "input.requested")).toHaveLength(1);
    const resumed = await execute(engine, { graphId: "graph", threadId, command: { resume: "yes" } }, options);
    expect(of(resumed, "input.requested")).toEqual([]);
    expect(of(resumed, "values").at(-1)).toMatchObject({ log: ["got yes"] });
  });
});

describe("channel tools", () => {
  it("tells calls, output in pieces, results and errors, where they run", async () => {
    const run = await record(graphs.supervisor());
    const tools = run.thread.filter(({ event }) => event.startsWith("tools"));
    const started = (name: string, input: string) => ({
      event: "tool-started",
      tool_call_id: `call-${name}`,
      tool_name: name,
      input,
    });
    const finished = (name: string, content: string) => ({
      event: "tool-finished",
      tool_call_id: `call-${name}`,
      output: expect.objectContaining({ type: "tool", content, tool_call_id: `call-${name}` }),
    });
    const piece = (text: string) => ({ event: "tool-output-delta", tool_call_id: "call-count", delta: text });
    expect(tools.map((frame) => dataOf(frame))).toEqual([
      started("research", '{"question":"sky?"}'),
      finished("research", "It is blue."),
      started("count", '{"to":2}'),
      piece("1"),
      piece("2"),
      finished("count", "counted"),
      started("fail", "{}"),
      { event: "tool-error", tool_call_id: "call-fail", message: "No luck" },
    ]);
    expect(tools.map(({ kind }) => kind)).toEqual([
      "state",
      "state",
      "state",
      "token",
      "token",
      "state",
      "state",
      "state",
    ]);
    for (const { event } of tools) expect(event).toMatch(/^tools\|tools:[0-9a-f-]{36}$/);
  });
});

describe("stream transformers", () => {
  it("add channels and final values, see every event, and keep some back", async () => {
    const run = await record(graphs.transformed);
    const added = run.thread.filter(({ event }) => event.startsWith("custom:"));
    expect(added.map((frame) => [nameOf(frame.event.split("|")[1] ?? ""), dataOf(frame)])).toEqual([
      ["a", { name: "tokens", payload: 1 }],
      ["a", { name: "tokens", payload: 2 }],
      ["", { name: "total", payload: 2 }],
    ]);
    expect(of(run, "updates")).toEqual([]);
    expect(of(run, "messages").map(({ event }) => event)).toContain("message-finish");
    expect(added.at(-1)?.event).toBe("custom:total");
  });

  it("of their own mistakes do not stop a run", async () => {
    const graph = graphs.transformedBadly();
    const { engine, logs } = await harness({ graph });
    const run = await execute(engine, { graphId: "graph", input: graphs.hello }, { threadEvents: true });
    expect(run.outcome.kind).toBe("success");
    expect(of(run, "values")).toHaveLength(2);
    expect(logs.some(({ message }) => message.includes("transformer"))).toBe(true);
  });
});

it("an attempt that goes on after a crash tells what it does, under the same thread", async () => {
  const { engine } = await harness({ graph: graphs.chat });
  const [threadId, runId] = [randomUUID(), randomUUID()];
  const abort = new AbortController();
  const params = { graphId: "graph", threadId, runId, input: graphs.hello };
  const first = await execute(engine, params, {
    threadEvents: true,
    signal: abort.signal,
    onFrame: () => abort.abort({ kind: "lease-lost" }),
  });
  expect(first.outcome.kind).toBe("aborted");
  const second = await execute(engine, { ...params, attempt: 2 }, { threadEvents: true });
  expect(second.outcome.kind).toBe("success");
  expect(of(second, "messages").at(0)).toMatchObject({ event: "message-start" });
  expect(of(second, "messages").at(-1)).toMatchObject({ event: "message-finish" });
  expect(of(second, "values").at(-1)).toMatchObject({ log: ["a"] });
});

it("every frame is what the protocol's types say", async () => {
  const { supervisor, endless: _, transformedBadly: _b, hello: _h, ...rest } = graphs;
  const runs = await Promise.all([...Object.values(rest), supervisor()].map((graph) => record(graph)));
  const frames = runs.flatMap((run) => wireFrames(run.thread));
  expect(frames.length).toBeGreaterThan(300);
  expect(await typeErrors(frames)).toEqual([]);
  // And what is not does not pass.
  const wrong = [
    {
      type: "event",
      method: "messages",
      params: { namespace: [], timestamp: 1, data: { event: "message-start", role: "tool", id: "a" } },
    },
    { type: "event", method: "updates", params: { namespace: [], timestamp: 1, data: { node: "a" } } },
    { type: "event", method: "lifecycle", params: { namespace: "a", timestamp: 1, data: { event: "started" } } },
    { type: "event", method: "nothing", params: { namespace: [], timestamp: 1, data: {} } },
  ];
  expect(await typeErrors(wrong)).toHaveLength(wrong.length);
}, 60_000);

it("an envelope is JSON whatever its names are", () => {
  const events: { event: string; data: string }[] = [];
  const writer = createEventWriter({ now: () => 5 }, (event) => void events.push(event));
  writer.at('custom:a|"b"', { namespace: ["x:1", 'q"'], node: "n\n" }).write("1" as never, "token");
  expect(events[0]?.event).toBe('custom:a%7C"b"|x:1|q"');
  expect(JSON.parse(events[0]?.data ?? "")).toEqual({ namespace: ["x:1", 'q"'], timestamp: 5, node: "n\n", data: 1 });
});
