import { randomUUID } from "node:crypto";
import { toJsonText } from "../../core/json.js";
import type { RunStore } from "../../core/metadata-store.js";
import { afterExpiredLease } from "../../core/run-lifecycle.js";
import type { CancelAction, Run, RunRef } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toJsonb, toText } from "../../databases/postgres/storable.js";
import { maxAttemptsError } from "../run-rules.js";
import { createRun } from "./create-run.js";
import { explainRun } from "./explain-run.js";
import { ruleParameter } from "./filters.js";
import { listRuns } from "./list-runs.js";
import { renewStatement, type RenewedColumns } from "./renew-leases.js";
import { type LeaseColumns, type RunColumns, runColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

const idempotent = true;

const CLAIM: Statement = {
  name: "heddle_claim_runs",
  idempotent,
  text: `SELECT ${runColumns()}, lease_token, cancel_action FROM heddle_claim_runs($1, $2, $3, $4, $5, $6, $7)`,
};
const NEXT_DUE: Statement = {
  name: "heddle_next_due_at",
  idempotent,
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now) SELECT least(
      (SELECT min(due_at) FROM heddle_runs WHERE status = 'pending' AND due_at > created_at AND due_at > (SELECT now FROM clock)),
      (SELECT min(retry_at) FROM heddle_threads WHERE retry_at IS NOT NULL AND retry_at > (SELECT now FROM clock))
    ) AS due`,
};
const FINISH: Statement = {
  name: "heddle_finish_run",
  idempotent,
  text: "SELECT kind, next_pending FROM heddle_finish_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
};
const RELEASE: Statement = {
  name: "heddle_release_run",
  idempotent,
  text: "SELECT heddle_release_run($1, $2, $3, $4) AS accepted",
};
const CANCEL: Statement = {
  name: "heddle_cancel_run",
  idempotent,
  text: `SELECT kind, ${runColumns("(run).")} FROM heddle_cancel_run($1, $2, $3, $4, $5, $6, $7)`,
};
const RUNNING: Statement = {
  name: "heddle_running_runs",
  idempotent,
  text: `SELECT run_id, lease_token, attempt, worker_id, lease_until <= (SELECT heddle_now($1)) AS expired
    FROM heddle_runs WHERE status = 'running' AND ($2 OR lease_until <= (SELECT heddle_now($1)))`,
};
const REAP: Statement = {
  name: "heddle_reap_runs",
  idempotent,
  text: "SELECT run_id, thread_id, failed FROM heddle_reap_runs($1, $2, $3, $4)",
};
const GET: Statement = {
  name: "heddle_get_run",
  idempotent,
  text: `SELECT ${runColumns("r.")} FROM heddle_runs r WHERE r.run_id = $1 AND ($2::text IS NULL OR r.thread_id = $2)
    AND ($3::jsonb IS NULL OR heddle_visible((SELECT m.metadata FROM heddle_thread_metadata m WHERE m.thread_id = r.thread_id), $3))`,
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
  text: `SELECT thread_id FROM heddle_threads WHERE temporary AND status <> 'busy' AND updated_at <= (SELECT heddle_now($1)) - $2::bigint
    ORDER BY updated_at LIMIT $3`,
};

type RunningColumns = {
  readonly run_id: string;
  readonly lease_token: number;
  readonly attempt: number;
  readonly worker_id: string | null;
  readonly expired: boolean;
};

/** The run queue in Postgres: what writes is one function call (functions.ts), safe to repeat when its answer was lost. */
export function createPostgresRuns(session: Session): RunStore {
  const get: RunStore["get"] = async ({ runId, threadId, access }) => {
    const values = [toText(runId), threadId === undefined ? null : toText(threadId), ruleParameter(access)];
    const [row] = await session.query<RunColumns>(GET, values);
    return row === undefined ? null : runOf(row);
  };

  return {
    create: (params) => createRun(session, params),

    async claim({ workerId, leaseMs, limit, threadId }) {
      const request = randomUUID();
      const rest = [toText(workerId), leaseMs, limit, threadId === undefined ? null : toText(threadId)];
      const rows = await session.query<RunColumns & LeaseColumns>(CLAIM, (again) => [
        session.now(),
        request,
        again,
        ...rest,
      ]);
      return rows.map((row) => {
        const run = runOf(row);
        return { run, lease: { runId: run.runId, leaseToken: row.lease_token }, cancel: row.cancel_action };
      });
    },

    async nextDueAt() {
      const [row] = await session.query<{ due: number | null }>(NEXT_DUE, [session.now()]);
      return row?.due ?? null;
    },

    async heartbeat({ leases, leaseMs }) {
      if (leases.length === 0) return { lost: [], cancelRequested: [] };
      const rows = await session.query<RenewedColumns>(...renewStatement(session.now(), leases, leaseMs));
      const held = new Map(rows.map((row) => [`${row.run_id}:${row.lease_token}`, row.cancel_action]));
      const cancelRequested: { runId: string; action: CancelAction }[] = [];
      const lost: string[] = [];
      for (const { runId, leaseToken } of leases) {
        const action = held.get(`${toText(runId)}:${leaseToken}`);
        if (action === undefined) lost.push(runId);
        else if (action !== null) cancelRequested.push({ runId, action });
      }
      return { lost, cancelRequested };
    },

    async finish({ lease, outcome, threadPatch, hasNext, threadMetadata }) {
      const request = randomUUID();
      const ended = outcome.kind === "ended";
      const rest = [
        toText(lease.runId),
        lease.leaseToken,
        ended ? outcome.status : outcome.kind,
        (ended ? outcome.error : null) ?? null,
        hasNext,
        threadPatch.values ?? null,
        threadPatch.interrupts ?? null,
        threadPatch.error ?? null,
        threadMetadata === undefined ? null : toJsonb(threadMetadata),
      ];
      const [row] = await session.query<{ kind: "accepted" | "refused" | "rollback"; next_pending: boolean | null }>(
        FINISH,
        (again) => [session.now(), request, again, ...rest],
      );
      if (row?.kind === "accepted") return { accepted: true, nextPending: row.next_pending === true };
      return row?.kind === "rollback" ? { accepted: false, cancelRequested: "rollback" } : { accepted: false };
    },

    async release({ lease }) {
      const values = [session.now(), randomUUID(), toText(lease.runId), lease.leaseToken];
      const [row] = await session.query<{ accepted: boolean }>(RELEASE, values);
      return { accepted: row?.accepted === true };
    },

    async requestCancel({ runId, threadId, action, access }) {
      const request = randomUUID();
      const rest = [toText(runId), threadId === undefined ? null : toText(threadId), action, ruleParameter(access)];
      // A pending run is deleted by a rollback: whoever has to repeat it could not say what it has cancelled.
      const before =
        action === "rollback" ? await get({ runId, access, ...(threadId !== undefined && { threadId }) }) : null;
      if (action === "rollback" && before === null) return { kind: "not-found" };
      const [row] = await session.query<
        RunColumns & { kind: "not-found" | "gone" | "cancelled" | "requested" | "finished" }
      >(CANCEL, (again) => [session.now(), request, again, ...rest]);
      if (row === undefined || row.kind === "not-found") return { kind: "not-found" };
      if (row.kind === "gone") return before === null ? { kind: "not-found" } : { kind: "cancelled", run: before };
      return { kind: row.kind, run: runOf(row) };
    },

    async reapExpired({ maxAttempts, isAlive, retryDelayMs }) {
      const rows = await session.query<RunningColumns>(RUNNING, [session.now(), isAlive !== undefined]);
      const candidates = rows.flatMap(({ run_id, lease_token, attempt, worker_id, expired }) => {
        const dead = !expired && !(isAlive?.(fromText(worker_id ?? "")) ?? true);
        if (!expired && !dead) return [];
        const failed = afterExpiredLease({ attempt, maxAttempts }) === "error";
        return [
          {
            runId: run_id,
            leaseToken: lease_token,
            dead,
            error: failed
              ? toJsonText(maxAttemptsError(attempt, worker_id === null ? null : fromText(worker_id)))
              : null,
            retryMs: failed ? 0 : Math.ceil(retryDelayMs?.(attempt) ?? 0),
          },
        ];
      });
      // Nothing to do is the rule.
      if (candidates.length === 0) return { requeued: [], failed: [] };
      const request = randomUUID();
      const taken = await session.query<{ run_id: string; thread_id: string; failed: boolean }>(REAP, (again) => [
        session.now(),
        request,
        again,
        toJsonb(candidates),
      ]);
      const refs = (failed: boolean): readonly RunRef[] =>
        taken
          .filter((row) => row.failed === failed)
          .map((row) => ({ runId: fromText(row.run_id), threadId: fromText(row.thread_id) }));
      return { requeued: refs(false), failed: refs(true) };
    },

    async holds({ runId, leaseToken }) {
      return (await session.query(HOLDS, [toText(runId), leaseToken])).length > 0;
    },

    get,

    explain: (params) => explainRun(session, params),

    list: (params): Promise<readonly Run[]> => listRuns(session, params),

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
