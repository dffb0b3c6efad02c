import type { EpochMs } from "../../core/json.js";
import type { ClaimRequest } from "../../core/metadata-store.js";
import type { CancelAction } from "../../core/run.js";
import { strongerCancel } from "../run-rules.js";
import type { EndedEntry, QueueEntry, RunningEntry, ThreadDocument } from "./documents.js";
import { leaseText } from "./rows.js";

/* Steps of a run through its thread's queue. */

/** A queue with one more run at its place. */
export function enqueued(queue: readonly QueueEntry[], entry: QueueEntry): readonly QueueEntry[] {
  const at = queue.findIndex((other) => compareDue(entry, other) < 0);
  return at === -1 ? [...queue, entry] : queue.toSpliced(at, 0, entry);
}

/** The run that starts next, if it may start now. */
export function dueEntry(thread: Pick<ThreadDocument, "running" | "queue">, now: EpochMs): QueueEntry | null {
  const [first] = thread.queue;
  if (thread.running !== null || first === undefined || first.dueAt > now) return null;
  return thread.queue.some(({ retryAt }) => retryAt !== null && retryAt > now) ? null : first;
}

export function started(entry: QueueEntry, { workerId, leaseMs }: ClaimRequest, now: EpochMs): RunningEntry {
  const leaseToken = entry.leaseToken + 1;
  return {
    ...entry,
    updatedAt: now,
    attempt: entry.attempt + 1,
    leaseToken,
    retryAt: null,
    lease: leaseText({ runId: entry.runId, leaseToken }),
    workerId,
    leaseUntil: now + leaseMs,
    heartbeatAt: now,
  };
}

/** A running run goes back into the queue, at its old place. */
export function requeued(
  thread: Pick<ThreadDocument, "queue">,
  running: RunningEntry,
  next: { readonly attempt: number; readonly retryAt: EpochMs | null; readonly now: EpochMs },
): { readonly running: null; readonly queue: readonly QueueEntry[] } {
  const { runId, dueAt, leaseToken, cancel, temporary, webhook } = running;
  const { attempt, retryAt, now } = next;
  const entry: QueueEntry = {
    runId,
    dueAt,
    updatedAt: now,
    attempt,
    leaseToken,
    cancel,
    temporary,
    retryAt,
    ...(webhook !== undefined && { webhook }),
  };
  return { running: null, queue: enqueued(thread.queue, entry) };
}

/** Whoever claims the run next ends it: no pause is worth waiting for. */
export function cancelledLater(entry: QueueEntry, action: CancelAction): QueueEntry {
  return { ...entry, cancel: strongerCancel(entry.cancel, action), retryAt: null };
}

/** A run leaves the queue. */
export function endedEntry(
  entry: QueueEntry,
  {
    end,
    error = null,
    now,
  }: { readonly end: EndedEntry["end"]; readonly error?: string | null; readonly now: EpochMs },
): EndedEntry {
  const { runId, attempt, leaseToken } = entry;
  return { runId, end, error, attempt, leaseToken, updatedAt: now };
}

function compareDue(a: QueueEntry, b: QueueEntry): number {
  if (a.dueAt !== b.dueAt) return a.dueAt - b.dueAt;
  return a.runId === b.runId ? 0 : a.runId < b.runId ? -1 : 1;
}
