import { v5 } from "uuid";
import { describe, expect, test } from "vitest";
import type { ObservedEnd } from "../../../src/core/run-observer.js";
import type { LoggedEvent, NewOpenwopEvent } from "../../../src/protocols/openwop/event.js";
import { Folding } from "../../../src/protocols/openwop/fold.js";
import { createInterruptRules } from "../../../src/protocols/openwop/interrupts.js";
import { Replay } from "../../../src/protocols/openwop/replay.js";
import { endEvents } from "../../../src/protocols/openwop/run-end.js";
import type { RunRecord } from "../../../src/protocols/openwop/run-record.js";

/* What a run's log adds up to, and what the end of a LangGraph run makes of it: without a server. */

const rules = createInterruptRules();
const RUN = "01920000-1234-8abc-8000-000000000000";
/** Of the LangGraph run that the first event calls for. */
const FIRST = v5("openwop:0", RUN);

const record: RunRecord = {
  runId: RUN,
  owner: "id:ann",
  workflowId: "w",
  assistantId: "a",
  graphId: "w",
  caller: { identity: "ann", permissions: [], user: null },
  inputs: {},
  variables: {},
  configurable: {},
  tags: [],
  metadata: {},
  tenantId: null,
  scopeId: null,
  callbackUrl: null,
  parentRunId: null,
  source: null,
  nodeTypes: {},
  recursionLimit: null,
  runTimeoutMs: null,
  heldScope: null,
  pause: null,
};

const STARTED: NewOpenwopEvent = { type: "run.started", payload: { workflowId: "w" } };
const node = (type: "node.started" | "node.completed", nodeId = "n", payload = {}): NewOpenwopEvent => ({
  type,
  nodeId,
  payload: { nodeId, ...payload },
  hidden: { taskId: `task-${nodeId}`, langgraphRunId: FIRST },
});
const PAUSED: NewOpenwopEvent = { type: "run.paused", payload: { reason: null }, hidden: { langgraphRunId: FIRST } };
const RESUMED: NewOpenwopEvent = { type: "run.resumed", payload: {} };

function logged(events: readonly NewOpenwopEvent[]): readonly LoggedEvent[] {
  const timestamp = "2026-01-01T00:00:00.000Z";
  return events.map((event, sequence) => ({ eventId: `e${sequence}`, runId: RUN, timestamp, sequence, ...event }));
}

function folded(events: readonly NewOpenwopEvent[], source: RunRecord["source"] = null): Folding {
  const fold = new Folding({ runId: RUN, source }, rules);
  for (const event of logged(events)) fold.apply(event);
  return fold;
}

const endOf = (events: readonly NewOpenwopEvent[], end: ObservedEnd, hasNext = false) =>
  endEvents(
    { end, langgraphRunId: FIRST, held: [], hasNext, nextNode: hasNext ? "n" : null },
    { record, fold: folded(events), rules, nowMs: 0 },
  );

