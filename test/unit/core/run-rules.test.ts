import { describe, expect, it } from "vitest";
import { decideMultitask } from "../../../src/core/multitask.js";
import { afterExpiredLease, isTerminal, threadStatusAfter } from "../../../src/core/run-lifecycle.js";
import { runMetadata, settledStatusAfter, strongerCancel, maxAttemptsError } from "../../../src/stores/run-rules.js";
import { newRun, uuid } from "../../../src/testing/stores/suite.js";

describe("rules of runs", () => {
  it("decides a multitask strategy by what is in flight", () => {
    for (const strategy of ["reject", "enqueue", "interrupt", "rollback"] as const) {
      expect(decideMultitask(strategy, 0)).toEqual({ kind: "insert", cancelInflight: null });
    }
    expect(decideMultitask("reject", 1)).toEqual({ kind: "refuse" });
    expect(decideMultitask("enqueue", 1)).toEqual({ kind: "insert", cancelInflight: null });
    expect(decideMultitask("interrupt", 2)).toEqual({ kind: "insert", cancelInflight: "interrupt" });
    expect(decideMultitask("rollback", 1)).toEqual({ kind: "insert", cancelInflight: "rollback" });
  });

  it("gives the thread the status that follows from its last run", () => {
    const after = (status: Parameters<typeof threadStatusAfter>[0]["status"], hasNext = false, hasInflight = false) =>
      threadStatusAfter({ status, hasNext, hasInflight });
    expect(after("success")).toBe("idle");
    expect(after("success", true)).toBe("interrupted");
    expect(after("interrupted")).toBe("idle");
    expect(after("rolled-back", true)).toBe("interrupted");
    expect(after("error", true)).toBe("error");
    expect(after("timeout")).toBe("error");
    expect(after("error", false, true)).toBe("busy");
    expect(settledStatusAfter("error", true, "idle")).toBe("error");
    expect(settledStatusAfter("success", false, "error")).toBe("idle");
    expect(settledStatusAfter("rolled-back", true, "idle")).toBe("interrupted");
    expect(settledStatusAfter("rolled-back", true, "error")).toBe("error");
  });

  it("fails a run at its last attempt", () => {
    expect(afterExpiredLease({ attempt: 2, maxAttempts: 3 })).toBe("pending");
    expect(afterExpiredLease({ attempt: 3, maxAttempts: 3 })).toBe("error");
    expect(maxAttemptsError(1, "host-7").message).toMatch(/once.*host-7/);
    expect(maxAttemptsError(3, null).message).toContain("3 times");
  });

  it("knows which statuses are final", () => {
    expect((["pending", "running"] as const).some(isTerminal)).toBe(false);
    expect((["success", "error", "timeout", "interrupted"] as const).every(isTerminal)).toBe(true);
  });

  it("never weakens a rollback", () => {
    expect(strongerCancel(null, "interrupt")).toBe("interrupt");
    expect(strongerCancel("interrupt", "rollback")).toBe("rollback");
    expect(strongerCancel("rollback", "interrupt")).toBe("rollback");
  });

  it("merges run metadata from assistant, thread and request", () => {
    const draft = newRun(1, uuid(2), { assistantMetadata: { a: 1, b: 1, c: 1 }, metadata: { c: 3 } });
    expect(runMetadata({ b: 2, c: 2 }, draft)).toEqual({ a: 1, b: 2, c: 3 });
  });
});
