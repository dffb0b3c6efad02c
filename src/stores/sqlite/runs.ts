import { toJsonText } from "../../core/json.js";
import type { RunStore } from "../../core/metadata-store.js";
import { afterExpiredLease, isTerminal } from "../../core/run-lifecycle.js";
import type { CancelAction, ClaimedRun, RunRef } from "../../core/run.js";
import { maxAttemptsError, retryAtAfter, settledStatusAfter } from "../run-rules.js";
import { createRun } from "./create-run.js";
import { insertDelivery } from "./delivery-rows.js";
import { explainRun } from "./explain-run.js";
import { listRuns } from "./list-runs.js";
import { parseObject, type RunColumns, type ThreadColumns } from "./rows.js";
import {
  cancelLater,
  deleteRun,
  endRun,
  findRun,
  fullRun,
  heldRun,
  requeueRun,
  RUN_COLUMNS,
  startRun,
  visibleRun,
} from "./run-rows.js";
import type { Session } from "./session.js";
import { changeThread, settleThread, threadById } from "./thread-rows.js";

/** The run queue in SQLite. Every method that writes is one transaction. */
export function createSqliteRuns(session: Session): RunStore {
  const { clock } = session;

  const threadOfRun = (row: RunColumns): ThreadColumns => {
    const thread = threadById(session, row.thread);
    if (thread === undefined) throw new Error(`thread ${row.thread} of run ${row.run_id} is missing`);
    return thread;
  };

  const refreshThread = (row: RunColumns): ThreadColumns =>
    changeThread(session, threadOfRun(row), { queueChanged: true });

  /** First pending runs of threads that are free, oldest due first. */
  const dueRuns = (threadId: string | undefined, limit: number): readonly string[] => {
    const due = `SELECT head_run_id AS run FROM threads
      WHERE head_due_at IS NOT NULL AND head_due_at <= ? AND (head_retry_at IS NULL OR head_retry_at <= ?)`;
    const now = clock.now();
    const rows =
      threadId === undefined
        ? session.sql<{ run: string }>(`${due} ORDER BY head_due_at, head_run_id LIMIT ?`).all(now, now, limit)
        : session.sql<{ run: string }>(`${due} AND thread_id = ? LIMIT ?`).all(now, now, threadId, limit);
    return rows.map((row) => row.run);
  };

  return {
    create: (params) => createRun(session, params),

    async claim({ workerId, leaseMs, limit, threadId }) {
      // An idle worker's poll must not take the write lock.
      if ((await session.read(() => dueRuns(threadId, 1))).length === 0) return [];
      return session.write(() =>
        dueRuns(threadId, limit).map((runId): ClaimedRun => {
          const row = findRun(session, runId);
          if (row === undefined) throw new Error(`queued run ${runId} is missing`);
          const started = startRun(session, row, { workerId, leaseMs });
          const thread = refreshThread(started);
          return {
            run: fullRun(session, started),
            lease: { runId, leaseToken: started.lease_token },
            cancel: started.cancel_action,
            watched: thread.watched === 1,
          };
        }),
      );
    },

    nextDueAt: () =>
      session.read(() => {
        const now = clock.now();
        const sql = `SELECT min(at) AS due FROM (
          SELECT min(due_at) AS at FROM runs WHERE status = 'pending' AND due_at > created_at AND due_at > ? UNION ALL
          SELECT min(retry_at) FROM runs WHERE status = 'pending' AND retry_at IS NOT NULL AND retry_at > ?)`;
        return session.sql<{ due: number | null }>(sql).get(now, now)?.due ?? null;
      }),

    heartbeat: ({ leases, leaseMs }) =>
      session.write(() => {
        const now = clock.now();
        const extend = session.sql<{ cancel_action: CancelAction | null }>(
          `UPDATE runs SET lease_until = ?, heartbeat_at = ? WHERE run_id = ? AND status = 'running' AND lease_token = ?
           RETURNING cancel_action`,
        );
        const rows = leases.map(({ runId, leaseToken }) => ({
          runId,
          row: extend.get(now + leaseMs, now, runId, leaseToken),
        }));
        return {
          lost: rows.filter(({ row }) => row === undefined).map(({ runId }) => runId),
          cancelRequested: rows.flatMap(({ runId, row }) =>
            row === undefined || row.cancel_action === null ? [] : [{ runId, action: row.cancel_action }],
          ),
        };
      }),

    finish: ({ lease, outcome, threadPatch, hasNext, threadMetadata }) =>
      session.write(() => {
        const row = heldRun(session, lease);
        if (row === null) return { accepted: false };
        if (outcome.kind === "ended" && row.cancel_action === "rollback") {
          return { accepted: false, cancelRequested: "rollback" };
        }
        const ended = outcome.kind === "ended" ? endRun(session, row, outcome.status, outcome.error ?? null) : null;
        if (ended === null) deleteRun(session, row);
        const thread = threadOfRun(row);
        const status = outcome.kind === "ended" ? outcome.status : outcome.kind;
        settleThread(session, thread, {
          status: settledStatusAfter(status, hasNext, thread.settled_status),
          patch: threadPatch,
          runError: outcome.kind === "ended" ? outcome.error : undefined,
          ...(threadMetadata === undefined
            ? {}
            : { metadata: toJsonText({ ...parseObject(thread.metadata), ...threadMetadata }) }),
        });
        if (ended !== null) insertDelivery(session, ended, row.updated_at);
        return { accepted: true, nextPending: dueRuns(row.thread_id, 1).length > 0 };
      }),

    release: ({ lease }) =>
      session.write(() => {
        const row = heldRun(session, lease);
        if (row === null) return { accepted: false };
        requeueRun(session, row, { attempt: row.attempt - 1, retryAt: null });
        refreshThread(row);
        return { accepted: true };
      }),

    requestCancel: ({ runId, threadId, action, access }) =>
      session.write(() => {
        const row = visibleRun(session, runId, threadId, access);
        if (row === null) return { kind: "not-found" };
        const run = fullRun(session, row);
        if (isTerminal(row.status)) return { kind: "finished", run };
        // A run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
        if (row.status === "running" || row.lease_token > 0) {
          cancelLater(session, row, action);
          if (row.retry_at !== null) refreshThread(row);
          return { kind: "requested", run };
        }
        if (action === "rollback") deleteRun(session, row);
        const ended = action === "rollback" ? null : endRun(session, row, "interrupted", null);
        if (ended !== null) insertDelivery(session, ended, null);
        refreshThread(row);
        return { kind: "cancelled", run: ended === null ? run : fullRun(session, ended) };
      }),

    reapExpired: ({ maxAttempts, isAlive, retryDelayMs }) => {
      const sql = `SELECT ${RUN_COLUMNS} FROM runs r JOIN threads t ON t.id = r.thread WHERE r.status = 'running'`;
      const expired = (): RunColumns[] => {
        const now = clock.now();
        return session
          .sql<RunColumns>(sql)
          .all()
          .filter((row) => (row.lease_until ?? 0) <= now || !(isAlive?.(row.worker_id ?? "") ?? true));
      };
      return session.read(expired).then((found) => {
        // Nothing to do is the rule, and must not take the write lock.
        if (found.length === 0) return { requeued: [], failed: [] };
        return session.write(() => {
          const requeued: RunRef[] = [];
          const failed: RunRef[] = [];
          for (const row of expired()) {
            const ref = { runId: row.run_id, threadId: row.thread_id };
            // With a cancel requested no attempt will execute the graph again, so none is one too many.
            const next = afterExpiredLease({ attempt: row.attempt, maxAttempts });
            if (row.cancel_action !== null || next === "pending") {
              const { attempt, cancel_action: cancel } = row;
              const retryAt = retryAtAfter({ now: clock.now(), attempt, cancel, retryDelayMs });
              requeueRun(session, row, { attempt, retryAt });
              refreshThread(row);
              requeued.push(ref);
            } else {
              const error = toJsonText(maxAttemptsError(row.attempt, row.worker_id));
              const ended = endRun(session, row, "error", error);
              settleThread(session, threadOfRun(row), { status: "error", patch: { error } });
              insertDelivery(session, ended, row.updated_at);
              failed.push(ref);
            }
          }
          return { requeued, failed };
        });
      });
    },

    get: ({ runId, threadId, access }) =>
      session.read(() => {
        const row = visibleRun(session, runId, threadId, access);
        return row === null ? null : fullRun(session, row);
      }),

    holds: (lease) => session.read(() => heldRun(session, lease) !== null),

    explain: ({ runId, threadId, access }) =>
      session.read(() => {
        const row = visibleRun(session, runId, threadId, access);
        return row === null ? null : explainRun(session, row);
      }),

    list: (params) => session.read(() => listRuns(session, params).map((row) => fullRun(session, row))),

    delete: ({ runId, threadId, access }) =>
      session.write(() => {
        const row = visibleRun(session, runId, threadId, access);
        if (row === null) return { kind: "not-found" };
        if (row.status === "running") return { kind: "running" };
        const run = fullRun(session, row);
        deleteRun(session, row);
        if (row.status === "pending") refreshThread(row);
        return { kind: "deleted", run };
      }),

    abandonedTemporaryThreads: ({ limit, endedBeforeMs }) =>
      session.read(() => {
        const sql = `SELECT thread_id AS thread FROM threads
          WHERE temporary = 1 AND updated_at <= ? AND status <> 'busy' ORDER BY updated_at LIMIT ?`;
        return session
          .sql<{ thread: string }>(sql)
          .all(clock.now() - endedBeforeMs, limit)
          .map((row) => row.thread);
      }),
  };
}
