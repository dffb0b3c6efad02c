import type { RunExplanation, RunStore } from "../../core/metadata-store.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { CancelAction, RunStatus } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toText } from "../../databases/postgres/storable.js";
import { ruleParameter } from "./filters.js";
import { type RunColumns, runColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

const EXPLAIN: Statement = {
  name: "heddle_explain_run",
  idempotent: true,
  text: `SELECT ${runColumns("r.")}, r.worker_id, r.lease_token, r.heartbeat_at, r.lease_until, r.cancel_action,
      heddle_now($4) AS now, t.retry_at, coalesce(queue.ahead, 0) AS ahead, queue.first_run_id, queue.first_status
    FROM heddle_runs r JOIN heddle_threads t ON t.thread_id = r.thread_id
    JOIN heddle_thread_metadata m ON m.thread_id = r.thread_id
    LEFT JOIN LATERAL (
      SELECT count(*) AS ahead, (array_agg(o.run_id ORDER BY o.status DESC, o.due_at, o.run_id))[1] AS first_run_id,
        (array_agg(o.status ORDER BY o.status DESC, o.due_at, o.run_id))[1] AS first_status
      FROM heddle_runs o WHERE o.thread_id = r.thread_id AND (o.status || '' = 'running' OR o.status || '' = 'pending')
        AND (o.status || '' = 'running' OR (o.due_at, o.run_id) < (r.due_at, r.run_id))
    ) queue ON r.status = 'pending'
    WHERE r.run_id = $1 AND ($2::text IS NULL OR r.thread_id = $2) AND heddle_visible(m.metadata, $3)`,
};

type ExplainColumns = RunColumns & {
  readonly worker_id: string | null;
  readonly lease_token: number;
  readonly heartbeat_at: number | null;
  readonly lease_until: number | null;
  readonly cancel_action: CancelAction | null;
  readonly now: number;
  readonly retry_at: number | null;
  readonly ahead: number;
  readonly first_run_id: string | null;
  readonly first_status: RunStatus | null;
};

/** `runs.explain` of the Postgres store. */
export async function explainRun(
  session: Session,
  { runId, threadId, access }: Parameters<RunStore["explain"]>[0],
): Promise<RunExplanation | null> {
  const values = [
    toText(runId),
    threadId === undefined ? null : toText(threadId),
    ruleParameter(access),
    session.now(),
  ];
  const [row] = await session.query<ExplainColumns>(EXPLAIN, values);
  if (row === undefined) return null;
  const run = runOf(row);
  const { first_run_id: firstRunId, first_status: firstStatus, retry_at: retryAt } = row;
  return {
    run,
    now: row.now,
    ahead: row.ahead,
    blockedBy:
      firstRunId === null || firstStatus === null
        ? null
        : { runId: fromText(firstRunId), threadId: run.threadId, status: firstStatus },
    holder:
      run.status === "running"
        ? {
            workerId: fromText(row.worker_id ?? ""),
            leaseToken: row.lease_token,
            heartbeatAt: row.heartbeat_at ?? run.updatedAt,
            expiresAt: row.lease_until ?? 0,
          }
        : null,
    retryAt: run.status === "pending" && retryAt !== null && retryAt > row.now ? retryAt : null,
    cancelRequested: isTerminal(run.status) ? null : row.cancel_action,
  };
}