describe("33: the end of the LangGraph run that was paused", () => {
  const worked = [STARTED, node("node.started"), node("node.completed")];
  const success = { status: "success", error: null } as const;

  test("is nothing while the run rests", () => {
    expect(endOf([...worked, PAUSED], success, true)).toBeNull();
  });

  test("is nothing when the run has been resumed before it was told", () => {
    expect(endOf([...worked, PAUSED, RESUMED], success, true)).toBeNull();
  });

  test("is nothing when the one that the resume called for works already", () => {
    const second = folded([...worked, PAUSED, RESUMED]).launches[0]?.langgraphRunId ?? "";
    const going: NewOpenwopEvent = { ...node("node.started", "m"), hidden: { taskId: "m", langgraphRunId: second } };
    expect(second).not.toBe("");
    expect(endOf([...worked, PAUSED, RESUMED, going], success, true)).toBeNull();
  });

  test("leaves to the resume what it had not begun", () => {
    const rest: NewOpenwopEvent = { type: "run.paused", payload: { reason: null } };
    const fold = folded([STARTED, rest, RESUMED]);
    expect(fold.launches).toMatchObject([{ sequence: 2, kind: "start" }]);
    expect([...fold.superseded]).toEqual([FIRST]);
    const asked = { langgraphInterruptId: "l".repeat(32) };
    const question: NewOpenwopEvent[] = [
      { type: "node.suspended", nodeId: "n", payload: {}, hidden: { taskId: "task-n", langgraphRunId: FIRST } },
      {
        type: "interrupt.requested",
        nodeId: "n",
        payload: { interruptId: "int-1" },
        hidden: { taskId: "task-n", ...asked },
      },
      { type: "interrupt.resolved", nodeId: "n", payload: { interruptId: "int-1", resumeValue: 7 } },
    ];
    const answered = folded([STARTED, node("node.started"), ...question, rest, RESUMED]).launches;
    expect(answered.at(-1)).toMatchObject({ kind: "answer", answers: { [asked.langgraphInterruptId]: 7 } });
  });

  test("is a pause where nobody asked for one: a breakpoint", () => {
    expect(endOf(worked, success, true)).toMatchObject([{ type: "run.paused", payload: { reason: "breakpoint" } }]);
  });
});

describe("47: a cap that was breached", () => {
  const errorText = (error: string, message: string) => JSON.stringify({ error, message }) as ObservedEnd["error"];

  test("is LangGraph's own, as its error says it", () => {
    const error = errorText("GraphRecursionError", "Recursion limit of 40 reached without hitting a stop condition.");
    expect(endOf([STARTED], { status: "error", error })?.[0]?.payload).toMatchObject({ limit: 40, observed: 41 });
  });

  test("is the server's time, where the run has none", () => {
    const error = errorText("RunTimeout", "The run took longer than 1.5 s and was stopped.");
    expect(endOf([STARTED], { status: "timeout", error })?.[0]?.payload).toMatchObject({ limit: 1_500 });
  });
});

describe("46: a replay that takes another course", () => {
  const begun = [STARTED, node("node.started")];
  const source = logged([...begun, node("node.completed", "n", { outputs: { a: 1 } }), node("node.started", "m")]);
  const replay = new Replay("source", source);
  const fold = (events: readonly NewOpenwopEvent[]) =>
    folded(events, { runId: "source", fromSeq: 0, mode: "replay", checkpointId: null });

  test("says nothing as long as it is the source's", () => {
    const same = [node("node.completed", "n", { outputs: { a: 1 } }), node("node.started", "m")];
    expect(replay.completed(same, fold(begun))).toEqual(same);
  });

  test("says where it begins to differ, and how", () => {
    const diverged = (events: readonly NewOpenwopEvent[], before = begun) =>
      replay.completed(events, fold(before)).find(({ type }) => type === "replay.diverged")?.payload;
    expect(diverged([node("node.completed", "n", { outputs: { a: 2 } })])).toEqual({
      sourceRunId: "source",
      atSequence: 2,
      divergenceKind: "output",
    });
    expect(diverged([node("node.started", "m")])).toMatchObject({ atSequence: 2, divergenceKind: "type-mismatch" });
    const all = [...begun, node("node.completed", "n", { outputs: { a: 1 } }), node("node.started", "m")];
    expect(diverged([node("node.started", "z")], all)).toMatchObject({ atSequence: 4, divergenceKind: "extra" });
  });

  test("says it before what differs, and once", () => {
    const other = [node("node.completed", "n", { outputs: { a: 2 } }), node("node.started", "m")];
    const told = replay.completed(other, fold(begun));
    expect(told.map(({ type }) => type)).toEqual(["replay.diverged", "node.completed", "node.started"]);
    expect(replay.completed([node("node.started", "z")], fold([...begun, ...told]))).toHaveLength(1);
  });
});
