import { describe, expect, test } from "vitest";
import { isHeddleError } from "../../../src/core/errors.js";
import * as runBody from "../../../src/wire/run-body.js";

/** By a server with a LangSmith key. */
const decodeRun = (body: unknown) => runBody.decodeRun(body, { langsmith: true, webhooks: null });
const decodeRunBatch = (body: unknown) => runBody.decodeRunBatch(body, { langsmith: true, webhooks: null });

const THREAD = "01a200be-4578-7232-be96-50610380c170";

function failure(decode: () => unknown): { code: string; message: string } {
  try {
    decode();
  } catch (error) {
    if (isHeddleError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("expected a refusal");
}

describe("run body", () => {
  test("has the Platform's defaults", () => {
    expect(decodeRun({ assistant_id: "agent" })).toEqual({
      cancelOnDisconnect: false,
      request: {
        assistantId: "agent",
        streamModes: ["values"],
        streamSubgraphs: false,
        streamResumable: false,
        multitaskStrategy: "enqueue",
        ifNotExists: "reject",
        onCompletion: "delete",
        afterSeconds: 0,
        durability: "async",
      },
    });
  });

  // Every field of docs/wire/langgraph-api.md §2.5 that is honoured: what is sent → what the service gets.
  test.each<[string, unknown, object]>([
    ["input", { messages: [] }, { input: { messages: [] } }],
    ["input", "text", { input: "text" }],
    ["input", 0, { input: 0 }],
    ["input", false, { input: false }],
    ["command", { resume: null, lg_name: "Command" }, { command: { resume: null, lg_name: "Command" } }],
    ["command", { update: [["a", 1]] }, { command: { update: [["a", 1]] } }],
    ["command", { goto: "a" }, { command: { goto: "a" } }],
    ["command", { goto: [{ node: "a", input: 1 }, "b"] }, { command: { goto: [{ node: "a", input: 1 }, "b"] } }],
    ["command", { update: null, goto: null }, { command: { update: null, goto: null } }],
    [
      "checkpoint",
      { thread_id: THREAD, checkpoint_id: "1f", checkpoint_ns: "", checkpoint_map: { a: "b" } },
      { checkpoint: { threadId: THREAD, checkpointId: "1f", checkpointNs: "", checkpointMap: { a: "b" } } },
    ],
    ["checkpoint", { checkpoint_id: "1f", checkpoint_map: null }, { checkpoint: { checkpointId: "1f" } }],
    ["checkpoint_id", "1f", { checkpoint: { checkpointId: "1f" } }],
    ["config", { tags: ["t"], mine: { x_y: 1 } }, { config: { tags: ["t"], mine: { x_y: 1 } } }],
    ["context", { user_id: 1 }, { context: { user_id: 1 } }],
    ["metadata", { a: { b: null } }, { metadata: { a: { b: null } } }],
    ["interrupt_before", "*", { interruptBefore: "*" }],
    ["interrupt_before", ["a"], { interruptBefore: ["a"] }],
    ["interrupt_after", ["a", "b"], { interruptAfter: ["a", "b"] }],
    ["stream_mode", "updates", { streamModes: ["updates"] }],
    ["stream_mode", ["messages", "messages-tuple", "messages"], { streamModes: ["messages", "messages-tuple"] }],
    ["stream_mode", [], { streamModes: ["values"] }],
    ["stream_subgraphs", true, { streamSubgraphs: true }],
    ["stream_resumable", true, { streamResumable: true }],
    ["multitask_strategy", "rollback", { multitaskStrategy: "rollback" }],
    ["if_not_exists", "create", { ifNotExists: "create" }],
    ["on_completion", "keep", { onCompletion: "keep" }],
    ["after_seconds", 1.5, { afterSeconds: 1.5 }],
    ["timeout_seconds", 1.5, { timeoutMs: 1_500 }],
    ["timeout_seconds", 0.0012, { timeoutMs: 2 }],
    ["durability", "sync", { durability: "sync" }],
    ["checkpoint_during", false, { durability: "exit" }],
    ["checkpoint_during", true, { durability: "async" }],
    [
      "langsmith_tracer",
      { project_name: "p", example_id: "e" },
      { langsmithTracer: { projectName: "p", exampleId: "e" } },
    ],
    ["feedback_keys", ["k", "l", "k"], { feedbackKeys: ["k", "l"] }],
    ["feedback_keys", [], {}],
    ["webhook", null, {}],
    ["strict_resume", false, {}],
    ["unheard_of", { any: "thing" }, {}],
  ])("%s %j", (field, sent, expected) => {
    const { request } = decodeRun({ assistant_id: "agent", [field]: sent });
    expect(request).toEqual({ ...decodeRun({ assistant_id: "agent" }).request, ...expected });
  });

  test.each(
    "input command checkpoint checkpoint_id config context metadata webhook interrupt_before interrupt_after stream_mode stream_subgraphs stream_resumable feedback_keys multitask_strategy if_not_exists on_disconnect on_completion after_seconds timeout_seconds durability checkpoint_during langsmith_tracer strict_resume".split(
      " ",
    ),
  )("%s: null is not sent", (field) => {
    expect(decodeRun({ assistant_id: "agent", [field]: null })).toEqual(decodeRun({ assistant_id: "agent" }));
  });

  test("on_disconnect", () => {
    expect(decodeRun({ assistant_id: "agent", on_disconnect: "cancel" }).cancelOnDisconnect).toBe(true);
    expect(decodeRun({ assistant_id: "agent", on_disconnect: "continue" }).cancelOnDisconnect).toBe(false);
  });

  test("checkpoint_during beside durability", () => {
    const durability = (body: object) => decodeRun({ assistant_id: "a", ...body }).request.durability;
    expect(durability({ checkpoint_during: true, durability: "sync" })).toBe("sync");
    expect(durability({ checkpoint_during: false, durability: "exit" })).toBe("exit");
    for (const body of [
      { checkpoint_during: true, durability: "exit" },
      { checkpoint_during: false, durability: "async" },
      { checkpoint_during: false, durability: "sync" },
    ]) {
      expect(failure(() => durability(body)).message).toMatch(/^checkpoint_during: /);
    }
  });

  test.each<[string, unknown, string]>([
    ["assistant_id", "", "assistant_id: "],
    ["assistant_id", undefined, "assistant_id: is required"],
    ["assistant_id", 3, "assistant_id: "],
    ["command", "resume", "command: expected an object"],
    ["command", { update: "x" }, "command.update: "],
    ["command", { update: [["a"]] }, "command.update: "],
    ["command", { goto: 3 }, "command.goto: "],
    ["command", { goto: [{ input: 1 }] }, "command.goto: "],
    ["checkpoint", "1f", "checkpoint: "],
    ["checkpoint", { checkpoint_id: 1 }, "checkpoint.checkpoint_id: "],
    ["checkpoint_id", 1, "checkpoint_id: "],
    ["config", [], "config: expected an object"],
    ["config", { tags: "t" }, "config.tags: "],
    ["config", { recursion_limit: 0 }, "config.recursion_limit: "],
    ["config", { configurable: 1 }, "config.configurable: "],
    ["config", { configurable: { thread_id: 1 } }, "config.configurable.thread_id: "],
    ["metadata", [], "metadata: expected an object"],
    ["interrupt_before", "a", 'interrupt_before: expected "*"'],
    ["interrupt_after", [1], "interrupt_after: "],
    ["stream_mode", "valuess", "stream_mode: expected one of values, updates"],
    ["stream_mode", ["values", 1], "stream_mode: "],
    ["stream_subgraphs", "true", "stream_subgraphs: "],
    ["stream_resumable", 1, "stream_resumable: "],
    ["multitask_strategy", "queue", "multitask_strategy: "],
    ["if_not_exists", "raise", "if_not_exists: "],
    ["on_disconnect", true, "on_disconnect: "],
    ["on_completion", "drop", "on_completion: "],
    ["after_seconds", -1, "after_seconds: "],
    ["after_seconds", 1e12, "after_seconds: "],
    ["timeout_seconds", 0, "timeout_seconds: "],
    ["timeout_seconds", 2_147_484, "timeout_seconds: "],
    ["timeout_seconds", "5", "timeout_seconds: "],
    ["durability", "never", "durability: "],
    ["checkpoint_during", "no", "checkpoint_during: "],
    ["langsmith_tracer", "p", "langsmith_tracer: "],
    ["feedback_keys", "k", "feedback_keys: "],
    ["feedback_keys", Array.from({ length: 101 }, (_, i) => `k${i}`), "feedback_keys: at most 100 keys"],
  ])("refuses %s %j", (field, sent, message) => {
    const refused = failure(() => decodeRun({ assistant_id: "agent", [field]: sent }));
    expect(refused.code).toBe("INVALID_REQUEST");
    expect(refused.message).toContain(message);
  });

  test.each<[string, unknown]>([
    ["webhook", "https://example.com/hook"],
    ["strict_resume", true],
  ])("names %s %j as not supported", (field, sent) => {
    const refused = failure(() => decodeRun({ assistant_id: "agent", [field]: sent }));
    expect(refused).toMatchObject({ code: "UNSUPPORTED_OPTION", message: expect.stringContaining(field) as string });
  });

  test("feedback_keys need a LangSmith key", () => {
    const support = { langsmith: false, webhooks: null };
    const body = { assistant_id: "agent", feedback_keys: ["k"] };
    const refusal = { code: "UNSUPPORTED_OPTION", message: expect.stringMatching(/^feedback_keys .* LangSmith key/) };
    expect(failure(() => runBody.decodeRun(body, support))).toMatchObject(refusal);
    expect(failure(() => runBody.decodeRunBatch([body], support))).toMatchObject(refusal);
    expect(runBody.decodeRun({ ...body, feedback_keys: [] }, support).request).not.toHaveProperty("feedbackKeys");
  });

  test("two checkpoint ids that differ contradict each other", () => {
    const body = { assistant_id: "a", checkpoint: { checkpoint_id: "x" } };
    expect(decodeRun({ ...body, checkpoint_id: "x" }).request.checkpoint).toEqual({ checkpointId: "x" });
    expect(failure(() => decodeRun({ ...body, checkpoint_id: "y" })).message).toMatch(/^checkpoint_id: /);
  });

  test("what users own is passed by reference", () => {
    const body = {
      assistant_id: "a",
      input: { a: 1 },
      config: { configurable: { x: 1 } },
      context: { c: 1 },
      metadata: { m: 1 },
      command: { resume: { deep: [1] } },
    };
    const { request } = decodeRun(body);
    expect(request.input).toBe(body.input);
    expect(request.config).toBe(body.config);
    expect(request.context).toBe(body.context);
    expect(request.metadata).toBe(body.metadata);
    expect(request.command).toBe(body.command);
  });

  test("a batch is a non-empty array and names the bad element", () => {
    expect(decodeRunBatch([{ assistant_id: "a" }, { assistant_id: "b", thread_id: "ignored" }])).toHaveLength(2);
    expect(failure(() => decodeRunBatch([])).code).toBe("INVALID_REQUEST");
    expect(failure(() => decodeRunBatch({})).code).toBe("INVALID_REQUEST");
    expect(failure(() => decodeRunBatch([{ assistant_id: "a" }, {}])).message).toContain("[1].assistant_id");
  });
});
