import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inferChannel, matchesSubscription } from "@langchain/langgraph-sdk/client";
import { asJsonText, type JsonObject, type JsonText, toJsonText } from "../../src/core/json.js";
import {
  matchesFilter,
  parseThreadEvent,
  rootLifecycle,
  rootMark,
  THREAD_CHANNELS,
  threadEvent,
  threadEventName,
  threadLogOf,
  threadLogToken,
} from "../../src/core/thread-event.js";

const STEPS = ["running", "completed", "failed", "interrupted"] as const;

const text = fc.string({ unit: fc.constantFrom("a", "b", "%", "|", ":", "7C", "25", "é", " "), maxLength: 6 });
const segment = fc.oneof(text, fc.constantFrom("sub:1", "sub:2", "sub", "tools:x"));
const namespace = fc.array(segment, { maxLength: 3 });
const name = fc.oneof(
  fc.constantFrom(...THREAD_CHANNELS.filter((channel) => channel !== "input"), "input.requested", "input.answered"),
  text.filter((own) => own !== "").map((own) => `custom:${own}`),
);

describe("the beginning and the end of a run", () => {
  it("are read as they were written", () => {
    fc.assert(
      fc.property(fc.uuid(), text, fc.constantFrom(...STEPS), (runId, graphName, step) => {
        const event = rootLifecycle({ runId, graphName, step, timestamp: 1, ...(step === "failed" && { error: "x" }) });
        expect(rootMark(event)).toEqual({ runId, graphName, step });
      }),
    );
  });

  it.each([
    ["of a nested graph", threadEvent("lifecycle", ["a:1"], rootLifecycleText({}), "control")],
    ["of another channel", threadEvent("values", [], rootLifecycleText({}), "state")],
    [
      "without a run, as a graph may send it",
      threadEvent("lifecycle", [], rootLifecycleText({ run_id: 1 }), "control"),
    ],
    [
      "of no step",
      threadEvent("lifecycle", [], rootLifecycleText({ data: { event: "started", graph_name: "g" } }), "control"),
    ],
    ["without data", threadEvent("lifecycle", [], rootLifecycleText({ data: "completed" }), "control")],
    ["of no object", threadEvent("lifecycle", [], asJsonText("[]"), "control")],
  ])("are not an event %s", (_, event) => {
    expect(rootMark(event)).toBeNull();
  });
});

function rootLifecycleText(instead: JsonObject): JsonText {
  return toJsonText({ namespace: [], data: { event: "completed", graph_name: "g" }, run_id: "r", ...instead });
}

describe("an event of a thread's log", () => {
  it("keeps name and namespace, whatever they are", () => {
    fc.assert(
      fc.property(name, namespace, (own, path) => {
        const { event, data, kind } = threadEvent(own, path, asJsonText("{}"), "token");
        expect(parseThreadEvent(event)).toMatchObject({ name: own, namespace: path });
        expect([data, kind]).toEqual(["{}", "token"]);
      }),
    );
  });

  it("tells channel and method from the name", () => {
    expect(parseThreadEvent("input.requested|a:1")).toMatchObject({ channel: "input", method: "input.requested" });
    expect(parseThreadEvent("custom:mine")).toMatchObject({ channel: "custom", method: "custom", namespace: [] });
    expect(parseThreadEvent("values")).toEqual({ name: "values", channel: "values", method: "values", namespace: [] });
  });

  it("reaches the subscriptions that the SDK says it matches", () => {
    const channels = fc.array(fc.constantFrom(...THREAD_CHANNELS, "custom:ab", "custom:mine"), { maxLength: 3 });
    const filter = fc.record(
      { channels, namespaces: fc.array(namespace, { maxLength: 2 }), depth: fc.integer({ min: 0, max: 2 }) },
      { requiredKeys: ["channels"] },
    );
    const names = fc.constantFrom(
      ...THREAD_CHANNELS.filter((own) => own !== "input"),
      "input.requested",
      "custom:mine",
    );
    fc.assert(
      fc.property(names, namespace, filter, (own, path, asked) => {
        const { method } = parseThreadEvent(own);
        const isNamed = own.startsWith("custom:");
        const data = isNamed ? { name: own.slice("custom:".length), payload: 1 } : {};
        const event = { type: "event", method, params: { namespace: path, timestamp: 0, data } } as never;
        expect(inferChannel(event)).toBe(isNamed ? own : parseThreadEvent(own).channel);
        expect(matchesFilter(asked, threadEventName(own, path))).toBe(matchesSubscription(event, asked as never));
      }),
      { numRuns: 1_000 },
    );
  });
});

it("the log of a thread is known by the thread's id, and fenced by the time of the claim", () => {
  expect(threadLogOf("t")).toEqual({ runId: "t", threadId: "t" });
  expect(threadLogToken({ updatedAt: 1_800_000_000_000 })).toBe(1_800_000_000_000);
});
