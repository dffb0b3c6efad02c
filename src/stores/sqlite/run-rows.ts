import type { AccessFilter } from "../../core/auth.js";
import type { JsonText } from "../../core/json.js";
import type { ClaimRequest } from "../../core/metadata-store.js";
import type { CancelAction, Run, RunLease, RunStatus } from "../../core/run.js";
import { strongerCancel } from "../run-rules.js";
import { parseKwargs, runOf, type RunColumns } from "./rows.js";
import type { Session } from "./session.js";
import { showsMetadata } from "./thread-rows.js";

/** Run columns with the thread's own; for `FROM runs r JOIN threads t`. */
export const RUN_COLUMNS =
  "r.id, r.run_id, r.thread, t.thread_id, t.metadata AS thread_metadata, r.assistant_id, r.graph_id, r.created_at, " +
  "r.updated_at, r.due_at, r.status, r.metadata, r.multitask_strategy, r.temporary, r.attempt, r.error, r.lease_token, " +
  "r.worker_id, r.lease_until, r.heartbeat_at, r.retry_at, r.cancel_action";

export function findRun(session: Session, runId: string): RunColumns | undefined {
  const sql = `SELECT ${RUN_COLUMNS} FROM runs r JOIN threads t ON t.id = r.thread WHERE r.run_id = ?`;
  return session.sql<RunColumns>(sql).get(runId);
}

/** A run whose thread `access` shows. */
export function visibleRun(
  session: Session,
  runId: string,
  threadId: string | undefined,
  access: AccessFilter,
): RunColumns | null {
  const row = findRun(session, runId);
  if (row === undefined || (threadId !== undefined && row.thread_id !== threadId)) return null;
  return showsMetadata(access, row.thread_metadata) ? row : null;
}

/** The run that a lease still holds. */
export function heldRun(session: Session, lease: RunLease): RunColumns | null {
  const row = findRun(session, lease.runId);
  return row !== undefined && row.status === "running" && row.lease_token === lease.leaseToken ? row : null;
}

/** In-flight runs of a thread: the running one, then pending ones in order. */
export function inflightRuns(session: Session, thread: number): readonly RunColumns[] {
  const select = `SELECT ${RUN_COLUMNS} FROM runs r JOIN threads t ON t.id = r.thread WHERE r.thread = ?`;
  return [
    ...session.sql<RunColumns>(`${select} AND r.status = 'running'`).all(thread),
    ...session.sql<RunColumns>(`${select} AND r.status = 'pending' ORDER BY r.due_at, r.run_id`).all(thread),
  ];
}

/** The row with its kwargs. */
export function fullRun(session: Session, row: RunColumns): Run {
  const sql = "SELECT kwargs FROM run_kwargs WHERE run = ?";
  const kwargs = session.sql<{ kwargs: string }>(sql).get(row.id)?.kwargs ?? "{}";
  return runOf(row, parseKwargs(kwargs));
}

export function deleteRun(session: Session, row: RunColumns): void {
  session.sql("DELETE FROM runs WHERE id = ?").run(row.id);
}

export function endRun(session: Session, row: RunColumns, status: RunStatus, error: JsonText | null): RunColumns {
  const now = session.clock.now();
  session
    .sql("UPDATE runs SET status = ?, error = ?, worker_id = NULL, updated_at = ? WHERE id = ?")
    .run(status, error, now, row.id);
  return { ...row, status, error, worker_id: null, updated_at: now };
}

export function startRun(session: Session, row: RunColumns, claim: ClaimRequest): RunColumns {
  const now = session.clock.now();
  const started: RunColumns = {
    ...row,
    status: "running",
    attempt: row.attempt + 1,
    lease_token: row.lease_token + 1,
    worker_id: claim.workerId,
    lease_until: now + claim.leaseMs,
    heartbeat_at: now,
    retry_at: null,
    updated_at: now,
  };
  session
    .sql(
      `UPDATE runs SET status = 'running', attempt = ?, lease_token = ?, worker_id = ?, lease_until = ?, heartbeat_at = ?,
         retry_at = NULL, updated_at = ? WHERE id = ?`,
    )
    .run(started.attempt, started.lease_token, started.worker_id, started.lease_until, now, now, row.id);
  return started;
}

/**
 * A running run goes back into the queue.
 * @param next.retryAt its thread pauses until then
 */
export function requeueRun(
  session: Session,
  row: RunColumns,
  next: { readonly attempt: number; readonly retryAt: number | null },
): void {
  session
    .sql("UPDATE runs SET status = 'pending', attempt = ?, retry_at = ?, worker_id = NULL, updated_at = ? WHERE id = ?")
    .run(next.attempt, next.retryAt, session.clock.now(), row.id);
}

/** Whoever holds the run, or claims it next, ends it: no pause is worth waiting for. */
export function cancelLater(session: Session, row: RunColumns, action: CancelAction): CancelAction {
  const stronger = strongerCancel(row.cancel_action, action);
  session.sql("UPDATE runs SET cancel_action = ?, retry_at = NULL WHERE id = ?").run(stronger, row.id);
  return stronger;
}
