import { randomUUID } from "node:crypto";
import type { RunStore } from "../../core/metadata-store.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toText } from "../../databases/postgres/storable.js";
import { createRun } from "./create-run.js";
import { cancelRun, finishRun, releaseRun } from "./end-run.js";
import { explainRun } from "./explain-run.js";
import { ruleParameter } from "./filters.js";
import { getRun } from "./get-run.js";
import { listRuns } from "./list-runs.js";
import { reapRuns } from "./reap-runs.js";
import { createHeartbeat } from "./renew-leases.js";
import { type LeaseColumns, type RunColumns, runColumns, runOf, type WatchedColumn } from "./rows.js";
import type { Session } from "./session.js";

const idempotent = true;

const CLAIM: Statement = {
  name: "heddle_claim_runs",
  idempotent,
  text: `SELECT ${runColumns()}, lease_token, cancel_action, heddle_watch_thread(thread_id, false) AS watched
    FROM heddle_claim_runs($1, $2, $3, $4, $5, $6, $7)`,
};
const NEXT_DUE: Statement = {
  name: "heddle_next_due_at",
  idempotent,
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now) SELECT least(
      (SELECT min(due_at) FROM heddle_runs WHERE status || '' = 'pending' AND due_at > created_at AND due_at > (SELECT now FROM clock)),
      (SELECT min(retry_at) FROM heddle_threads WHERE retry_at IS NOT NULL AND retry_at > (SELECT now FROM clock))
    ) AS due`,
};
const HOLDS: Statement = {
  name: "heddle_holds_lease",
  idempotent,
  text: "SELECT 1 FROM heddle_runs WHERE run_id = $1 AND status = 'running' AND lease_token = $2",
};
const DELETE: Statement = {
  name: "heddle_delete_run",
  idempotent,
  text: `SELECT kind, ${runColumns("(run).")} FROM heddle_delete_run($1, $2, $3, $4)`,
};
const ABANDONED: Statement = {
  name: "heddle_abandoned_threads",
  idempotent,
  text: `WITH forgotten AS (DELETE FROM heddle_gone_runs WHERE gone_at < (SELECT heddle_now(NULL)) - 120000)
    SELECT thread_id FROM heddle_threads WHERE temporary AND status <> 'busy' AND updated_at <= (SELECT heddle_now($1)) - $2::bigint
    ORDER BY updated_at LIMIT $3`,
};

/** The run queue in Postgres: what writes is one function call (functions.ts), safe to repeat when its answer was lost. */
export function createPostgresRuns(session: Session): RunStore {
  return {
    create: (params) => createRun(session, params),

    async claim({ workerId, leaseMs, limit, threadId }) {
      const request = randomUUID();
      const rest = [toText(workerId), leaseMs, limit, threadId === undefined ? null : toText(threadId)];
      const rows = await session.query<RunColumns & LeaseColumns & WatchedColumn>(CLAIM, (again) => [
        session.now(),
        request,
        again,
        ...rest,
      ]);
      return rows.map((row) => {
        const run = runOf(row);
        const { lease_token: leaseToken, cancel_action: cancel, watched } = row;
        return { run, lease: { runId: run.runId, leaseToken }, cancel, watched };
      });
    },

    async nextDueAt() {
      const [row] = await session.query<{ due: number | null }>(NEXT_DUE, [session.now()]);
      return row?.due ?? null;
    },

    heartbeat: createHeartbeat(session),

    finish: (params) => finishRun(session, params),

    release: (params) => releaseRun(session, params),

    requestCancel: (params) => cancelRun(session, params),

    reapExpired: (params) => reapRuns(session, params),

    async holds({ runId, leaseToken }) {
      return (await session.query(HOLDS, [toText(runId), leaseToken])).length > 0;
    },

    get: (params) => getRun(session, params),

    explain: (params) => explainRun(session, params),

    list: (params) => listRuns(session, params),

    async delete({ runId, threadId, access }) {
      const values = [session.now(), toText(runId), toText(threadId), ruleParameter(access)];
      const [row] = await session.query<RunColumns & { kind: "deleted" | "running" | "not-found" }>(DELETE, values);
      if (row?.kind === "deleted") return { kind: "deleted", run: runOf(row) };
      return { kind: row?.kind ?? "not-found" };
    },

    async abandonedTemporaryThreads({ limit, endedBeforeMs }) {
      const rows = await session.query<{ thread_id: string }>(ABANDONED, [session.now(), endedBeforeMs, limit]);
      return rows.map((row) => fromText(row.thread_id));
    },
  };
}
