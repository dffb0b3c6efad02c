import { describe, expect, it } from "vitest";
import { parseThreadEvent } from "../../../src/core/thread-event.js";
import { chat, nested } from "./graphs.js";
import { dataOf, of, outline, record } from "./record.js";

const message = (place: string): readonly string[] =>
  [
    "message-start",
    "content-block-start",
    "content-block-delta",
    "content-block-delta",
    "content-block-finish",
    "message-finish",
  ].map((event) => `messages ${event} @${place}`);

describe("a thread's events", () => {
  it("come in the order of the wire, through nested graphs", async () => {
    const run = await record(nested);
    expect(outline(run.thread)).toEqual([
      "checkpoints",
      "values",
      "tasks",
      "updates",
      "tasks",
      "checkpoints",
      "values",
      "tasks",
      "lifecycle started @sub",
      "checkpoints @sub",
      "values @sub",
      "tasks @sub",
      "custom @sub",
      "custom @sub",
      "custom @sub",
      "lifecycle started @sub/a",
      ...message("sub/a"),
      "updates @sub",
      "tasks @sub",
      "lifecycle completed @sub/a",
      "checkpoints @sub",
      "values @sub",
      "updates",
      "tasks",
      "lifecycle completed @sub",
      "checkpoints",
      "values",
    ]);
  });

  it("say in their params where they come from, as their names do", async () => {
    const before = Date.now();
    const run = await record(nested);
    for (const { event, data } of run.thread) {
      const { namespace } = parseThreadEvent(event);
      expect(data).toMatchObject({ namespace, data: expect.anything() });
      const { timestamp } = data as { timestamp: number };
      expect(timestamp).toBeGreaterThanOrEqual(before);
      expect(timestamp).toBeLessThanOrEqual(Date.now());
    }
    const tokens = run.thread.filter(({ event }) => event.startsWith("messages|"));
    expect(tokens.map(({ data }) => (data as { node?: string }).node)).toEqual(Array(6).fill("a"));
  });

  it("show checkpoints as envelopes that belong to the values after them", async () => {
    const run = await record(chat);
    const envelopes = of(run, "checkpoints");
    expect(envelopes).toEqual([
      { id: expect.any(String), parent_id: expect.any(String), step: 0, source: "loop" },
      { id: expect.any(String), parent_id: envelopes[0]?.["id"], step: 1, source: "loop" },
    ]);
    const lines = outline(run.thread);
    const after = lines.flatMap((line, at) => (line === "checkpoints" ? [lines[at + 1]] : []));
    expect(after).toEqual(["values", "values"]);
  });

  it("show states and updates with messages in their short form", async () => {
    const run = await record(chat);
    const [human, ai] = [
      { type: "human", content: "hello", id: "m1" },
      { type: "ai", content: "hi there", id: expect.stringMatching(/^run-/) },
    ];
    expect(of(run, "values")).toEqual([
      { messages: [human], log: [] },
      { messages: [human, ai], log: ["a"] },
    ]);
    expect(of(run, "updates")).toEqual([{ node: "a", values: { messages: [ai], log: ["a"] } }]);
    const update = run.thread.find(({ event }) => event === "updates");
    expect(update?.data).toMatchObject({ node: "a" });
  });

  it("show what nodes write: named objects on channels of their own", async () => {
    const run = await record(chat);
    const written = run.thread.filter(({ event }) => event.startsWith("custom"));
    expect(written.map((frame) => [frame.event, dataOf(frame), frame.kind])).toEqual([
      ["custom", { payload: { progress: 1 } }, "token"],
      ["custom:status", { name: "status", payload: "thinking" }, "token"],
      ["custom", { payload: "plain" }, "token"],
    ]);
  });

  it("are not made for a thread that nobody watches", async () => {
    const run = await record(chat, {}, { threadEvents: false });
    expect(run.thread).toEqual([]);
    expect(run.frames).not.toEqual([]);
  });

  it("tell tokens from states from what must stay", async () => {
    const run = await record(nested);
    const kinds = new Map(run.thread.map(({ event, kind }) => [parseThreadEvent(event).method, kind]));
    expect(Object.fromEntries(kinds)).toEqual({
      checkpoints: "state",
      values: "state",
      tasks: "state",
      updates: "state",
      lifecycle: "control",
      custom: "token",
      messages: "token",
    });
  });
});
