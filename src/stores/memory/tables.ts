import type { AccessFilter } from "../../core/auth.js";
import type { RunConfig } from "../../core/assistant.js";
import type { StoreClock } from "../../core/clock.js";
import { termsOf } from "../../core/filter-terms.js";
import type { EpochMs, JsonObject, JsonText } from "../../core/json.js";
import { isVisible } from "../../core/metadata-filter.js";
import type { AssistantSortField } from "../../core/assistant.js";
import {
  expiresAt,
  type ThreadSortField,
  type ThreadStatePatch,
  type ThreadStatus,
  type ThreadTtl,
} from "../../core/thread.js";
import { beingRemoved, type SettledStatus } from "../run-rules.js";
import { createMemoryDeliveries, type MemoryDeliveries } from "./deliveries.js";
import { CronRows } from "./cron-rows.js";
import { compareBy, IndexedRows } from "./indexed-rows.js";
import type { AssistantRow, RunRow, ThreadRow } from "./rows.js";
import { compareDue, isExpiring, isReady, statusNow, statusOf } from "./row-state.js";
import { partitionPoint, SortedRows } from "./sorted-rows.js";

/** What a change of a thread may touch that an order or an index depends on. */
interface ThreadChange {
  readonly status?: ThreadStatus;
  readonly updatedAt?: EpochMs;
  readonly stateUpdatedAt?: EpochMs;
  readonly metadata?: JsonObject;
  readonly ttl?: ThreadTtl | null;
  readonly prunedAt?: EpochMs;
}

/**
 * The rows of a memory store with their indices. Every method is one synchronous step and leaves them consistent: that
 * is the memory store's transaction.
 */
export class Tables {
  readonly clock: StoreClock;
  readonly assistants = new Map<string, AssistantRow>();
  readonly assistantIndex: IndexedRows<AssistantRow, AssistantSortField>;
  readonly threads = new Map<string, ThreadRow>();
  readonly threadIndex: IndexedRows<ThreadRow, ThreadSortField>;
  readonly temporaryThreads = new Set<ThreadRow>();
  /** Threads that expire, by when they do; those that were pruned are out until they are active again. */
  readonly expiring: SortedRows<ThreadRow>;
  /** Ids of expired threads that are being removed. */
  readonly removals = new Set<string>();
  readonly crons = new CronRows();
  readonly runs = new Map<string, RunRow>();
  readonly deliveries: MemoryDeliveries;
  /** Pending and running. */
  readonly inflight = new Set<RunRow>();
  /** Threads with a pending run, no running one and no pause, by their first pending run: the queue. */
  readonly #ready: SortedRows<ThreadRow>;
  /** Pending runs that were created with a delay. */
  readonly #delayed: SortedRows<RunRow>;
  /** Pending runs after whose crash their threads pause, until their `retryAt`. */
  readonly #retrying: SortedRows<RunRow>;
  /** Not an index of terms: V8 finds a key that is deleted and set again ever slower until it rehashes the table. */
  readonly #statusCounts: Record<ThreadStatus, number> = { idle: 0, busy: 0, interrupted: 0, error: 0 };

