import type { RunExplanation } from "../../core/metadata-store.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { RunRow } from "./rows.js";
import { runOf } from "./rows.js";
import type { Tables } from "./tables.js";

/** `runs.explain` of the memory store. */
export function explainRun(tables: Tables, row: RunRow): RunExplanation {
  const { thread } = row;
  const isPending = row.status === "pending";
  const before = isPending ? thread.pending.slice(0, thread.pending.indexOf(row)) : [];
  if (isPending && thread.running !== null) before.unshift(thread.running);
  const [first] = before;
  return {
    run: runOf(row),
    now: tables.clock.now(),
    ahead: before.length,
    blockedBy: first === undefined ? null : { runId: first.runId, threadId: thread.threadId, status: first.status },
    holder:
      row.status === "running"
        ? {
            workerId: row.workerId ?? "",
            leaseToken: row.leaseToken,
            heartbeatAt: row.heartbeatAt,
            expiresAt: row.leaseUntil,
          }
        : null,
    retryAt: isPending ? tables.pausedUntil(thread) : null,
    cancelRequested: isTerminal(row.status) ? null : row.cancel,
  };
}
