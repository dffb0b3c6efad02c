import { describe, expect, it } from "vitest";
import { toJsonText } from "../../src/core/json.js";
import type { RunExplanation } from "../../src/core/metadata-store.js";
import type { Run } from "../../src/core/run.js";
import { explainedRun } from "../../src/services/explain-run.js";
import { KWARGS, uuid } from "../../src/testing/stores/suite.js";

const NOW = Date.UTC(2026, 0, 1);
const RUN: Run = {
  runId: uuid(1),
  threadId: uuid(2),
  assistantId: uuid(3),
  graphId: "agent",
  createdAt: NOW - 1_000,
  updatedAt: NOW - 1_000,
  dueAt: NOW - 1_000,
  status: "pending",
  metadata: {},
  kwargs: KWARGS,
  multitaskStrategy: "enqueue",
  attempt: 0,
  error: null,
};
const HOLDER = { workerId: "host-7", leaseToken: 1, heartbeatAt: NOW - 2_500, expiresAt: NOW + 12_500 };
const BLOCKER = { runId: uuid(9), threadId: uuid(2), status: "running" } as const;

function reason(run: Partial<Run>, rest: Partial<RunExplanation> = {}): string {
  const nothing = { ahead: 0, blockedBy: null, holder: null, retryAt: null, cancelRequested: null };
  return explainedRun({ ...nothing, run: { ...RUN, ...run }, now: NOW, ...rest }, 3).reason;
}

describe("the reason why a run does not run", () => {
  it.each<[string, Partial<Run>, Partial<RunExplanation>, RegExp]>([
    ["is due", {}, {}, /is due and waits for a worker with a free slot\.$/],
    ["is due for long", { updatedAt: NOW - 42_000, dueAt: NOW - 42_000 }, {}, /for 42 s: .*is none running/],
    ["is not due", { dueAt: NOW + 30_000 }, {}, /not due before 2026-01-01T00:00:30\.000Z \(in 30 s\)/],
    [
      "waits behind one",
      {},
      { ahead: 1, blockedBy: BLOCKER },
      /: run \S+0009 \(running\) of this thread comes first\.$/,
    ],
    ["waits behind three", {}, { ahead: 3, blockedBy: BLOCKER }, /\(running\) and 2 more of this thread/],
    [
      "waits behind one that crashed",
      {},
      { ahead: 1, blockedBy: { ...BLOCKER, status: "pending" }, retryAt: NOW + 5_000 },
      /\(pending\) of this thread comes first, which pauses until \S+05\.000Z \(in 5\.0 s\) because a worker was lost/,
    ],
    ["crashed", { attempt: 2 }, { retryAt: NOW + 500 }, /^Attempt 2 .*lost .*until 2026-01-01T00:00:00\.500Z/],
    ["is ahead of one that crashed", {}, { retryAt: NOW + 500 }, /^Another run of the thread was lost/],
    [
      "waits and is cancelled",
      {},
      { cancelRequested: "rollback" },
      /cancel \(rollback\) was requested: the worker that/,
    ],
    [
      "runs",
      { status: "running", attempt: 2 },
      { holder: HOLDER },
      /by worker host-7 \(attempt 2 of 3\), last .* 2\.5 s ago\.$/,
    ],
    [
      "runs and is cancelled",
      { status: "running" },
      { holder: HOLDER, cancelRequested: "interrupt" },
      /cancel \(interrupt\) was requested: its worker is stopping it/,
    ],
    [
      "has a worker that is silent",
      { status: "running", attempt: 1 },
      { holder: { ...HOLDER, heartbeatAt: NOW - 20_000, expiresAt: NOW - 5_000 } },
      /host-7 .*last heard of 20 s ago, and its lease expired 5\.0 s ago: the next worker/,
    ],
    ["has succeeded", { status: "success" }, {}, /ended with status success\.$/],
    [
      "has failed",
      { status: "error", error: toJsonText({ error: "TypeError", message: "Boo!" }) },
      {},
      /ended with status error: TypeError: Boo!$/,
    ],
  ])("when it %s", (_, run, rest, sentence) => {
    expect(reason(run, rest)).toMatch(sentence);
  });
});
