import { describe, expect, it } from "vitest";
import { STREAM_MODES, type StreamMode } from "../../../src/core/run.js";
import { askInside, chat, nested, supervisor } from "./graphs.js";
import { record } from "./record.js";

/** What differs from run to run: ids, times. */
const steady = (text: readonly string[]): readonly string[] =>
  text.map((line) =>
    line
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "ID")
      .replaceAll(/[0-9a-f]{32}/g, "HASH")
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME"),
  );

const GRAPHS = { chat: () => chat, nested: () => nested, askInside: () => askInside, supervisor };

describe("what a run streams", () => {
  const asked: readonly (readonly StreamMode[])[] = [
    ...STREAM_MODES.filter((mode) => mode !== "events").map((mode) => [mode]),
    ["messages", "messages-tuple", "checkpoints", "debug", "values"],
  ];
  for (const [name, graph] of Object.entries(GRAPHS)) {
    for (const streamSubgraphs of [false, true]) {
      it.each(asked.map((streamModes) => [streamModes.join(), streamModes] as const))(
        `is the same with the thread's events beside it: ${name}, mode %s, subgraphs ${streamSubgraphs}`,
        async (_, streamModes) => {
          // Models that are listened to answer in chunks, and leave other messages than those that are not.
          const listened = [...new Set<StreamMode>([...streamModes, "messages-tuple"])];
          const alone = await record(graph(), { streamModes: listened, streamSubgraphs }, { threadEvents: false });
          const beside = await record(graph(), { streamModes, streamSubgraphs });
          const isAsked = streamModes.includes("messages-tuple");
          const expected = alone.text.filter((line) => isAsked || !/^messages[|:]/.test(line));
          expect(steady(beside.text)).toEqual(steady(expected));
          expect(beside.thread.length).toBeGreaterThan(10);
        },
      );
    }
  }

  it("has mode events beside the thread's", async () => {
    const run = await record(chat, { streamModes: ["events"] });
    expect(run.frames.map(({ event }) => event)).toContain("events");
    expect(run.thread.map(({ event }) => event)).toContain("values");
    expect(run.thread.filter(({ event }) => event.startsWith("messages|"))).toHaveLength(6);
  });
});

describe("mode tools", () => {
  it("streams what tools do, as LangGraph tells it", async () => {
    const run = await record(supervisor(), { streamModes: ["tools"] });
    const events = run.frames.map(({ event, data }) => [event, (data as { event: string }).event]);
    expect(events).toEqual(
      [
        ["on_tool_start", "on_tool_end"],
        ["on_tool_start", "on_tool_event", "on_tool_event", "on_tool_end"],
        ["on_tool_start", "on_tool_error"],
      ].flatMap((calls) => calls.map((event) => ["tools", event])),
    );
    expect(run.frames[0]?.data).toEqual({
      event: "on_tool_start",
      toolCallId: "call-research",
      name: "research",
      input: '{"question":"sky?"}',
    });
    expect(run.frames.at(-1)?.data).toMatchObject({ toolCallId: "call-fail", error: { message: "No luck" } });
  });
});

describe("mode lifecycle", () => {
  it("streams when nested graphs start and end, whether or not they are streamed", async () => {
    for (const streamSubgraphs of [false, true]) {
      const run = await record(nested, { streamModes: ["lifecycle"], streamSubgraphs }, { threadEvents: false });
      const namespace = [expect.stringMatching(/^sub:/)];
      expect(run.frames.map(({ data }) => data)).toEqual([
        { event: "started", namespace },
        { event: "completed", namespace },
      ]);
      for (const { event, data } of run.frames) {
        expect(event).toBe(`lifecycle|${(data as { namespace: string[] }).namespace.join("|")}`);
      }
    }
  });

  it("tells interrupts from failures", async () => {
    const stopped = await record(askInside, { streamModes: ["lifecycle"] });
    expect(stopped.frames.map(({ data }) => (data as { event: string }).event)).toEqual([
      "started",
      "started",
      "interrupted",
      "interrupted",
    ]);
  });
});
