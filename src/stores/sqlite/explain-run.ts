import type { RunExplanation } from "../../core/metadata-store.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { RunStatus } from "../../core/run.js";
import type { RunColumns } from "./rows.js";
import { fullRun } from "./run-rows.js";
import type { Session } from "./session.js";

interface Inflight {
  readonly run_id: string;
  readonly status: RunStatus;
  readonly retry_at: number | null;
}

/** `runs.explain` of the SQLite store. */
export function explainRun(session: Session, row: RunColumns): RunExplanation {
  const now = session.clock.now();
  const isPending = row.status === "pending";
  const inflight = isPending ? inflightOf(session, row.thread) : [];
  const before = inflight.slice(
    0,
    inflight.findIndex((other) => other.run_id === row.run_id),
  );
  const [first] = before;
  const retryAt = inflight.reduce((latest, other) => Math.max(latest, other.retry_at ?? 0), 0);
  return {
    run: fullRun(session, row),
    now,
    ahead: before.length,
    blockedBy: first === undefined ? null : { runId: first.run_id, threadId: row.thread_id, status: first.status },
    holder:
      row.status === "running"
        ? {
            workerId: row.worker_id ?? "",
            leaseToken: row.lease_token,
            heartbeatAt: row.heartbeat_at ?? row.updated_at,
            expiresAt: row.lease_until ?? 0,
          }
        : null,
    retryAt: retryAt > now ? retryAt : null,
    cancelRequested: isTerminal(row.status) ? null : row.cancel_action,
  };
}

/** The running run of a thread, then the pending ones in order. */
function inflightOf(session: Session, thread: number): readonly Inflight[] {
  const select = "SELECT run_id, status, retry_at FROM runs WHERE thread = ?";
  return [
    ...session.sql<Inflight>(`${select} AND status = 'running'`).all(thread),
    ...session.sql<Inflight>(`${select} AND status = 'pending' ORDER BY due_at, run_id`).all(thread),
  ];
}