  constructor(clock: StoreClock) {
    this.clock = clock;
    this.deliveries = createMemoryDeliveries(clock);
    const assistantId = (row: AssistantRow): string => row.assistantId;
    this.assistantIndex = new IndexedRows({
      assistant_id: compareBy(assistantId, assistantId),
      graph_id: compareBy((row) => row.graphId, assistantId),
      name: compareBy((row) => row.name, assistantId),
      created_at: compareBy((row) => row.createdAt, assistantId),
      updated_at: compareBy((row) => row.updatedAt, assistantId),
    });
    const threadId = (row: ThreadRow): string => row.threadId;
    this.threadIndex = new IndexedRows({
      thread_id: compareBy(threadId, threadId),
      status: compareBy((row) => row.status, threadId),
      created_at: compareBy((row) => row.createdAt, threadId),
      updated_at: compareBy((row) => row.updatedAt, threadId),
      state_updated_at: compareBy((row) => row.stateUpdatedAt, threadId),
    });
    this.expiring = new SortedRows(compareBy((row) => expiresAt(row) ?? 0, threadId));
    this.#ready = new SortedRows((a, b) => compareDue(a.pending[0] as RunRow, b.pending[0] as RunRow));
    this.#delayed = new SortedRows(compareDue);
    this.#retrying = new SortedRows(
      compareBy(
        (row) => row.retryAt ?? 0,
        (row) => row.runId,
      ),
    );
  }

  /** A thread that exists and that `access` shows. */
  visibleThread(threadId: string, access: AccessFilter): ThreadRow | null {
    const row = this.threads.get(threadId);
    return row !== undefined && isVisible(access, row.metadata) ? row : null;
  }

  /** A run whose thread `access` shows. */
  visibleRun(runId: string, threadId: string | undefined, access: AccessFilter): RunRow | null {
    const row = this.runs.get(runId);
    if (row === undefined || (threadId !== undefined && row.thread.threadId !== threadId)) return null;
    return isVisible(access, row.thread.metadata) ? row : null;
  }

  statusCount(status: ThreadStatus): number {
    return this.#statusCounts[status];
  }

  withStatus(status: ThreadStatus): Iterable<ThreadRow> {
    return this.threadIndex.range(
      "status",
      (row) => row.status < status,
      (row) => row.status === status,
    );
  }

  addThread(draft: {
    readonly threadId: string;
    readonly metadata: JsonObject;
    readonly config: RunConfig;
    readonly temporary: boolean;
    readonly ttl?: ThreadTtl | undefined;
  }): ThreadRow {
    if (this.removals.has(draft.threadId)) throw beingRemoved(draft.threadId);
    const now = this.clock.now();
    return this.putThread({
      ...draft,
      ttl: draft.ttl ?? null,
      prunedAt: null,
      createdAt: now,
      updatedAt: now,
      stateUpdatedAt: now,
      settledStatus: "idle",
      watched: false,
      values: null,
      interrupts: null,
      error: null,
    });
  }

  /** Insert a thread, or replace all of it but its runs. */
  putThread(fields: Omit<ThreadRow, "status" | "runs" | "pending" | "running" | "retrying">): ThreadRow {
    const existing = this.threads.get(fields.threadId);
    if (existing !== undefined) this.#unindexThread(existing);
    const row: ThreadRow = existing ?? {
      ...fields,
      status: fields.settledStatus,
      runs: [],
      pending: [],
      running: null,
      retrying: null,
    };
    Object.assign(row, fields, { status: statusOf(row, fields.settledStatus) });
    this.#indexThread(row);
    return row;
  }

  #indexThread(row: ThreadRow): void {
    this.threads.set(row.threadId, row);
    this.threadIndex.insert(row, termsOf(row.metadata));
    this.#statusCounts[row.status] += 1;
    if (row.temporary) this.temporaryThreads.add(row);
    if (isExpiring(row)) this.expiring.insert(row);
  }

  #unindexThread(row: ThreadRow): void {
    this.threads.delete(row.threadId);
    this.threadIndex.remove(row, termsOf(row.metadata));
    this.#statusCounts[row.status] -= 1;
    this.temporaryThreads.delete(row);
    if (isExpiring(row)) this.expiring.remove(row);
  }

  removeThread(row: ThreadRow): void {
    for (let run = row.runs.at(-1); run !== undefined; run = row.runs.at(-1)) this.removeRun(run);
    this.crons.removeOfThread(row.threadId);
    this.#unindexThread(row);
  }

  changeThread(row: ThreadRow, change: ThreadChange): void {
    const { status = row.status, updatedAt = row.updatedAt, stateUpdatedAt = row.stateUpdatedAt, metadata } = change;
    if (isExpiring(row)) this.expiring.remove(row);
    const fields: ThreadSortField[] = [];
    if (updatedAt !== row.updatedAt) fields.push("updated_at");
    if (stateUpdatedAt !== row.stateUpdatedAt) fields.push("state_updated_at");
    if (status !== row.status) {
      fields.push("status");
      this.#statusCounts[row.status] -= 1;
      this.#statusCounts[status] += 1;
    }
    if (metadata !== undefined) this.threadIndex.retag(row, termsOf(row.metadata), termsOf(metadata));
    this.threadIndex.reorder(row, fields, () => {
      row.status = status;
      row.updatedAt = updatedAt;
      row.stateUpdatedAt = stateUpdatedAt;
      row.metadata = metadata ?? row.metadata;
    });
    if (change.ttl !== undefined) row.ttl = change.ttl;
    if (change.prunedAt !== undefined) row.prunedAt = change.prunedAt;
    if (isExpiring(row)) this.expiring.insert(row);
  }

  /** Write the state columns and the status that they leave; a thread with runs in flight stays `busy`. */
  settleThread(
    row: ThreadRow,
    settled: {
      readonly status: SettledStatus;
      readonly patch: ThreadStatePatch;
      readonly runError?: JsonText | undefined;
      readonly metadata?: JsonObject;
    },
  ): void {
    const { patch } = settled;
    const now = this.clock.now();
    row.settledStatus = settled.status;
    row.error = settled.status === "error" ? (patch.error ?? settled.runError ?? row.error) : null;
    if (patch.values !== undefined) row.values = patch.values;
    if (patch.interrupts !== undefined) row.interrupts = patch.interrupts;
    this.changeThread(row, {
      status: statusNow(row),
      updatedAt: now,
      ...(patch.values === undefined ? {} : { stateUpdatedAt: now }),
      ...(settled.metadata === undefined ? {} : { metadata: settled.metadata }),
    });
  }

  /** Bring the status in step after a run came or went without leaving state. */
  refreshStatus(row: ThreadRow): void {
    if (statusNow(row) !== row.status) {
      this.changeThread(row, { status: statusNow(row), updatedAt: this.clock.now() });
    }
  }

  /** Insert a pending run. */
  addRun(row: RunRow): void {
    this.runs.set(row.runId, row);
    row.thread.runs.push(row);
    this.inflight.add(row);
    this.#enqueue(row);
  }

  /** Insert a run as it is, pending or ended, in place of one of the same id. Its thread's times stay. */
  putRun(row: RunRow): void {
    const existing = this.runs.get(row.runId);
    if (existing !== undefined) {
      this.removeRun(existing);
      this.changeThread(existing.thread, { status: statusNow(existing.thread) });
    }
    if (row.status === "pending") this.addRun(row);
    else {
      this.runs.set(row.runId, row);
      row.thread.runs.push(row);
    }
    this.changeThread(row.thread, { status: statusNow(row.thread) });
  }

  removeRun(row: RunRow): void {
    this.#leaveQueue(row);
    this.runs.delete(row.runId);
    row.thread.runs.splice(row.thread.runs.indexOf(row), 1);
  }

  startRun(row: RunRow, claim: { readonly workerId: string; readonly leaseMs: number }): void {
    const now = this.clock.now();
    this.#leaveQueue(row);
    this.inflight.add(row);
    this.#changeQueue(row.thread, () => (row.thread.running = row));
    row.status = "running";
    row.attempt += 1;
    row.leaseToken += 1;
    row.workerId = claim.workerId;
    row.leaseUntil = now + claim.leaseMs;
    row.heartbeatAt = now;
    row.updatedAt = now;
  }

  /**
   * A running run goes back into the queue.
   * @param retryAt its thread pauses until then
   */
  requeueRun(row: RunRow, retryAt: EpochMs | null = null): void {
    this.#changeQueue(row.thread, () => (row.thread.running = null));
    row.status = "pending";
    row.workerId = null;
    row.updatedAt = this.clock.now();
    this.#enqueue(row);
    if (retryAt === null) return;
    row.retryAt = retryAt;
    this.#retrying.insert(row);
    this.#changeQueue(row.thread, () => (row.thread.retrying = row));
  }

  /** The thread's pause after a crash is over. */
  endPause(thread: ThreadRow): void {
    const row = thread.retrying;
    if (row === null) return;
    this.#retrying.remove(row);
    row.retryAt = null;
    this.#changeQueue(thread, () => (thread.retrying = null));
  }

  endRun(row: RunRow, status: RunRow["status"], error: JsonText | null): void {
    this.#leaveQueue(row);
    row.status = status;
    row.error = error;
    row.workerId = null;
    row.updatedAt = this.clock.now();
  }

  /** The first due run of every thread that is free for one, oldest first. */
  dueRuns(limit: number): RunRow[] {
    const now = this.clock.now();
    this.#endPauses(now);
    const due: RunRow[] = [];
    for (const thread of this.#ready) {
      const run = thread.pending[0];
      if (run === undefined || run.dueAt > now || due.length >= limit) break;
      due.push(run);
    }
    return due;
  }

  /** The first pending run of a thread, when it may start now. */
  dueRunOf(thread: ThreadRow): RunRow | null {
    const now = this.clock.now();
    this.#endPauses(now);
    const run = isReady(thread) ? thread.pending[0] : undefined;
    return run !== undefined && run.dueAt <= now ? run : null;
  }

  nextDueAt(): EpochMs | null {
    const now = this.clock.now();
    this.#endPauses(now);
    const [retrying] = this.#retrying;
    const [next] = this.#delayed.range(
      (row) => row.dueAt <= now,
      () => true,
    );
    const times = [next?.dueAt, retrying?.retryAt].filter((time) => typeof time === "number");
    return times.length === 0 ? null : Math.min(...times);
  }

  /** When the thread's pause ends; `null` when it has none. */
  pausedUntil(thread: ThreadRow): EpochMs | null {
    this.#endPauses(this.clock.now());
    return thread.retrying?.retryAt ?? null;
  }

  #endPauses(now: EpochMs): void {
    for (let [row] = this.#retrying; row !== undefined && (row.retryAt ?? 0) <= now; [row] = this.#retrying) {
      this.endPause(row.thread);
    }
  }

  #enqueue(row: RunRow): void {
    const { pending } = row.thread;
    this.#changeQueue(row.thread, () => {
      pending.splice(
        partitionPoint(pending, (other) => compareDue(other, row) < 0),
        0,
        row,
      );
    });
    if (row.dueAt > row.createdAt) this.#delayed.insert(row);
  }

  #leaveQueue(row: RunRow): void {
    const { thread } = row;
    this.inflight.delete(row);
    if (thread.retrying === row) this.endPause(thread);
    if (row.status === "running") this.#changeQueue(thread, () => (thread.running = null));
    if (row.status !== "pending") return;
    this.#changeQueue(thread, () => thread.pending.splice(thread.pending.indexOf(row), 1));
    if (row.dueAt > row.createdAt) this.#delayed.remove(row);
  }

  #changeQueue(thread: ThreadRow, change: () => void): void {
    if (isReady(thread)) this.#ready.remove(thread);
    change();
    if (isReady(thread)) this.#ready.insert(thread);
  }
}
