import type { AccessFilter } from "../../core/auth.js";
import { copyJson, toJsonText } from "../../core/json.js";
import { isVisible } from "../../core/metadata-filter.js";
import type { RunStore } from "../../core/metadata-store.js";
import { afterExpiredLease, isTerminal } from "../../core/run-lifecycle.js";
import type { Run, RunLease, RunRef } from "../../core/run.js";
import { maxAttemptsError, retryAtAfter, settledStatusAfter, strongerCancel } from "../run-rules.js";
import { createRun } from "./create-run.js";
import { explainRun } from "./explain-run.js";
import type { RunRow } from "./rows.js";
import { runOf } from "./rows.js";
import type { Tables } from "./tables.js";

/** The run queue in memory. */
export function createMemoryRuns(tables: Tables): RunStore {
  const { runs, inflight, clock } = tables;

  /** The run that a lease still holds. */
  const held = (lease: RunLease): RunRow | null => {
    const row = runs.get(lease.runId);
    return row !== undefined && row.status === "running" && row.leaseToken === lease.leaseToken ? row : null;
  };

  const dueIn = (threadId: string): RunRow[] => {
    const thread = tables.threads.get(threadId);
    const first = thread === undefined ? null : tables.dueRunOf(thread);
    return first === null ? [] : [first];
  };

  const candidates = (query: {
    readonly threadId?: string;
    readonly status?: readonly string[];
    readonly runIds?: readonly string[];
    readonly access: AccessFilter;
  }): Iterable<RunRow> => {
    if (query.threadId !== undefined) return tables.visibleThread(query.threadId, query.access)?.runs ?? [];
    if (query.runIds !== undefined) {
      return [...new Set(query.runIds)].map((id) => runs.get(id)).filter((row) => row !== undefined);
    }
    const onlyInflight = query.status?.every((status) => status === "pending" || status === "running") ?? false;
    return onlyInflight ? inflight : runs.values();
  };

  return {
    create: async (params) => createRun(tables, params),

    async claim({ workerId, leaseMs, limit, threadId }) {
      const due = threadId === undefined ? tables.dueRuns(limit) : dueIn(threadId).slice(0, limit);
      return due.map((row) => {
        tables.startRun(row, { workerId, leaseMs });
        tables.refreshStatus(row.thread);
        const lease = { runId: row.runId, leaseToken: row.leaseToken };
        return { run: runOf(row), lease, cancel: row.cancel, watched: row.thread.watched };
      });
    },

    nextDueAt: async () => tables.nextDueAt(),

    async heartbeat({ leases, leaseMs }) {
      const now = clock.now();
      const rows = leases.map((lease) => ({ runId: lease.runId, row: held(lease) }));
      for (const { row } of rows) {
        if (row === null) continue;
        row.leaseUntil = now + leaseMs;
        row.heartbeatAt = now;
      }
      return {
        lost: rows.filter(({ row }) => row === null).map(({ runId }) => runId),
        cancelRequested: rows.flatMap(({ runId, row }) =>
          row === null || row.cancel === null ? [] : [{ runId, action: row.cancel }],
        ),
      };
    },

    async finish({ lease, outcome, threadPatch, hasNext, threadMetadata }) {
      const row = held(lease);
      if (row === null) return { accepted: false };
      if (outcome.kind === "ended" && row.cancel === "rollback") {
        return { accepted: false, cancelRequested: "rollback" };
      }
      const { thread, updatedAt: startedAt } = row;
      if (outcome.kind === "ended") tables.endRun(row, outcome.status, outcome.error ?? null);
      else tables.removeRun(row);
      const status = outcome.kind === "ended" ? outcome.status : outcome.kind;
      tables.settleThread(thread, {
        status: settledStatusAfter(status, hasNext, thread.settledStatus),
        patch: threadPatch,
        runError: outcome.kind === "ended" ? outcome.error : undefined,
        ...(threadMetadata === undefined ? {} : { metadata: { ...thread.metadata, ...copyJson(threadMetadata) } }),
      });
      if (outcome.kind === "ended") tables.deliveries.ended(row, startedAt);
      return { accepted: true, nextPending: dueIn(thread.threadId).length > 0 };
    },

    async release({ lease }) {
      const row = held(lease);
      if (row === null) return { accepted: false };
      row.attempt -= 1;
      tables.requeueRun(row);
      return { accepted: true };
    },

    async requestCancel({ runId, threadId, action, access }) {
      const row = tables.visibleRun(runId, threadId, access);
      if (row === null) return { kind: "not-found" };
      if (isTerminal(row.status)) return { kind: "finished", run: runOf(row) };
      // A run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
      if (row.status === "running" || row.leaseToken > 0) {
        row.cancel = strongerCancel(row.cancel, action);
        tables.endPause(row.thread);
        return { kind: "requested", run: runOf(row) };
      }
      if (action === "rollback") tables.removeRun(row);
      else {
        tables.endRun(row, "interrupted", null);
        tables.deliveries.ended(row, null);
      }
      tables.refreshStatus(row.thread);
      return { kind: "cancelled", run: runOf(row) };
    },

    async reapExpired({ maxAttempts, isAlive, retryDelayMs }) {
      const requeued: RunRef[] = [];
      const failed: RunRef[] = [];
      const now = clock.now();
      for (const row of inflight) {
        if (row.status !== "running") continue;
        if (row.leaseUntil > now && (isAlive?.(row.workerId ?? "") ?? true)) continue;
        const ref = { runId: row.runId, threadId: row.thread.threadId };
        // With a cancel requested no attempt will execute the graph again, so none is one too many.
        if (row.cancel !== null || afterExpiredLease({ attempt: row.attempt, maxAttempts }) === "pending") {
          tables.requeueRun(row, retryAtAfter({ now, attempt: row.attempt, cancel: row.cancel, retryDelayMs }));
          requeued.push(ref);
        } else {
          const error = toJsonText(maxAttemptsError(row.attempt, row.workerId));
          const startedAt = row.updatedAt;
          tables.endRun(row, "error", error);
          tables.settleThread(row.thread, { status: "error", patch: { error } });
          tables.deliveries.ended(row, startedAt);
          failed.push(ref);
        }
      }
      return { requeued, failed };
    },

    async get({ runId, threadId, access }) {
      const row = tables.visibleRun(runId, threadId, access);
      return row === null ? null : runOf(row);
    },

    holds: async (lease) => held(lease) !== null,

    async explain({ runId, threadId, access }) {
      const row = tables.visibleRun(runId, threadId, access);
      return row === null ? null : explainRun(tables, row);
    },

    async list({ limit, offset, ...query }) {
      const { status, runIds, access } = query;
      const wanted = runIds === undefined ? null : new Set(runIds);
      const rows: RunRow[] = [];
      for (const row of candidates(query)) {
        if (status !== undefined && !status.includes(row.status)) continue;
        if (wanted !== null && !wanted.has(row.runId)) continue;
        if (query.threadId === undefined && !isVisible(access, row.thread.metadata)) continue;
        rows.push(row);
      }
      return rows
        .sort(newestFirst)
        .slice(offset, offset + limit)
        .map((row): Run => runOf(row));
    },

    async delete({ runId, threadId, access }) {
      const row = tables.visibleRun(runId, threadId, access);
      if (row === null) return { kind: "not-found" };
      if (row.status === "running") return { kind: "running" };
      const run = runOf(row);
      tables.removeRun(row);
      tables.refreshStatus(row.thread);
      return { kind: "deleted", run };
    },

    async abandonedTemporaryThreads({ limit, endedBeforeMs }) {
      const before = clock.now() - endedBeforeMs;
      const found: string[] = [];
      for (const thread of tables.temporaryThreads) {
        if (found.length >= limit) break;
        const idle = thread.running === null && thread.pending.length === 0;
        if (idle && thread.updatedAt <= before) found.push(thread.threadId);
      }
      return found;
    },
  };
}

function newestFirst(a: RunRow, b: RunRow): number {
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  return a.runId === b.runId ? 0 : a.runId < b.runId ? 1 : -1;
}
