import { MessageAssembler } from "@langchain/langgraph-sdk";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/core/json.js";
import * as graphs from "./graphs.js";
import { of, record } from "./record.js";

/** Events of all messages without the ids that are different each time. */
const told = (events: readonly JsonObject[]): readonly JsonObject[] =>
  events.map((data) => {
    const steady = Object.fromEntries(Object.entries(data).filter(([key]) => key !== "run_id"));
    return data["event"] === "message-start" ? { ...steady, id: "id" } : steady;
  });

const start = {
  event: "message-start",
  id: "id",
  role: "ai",
  metadata: { provider: "ChunkModel", model_type: "chat" },
};
const opened = (index: number, content: object) => ({ event: "content-block-start", index, content });
const delta = (index: number, change: object) => ({ event: "content-block-delta", index, delta: change });
const closed = (index: number, content: object) => ({ event: "content-block-finish", index, content });
const text = (index: number, ...slices: readonly string[]) => [
  opened(index, { type: "text", text: "" }),
  ...slices.map((slice) => delta(index, { type: "text-delta", text: slice })),
  closed(index, { type: "text", text: slices.join("") }),
];
const finish = { event: "message-finish" };

describe("channel messages", () => {
  it("has reasoning, text and calls as blocks, one after the other", async () => {
    const run = await record(graphs.rich);
    const call = (name: string, id: string) => ({ type: "tool_call_chunk", id, name, args: "" });
    expect(told(of(run, "messages"))).toEqual([
      start,
      opened(0, { type: "reasoning", reasoning: "" }),
      delta(0, { type: "reasoning-delta", reasoning: "Let me " }),
      delta(0, { type: "reasoning-delta", reasoning: "see." }),
      closed(0, { type: "reasoning", reasoning: "Let me see." }),
      ...text(1, "I will ", "look."),
      opened(2, call("look", "c1")),
      delta(2, { type: "tool-call-delta", args: '{"at":' }),
      delta(2, { type: "tool-call-delta", args: '"sky"}' }),
      closed(2, { type: "tool_call", id: "c1", name: "look", args: { at: "sky" } }),
      opened(3, call("broken", "c2")),
      delta(3, { type: "tool-call-delta", args: "{nope" }),
      closed(3, { type: "invalid_tool_call", id: "c2", name: "broken", args: "{nope", error: "Malformed args." }),
      {
        event: "message-finish",
        usage: expect.objectContaining({ input_tokens: 3, output_tokens: 9, total_tokens: 12 }),
        reason: "tool_calls",
        responseMetadata: { finish_reason: "tool_calls", model_name: "m" },
      },
    ]);
  });

  it("has a provider's own blocks in the protocol's form", async () => {
    const run = await record(graphs.blocks);
    expect(told(of(run, "messages"))).toEqual([
      start,
      opened(0, { type: "reasoning", reasoning: "" }),
      delta(0, { type: "reasoning-delta", reasoning: "Hm" }),
      delta(0, { type: "reasoning-delta", reasoning: "m." }),
      delta(0, { type: "block-delta", fields: { type: "reasoning", signature: "sig" } }),
      closed(0, { type: "reasoning", reasoning: "Hmm.", signature: "sig" }),
      ...text(1, "Yes", "!"),
      finish,
    ]);
  });

  it.each([
    ["a model that the node streams itself", graphs.streaming, ["one ", "two ", "three"]],
    ["a model that tells its tokens as strings", graphs.strings, ["one ", "two"]],
    ["a model that does not stream", graphs.atOnce, ["all at once"]],
  ])("has the tokens of %s", async (_, graph, slices) => {
    const run = await record(graph);
    expect(told(of(run, "messages"))).toEqual([start, ...text(0, ...slices), finish]);
    const [first] = of(run, "messages");
    const { messages } = run.values as { messages: { id: string; content: string }[] };
    expect(messages.at(-1)).toMatchObject({ id: first?.["id"], content: slices.join("") });
  });

  it("shows a model tagged nostream only when its node returns the message", async () => {
    const run = await record(graphs.silent);
    expect(of(run, "messages").filter(({ event }) => event === "content-block-delta")).toHaveLength(1);
  });

  it("shows messages that nodes write, whole, and never what tools answered", async () => {
    const run = await record(graphs.written);
    const whole = (id: string, role: string) => ({ event: "message-start", id, role });
    const call = { type: "tool_call", id: "c1", name: "look", args: { at: "sky" } };
    expect(of(run, "messages")).toEqual([
      whole("h2", "human"),
      ...text(0, "and me"),
      finish,
      whole("a2", "ai"),
      ...text(0, "done"),
      opened(1, call),
      closed(1, call),
      finish,
    ]);
    const commanded = await record(graphs.commanded);
    expect(of(commanded, "messages")).toEqual([whole("cmd", "ai"), ...text(0, "by command"), finish]);
  });

  it("ends a message whose model fails with the error", async () => {
    const run = await record(graphs.brokenModel);
    expect(told(of(run, "messages"))).toEqual([
      start,
      ...text(0, "half ", "of"),
      { event: "error", message: "The model is gone" },
    ]);
  });

  it("tells messages of one node apart that come at the same time", async () => {
    const run = await record(graphs.parallel);
    const byRun = Map.groupBy(of(run, "messages"), ({ run_id: id }) => id);
    expect([...byRun.values()].map((events) => told(events))).toEqual([
      [start, ...text(0, "left ", "left ", "left"), finish],
      [start, ...text(0, "right ", "right ", "right"), finish],
    ]);
  });

  const { rich, blocks, parallel, written, streaming, brokenModel } = graphs;
  it.each(Object.entries({ rich, blocks, parallel, written, streaming, brokenModel }))(
    "is put together by the SDK as the state has it: %s",
    async (_, graph) => {
      const run = await record(graph);
      const assembler = new MessageAssembler();
      const finished = new Map<string, string>();
      for (const { event, data } of run.thread) {
        if (!event.startsWith("messages")) continue;
        const update = assembler.consume({ type: "event", method: "messages", params: data } as never);
        if (update?.kind !== "message-finish" || update.message.id === undefined) continue;
        const texts = update.message.blocks.map((block) => (block.type === "text" ? block["text"] : ""));
        finished.set(update.message.id, texts.join(""));
      }
      const { messages } = run.values as { messages: { id: string; type: string; content: unknown }[] };
      const expected = messages.filter(({ id, type }) => id !== "m1" && type !== "tool");
      expect(finished.size).toBe(expected.length);
      for (const { id, content } of expected) {
        const parts = Array.isArray(content) ? (content as { type: string; text?: string }[]) : null;
        expect(finished.get(id)).toBe(parts === null ? content : parts.map((part) => part.text ?? "").join(""));
      }
      expect(assembler.abandonActive()).toEqual([]);
    },
  );
});
