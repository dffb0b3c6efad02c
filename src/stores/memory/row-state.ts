import type { ThreadStatus } from "../../core/thread.js";
import type { SettledStatus } from "../run-rules.js";
import type { RunRow, ThreadRow } from "./rows.js";

/** What a thread shows now. */
export function statusNow(row: ThreadRow): ThreadStatus {
  return statusOf(row, row.settledStatus);
}

/** `busy` while runs are in flight, else what it settled to. */
export function statusOf(row: Pick<ThreadRow, "running" | "pending">, settled: SettledStatus): ThreadStatus {
  return row.running !== null || row.pending.length > 0 ? "busy" : settled;
}

/** Has a time to live, and has been active since it was last pruned. */
export function isExpiring(row: ThreadRow): boolean {
  return row.ttl !== null && row.prunedAt !== row.updatedAt;
}

/** In the queue: has a pending run, no running one and no pause. */
export function isReady(thread: ThreadRow): boolean {
  return thread.running === null && thread.retrying === null && thread.pending.length > 0;
}

/** Pending runs in the order in which they are due. */
export function compareDue(a: RunRow, b: RunRow): number {
  if (a.dueAt !== b.dueAt) return a.dueAt - b.dueAt;
  return a.runId === b.runId ? 0 : a.runId < b.runId ? -1 : 1;
}
