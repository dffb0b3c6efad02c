import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { FakeStreamingChatModel } from "@langchain/core/utils/testing";
import { Annotation, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/json.js";
import * as fixtures from "../../fixtures/graphs/index.js";
import { type Call, type Frame, framesOf, namesOf, requester } from "../../support/requests.js";
import { STORAGES, type TestServer, startServer } from "../../support/server.js";

const State = Annotation.Root({ x: Annotation<number>, messages: MessagesAnnotation.spec.messages });
const model = new FakeStreamingChatModel({ sleep: 1, responses: [new AIMessage("ab")] });

const inner = new StateGraph(State)
  .addNode("talk", async (_state, config) => {
    config.writer?.({ inner: 1 });
    return { messages: [await model.invoke([new HumanMessage("x")], config)] };
  })
  .addEdge(START, "talk")
  .compile();

/** A model inside a subgraph, then a message that no model streamed. */
const talk = new StateGraph(State)
  .addNode("sub", inner)
  .addNode("tool", () => ({ messages: [new ToolMessage({ content: "t", tool_call_id: "c1", id: "tm" })] }))
  .addEdge(START, "sub")
  .addEdge("sub", "tool")
  .compile();

const quiet = new StateGraph(State)
  .addNode("m", async (_state, config) => ({
    messages: [await model.invoke([new HumanMessage("x")], { ...config, tags: ["nostream"] })],
  }))
  .addEdge(START, "m")
  .compile();

const throwsObject = new StateGraph(State)
  .addNode("t", () => {
    const thrown: unknown = JSON.parse('{"weird":1}');
    throw thrown as Error;
  })
  .addEdge(START, "t")
  .compile();

describe.each(STORAGES)("event streams over the wire on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...fixtures, talk, quiet, throwsObject } });
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const stream = async (assistant: string, body: JsonObject) => {
    const threadId = (await call("POST", "/threads", {})).json.thread_id as string;
    const answer = await call("POST", `/threads/${threadId}/runs/stream`, {
      assistant_id: assistant,
      input: {},
      ...body,
    });
    return { threadId, answer, frames: framesOf(answer.text) };
  };
  const of = (frames: readonly Frame[], event: string) => frames.filter((frame) => frame.event === event);

  it("§3.1 frames are byte-exact, §2.1.2 with their headers", async () => {
    const { threadId, answer } = await stream("counter", {
      input: { n: 0 },
      stream_mode: "values",
      interrupt_before: ["one"],
    });
    const runId = /"run_id":"([^"]+)"/.exec(answer.text)?.[1];
    expect(answer.text.replaceAll(/^:.*\n\n/gm, "")).toBe(
      [
        `event: metadata\ndata: {"run_id":"${runId}","attempt":1}\nid: 0\n\n`,
        `event: values\ndata: {"n":0,"log":[]}\nid: 1\n\n`,
        `event: values\ndata: {"n":0,"log":[],"__interrupt__":[]}\nid: 2\n\n`,
        `event: end\ndata: {"run_id":"${runId}","status":"success"}\nid: 3\n\n`,
      ].join(""),
    );
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.headers.get("cache-control")).toContain("no-cache");
    expect(answer.headers.get("content-location")).toBe(`/threads/${threadId}/runs/${runId}`);
    expect(answer.headers.get("location")).toBe(`/threads/${threadId}/runs/${runId}/stream?last_event_id=-1`);
  });

  it("§3.3 order within supersteps, all modes mixed, §3.6 without repetitions", async () => {
    const { frames } = await stream("ask", {
      input: { question: "?" },
      stream_mode: ["values", "updates", "tasks", "checkpoints", "values", "updates"],
    });
    expect(namesOf(frames)).toEqual([
      "metadata",
      "checkpoints",
      "values",
      "checkpoints",
      "tasks",
      "updates",
      "values",
      "tasks",
      "end",
    ]);
    expect(namesOf((await stream("counter", { input: { n: 0 }, stream_mode: [] })).frames)).toEqual([
      "metadata",
      "values",
      "values",
      "values",
      "values",
      "end",
    ]);
  });

  it("§3.4 updates: a node that writes nothing, parallel nodes, an interrupt", async () => {
    const { frames } = await stream("ask", { input: { question: "?" }, stream_mode: "updates" });
    expect(of(frames, "updates").map((frame) => frame.data)).toEqual([
      { __interrupt__: [{ id: expect.stringMatching(/^[0-9a-f]{32}$/), value: { q: "?" } }] },
    ]);
    const parallel = (await stream("askTwo", { stream_mode: ["updates", "values"] })).frames;
    const last = of(parallel, "values").at(-1)?.data;
    expect(last.__interrupt__.map((i: { value: string }) => i.value).sort()).toEqual(["left?", "right?"]);
  });

  it("§3.4 messages: accumulating, never namespaced, complete once", async () => {
    for (const stream_subgraphs of [false, true]) {
      const input = { messages: [{ role: "user", content: "hi", id: "h1" }] };
      const { frames } = await stream("talk", { input, stream_mode: "messages", stream_subgraphs });
      const shown = frames.map(({ event, data }) => [event, Array.isArray(data) ? data.map((m) => m.content) : null]);
      expect(shown.slice(1, -1)).toEqual([
        ["messages/complete", ["hi"]],
        ["messages/metadata", null],
        ["messages/partial", ["a"]],
        ["messages/partial", ["ab"]],
        ["messages/complete", ["ab"]],
        ["messages/complete", ["t"]],
      ]);
      const [about] = of(frames, "messages/metadata");
      const [id, { metadata }] = Object.entries(about?.data)[0] as [string, { metadata: JsonObject }];
      expect(of(frames, "messages/partial")[0]?.data[0].id).toBe(id);
      expect(metadata).toMatchObject({
        graph_id: "talk",
        run_attempt: 1,
        langgraph_plan: "developer",
        langgraph_host: "self-hosted",
        langgraph_node: "talk",
        ls_model_type: "chat",
      });
      expect(metadata).not.toHaveProperty("tags");
    }
  });

  it("§3.4 messages: a model tagged nostream has no partials", async () => {
    const { frames } = await stream("quiet", { stream_mode: "messages" });
    expect(namesOf(frames)).toEqual(["metadata", "messages/complete", "end"]);
  });

  it("§3.4 messages-tuple: one delta each, with the graph's namespace and the node in the metadata", async () => {
    const flat = (await stream("talk", { stream_mode: "messages-tuple" })).frames;
    expect(flat.slice(1, -1).map(({ event, data }) => [event, data[0].type, data[0].content])).toEqual([
      ["messages", "ai", "a"],
      ["messages", "ai", "b"],
      ["messages", "tool", "t"],
    ]);
    const deep = (await stream("talk", { stream_mode: "messages-tuple", stream_subgraphs: true })).frames;
    expect(namesOf(deep)).toEqual(["metadata", "messages|sub:*", "messages|sub:*", "messages", "end"]);
    const about = deep[1]?.data[1];
    expect(about).toMatchObject({ tags: [], langgraph_node: "talk" });
    expect(about.langgraph_checkpoint_ns).toMatch(/^sub:[0-9a-f-]{36}\|talk:[0-9a-f-]{36}$/);
    expect(deep[1]?.event).toBe(`messages|${about.langgraph_checkpoint_ns.split("|")[0]}`);
  });

  it("§3.4 tasks: start, result, failure, also of what is no error", async () => {
    const ok = of((await stream("counter", { input: { n: 0 }, stream_mode: "tasks" })).frames, "tasks");
    expect(Object.keys(ok[0]?.data).sort()).toEqual(["id", "input", "interrupts", "metadata", "name", "triggers"]);
    expect(ok[1]?.data).toEqual({
      id: ok[0]?.data.id,
      name: "one",
      result: { n: 1, log: ["one"] },
      interrupts: [],
      error: null,
    });
    const { frames } = await stream("failing", { input: { n: 0 }, stream_mode: "tasks" });
    const failed = of(frames, "tasks").at(-1)?.data;
    expect(failed).toMatchObject({ name: "boom", error: "TypeError: Boo!" });
    expect(failed).not.toHaveProperty("result");
    expect(frames.at(-1)).toMatchObject({ event: "error", data: { error: "TypeError", message: "Boo!" } });
    const odd = (await stream("throwsObject", { stream_mode: "tasks" })).frames;
    expect(of(odd, "tasks").at(-1)?.data.error).toBe("Error");
    expect(odd.at(-1)?.data).toEqual({ error: "Error", message: '{"weird":1}' });
  });

  it("§3.4 debug and checkpoints line up with the history, one to one", async () => {
    for (const assistant of ["counter", "ask", "nested", "nestedAsk"]) {
      const input = { n: 0, question: "q" };
      const { threadId, frames } = await stream(assistant, { input, stream_mode: ["debug", "checkpoints"] });
      const history = (await call("POST", `/threads/${threadId}/history`, { limit: 100 })).json;
      const debug = of(frames, "debug").map((frame) => frame.data);
      const streams = [
        of(frames, "checkpoints").map((frame) => frame.data),
        debug.filter((event) => event.type === "checkpoint").map((event) => event.payload),
      ];
      for (const list of streams) {
        expect(list).toHaveLength(history.length);
        for (const [i, state] of history.toReversed().entries()) {
          const { checkpoint, parent_checkpoint, values, next } = state;
          const { source, step, parents } = state.metadata;
          expect(list[i]).toMatchObject({
            checkpoint,
            parent_checkpoint,
            values,
            next,
            metadata: { source, step, parents },
          });
          expect(JSON.stringify(list[i].config)).not.toContain('"__');
        }
      }
      const task = debug.find((event) => event.type === "task");
      expect(Object.keys(task)).toEqual(["step", "type", "timestamp", "payload"]);
      if (assistant !== "nested") continue;
      const sub = streams[0]?.flatMap((payload) => payload.tasks).find((t: { name: string }) => t.name === "sub");
      expect(sub.checkpoint).toEqual({
        thread_id: threadId,
        checkpoint_ns: `sub:${sub.id}`,
        checkpoint_id: null,
        checkpoint_map: null,
      });
      expect(sub).not.toHaveProperty("state");
    }
  });

  it("§3.2 namespaces with subgraphs, and nothing unrequested (A19)", async () => {
    const { frames } = await stream("nestedAsk", {
      input: { question: "?" },
      stream_mode: ["values", "updates"],
      stream_subgraphs: true,
    });
    expect(namesOf(frames)).toEqual([
      "metadata",
      "values",
      "values|sub:*",
      "updates|sub:*",
      "values|sub:*",
      "updates",
      "values",
      "end",
    ]);
    expect(frames.at(-2)?.data).toMatchObject({ question: "?", __interrupt__: [{ value: { inner: "?" } }] });
  });

  it("§3.4 events: raw, root chunks consumed, hidden ones dropped, mixed with others", async () => {
    const { frames } = await stream("talk", { stream_mode: ["events", "updates"] });
    const raw = of(frames, "events").map((frame) => frame.data);
    expect(raw[0]).toMatchObject({ event: "on_chain_start", data: { input: {} }, tags: [] });
    expect(raw.filter((event) => event.event === "on_chat_model_stream")).toHaveLength(2);
    expect(raw.filter((event) => event.tags.includes("langsmith:hidden"))).toEqual([]);
    expect(raw.filter((event) => event.event === "on_chain_stream" && event.run_id === raw[0].run_id)).toEqual([]);
    expect(of(frames, "updates").map((frame) => Object.keys(frame.data))).toEqual([["sub"], ["tool"]]);
  });

  it("§3.10 joins: by every kind of Last-Event-ID, live and late, with the same frames and ids", async () => {
    const { threadId, frames } = await stream("counter", { input: { n: 0 }, stream_resumable: true });
    const runId = frames[0]?.data.run_id;
    const join = async (id?: string, query = "") => {
      const headers = id === undefined ? {} : { "last-event-id": id };
      return framesOf(
        (await call("GET", `/threads/${threadId}/runs/${runId}/stream${query}`, undefined, headers)).text,
      );
    };
    for (const all of ["-1", "-"]) expect(await join(all)).toEqual(frames);
    expect(await join("2")).toEqual(frames.slice(3));
    expect(await join("2", "?stream_mode=")).toEqual(frames.slice(3));
    for (const none of [undefined, "99999", "garbage", "1763-4", ""]) expect(await join(none)).toEqual([]);
    expect(namesOf(await join("-1", "?stream_mode=updates&stream_mode=custom"))).toEqual(["metadata", "end"]);
    expect((await call("GET", `/threads/${threadId}/runs/${runId}/stream?stream_mode=nope`)).status).toBe(422);
  });
});
