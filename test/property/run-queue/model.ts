import type { CancelAction, MultitaskStrategy, RunStatus } from "../../../src/core/run.js";
import type { ThreadStatus } from "../../../src/core/thread.js";

/*
 * The run queue as a reader of the specification would write it (docs/wire/langgraph-api.md §2.9): arrays, no indices.
 */

export interface ModelRun {
  readonly runId: string;
  readonly threadId: string;
  readonly dueAt: number;
  status: RunStatus;
  attempt: number;
  token: number;
  worker: string | null;
  leaseUntil: number;
  cancel: CancelAction | null;
  /** Until then its thread pauses. */
  retryAt: number;
}

export interface ModelThread {
  readonly threadId: string;
  settled: Exclude<ThreadStatus, "busy">;
}

export class QueueModel {
  now: number;
  readonly threads: readonly ModelThread[];
  runs: ModelRun[] = [];
  /** Leases that some worker believes in, lost ones too. */
  readonly leases: { readonly runId: string; readonly token: number }[] = [];
  created = 0;

  constructor(now: number, threadIds: readonly string[]) {
    this.now = now;
    this.threads = threadIds.map((threadId) => ({ threadId, settled: "idle" }));
  }

  inflight(threadId: string): ModelRun[] {
    return this.runs.filter((run) => run.threadId === threadId && isInflight(run));
  }

  statusOf(thread: ModelThread): ThreadStatus {
    return this.inflight(thread.threadId).length > 0 ? "busy" : thread.settled;
  }

  create(params: {
    readonly runId: string;
    readonly threadId: string;
    readonly strategy: MultitaskStrategy;
    readonly delayMs: number;
    readonly claim: { readonly worker: string; readonly leaseMs: number } | null;
  }): { readonly kind: "busy" } | { readonly kind: "created"; readonly leased: boolean } {
    const { runId, threadId, strategy, delayMs, claim } = params;
    const inflight = this.inflight(threadId);
    if (strategy === "reject" && inflight.length > 0) return { kind: "busy" };
    if (strategy === "interrupt" || strategy === "rollback") for (const run of inflight) this.cancel(run, strategy);
    const free = this.inflight(threadId).length === 0;
    const run: ModelRun = {
      runId,
      threadId,
      dueAt: this.now + delayMs,
      status: "pending",
      attempt: 0,
      token: 0,
      worker: null,
      leaseUntil: 0,
      cancel: null,
      retryAt: 0,
    };
    this.runs.push(run);
    const leased = claim !== null && free && delayMs === 0;
    if (leased) this.#start(run, claim.worker, claim.leaseMs);
    return { kind: "created", leased };
  }

  /** @returns run ids, in the order of claiming */
  claim(worker: string, leaseMs: number, limit: number): string[] {
    const due = this.runs
      .filter((run) => run.status === "pending" && run.dueAt <= this.now)
      .filter((run) => !this.runs.some((other) => other.threadId === run.threadId && other.status === "running"))
      .filter((run) => !this.#isPaused(run.threadId))
      .sort(inOrder);
    const first = due.filter((run, i) => due.findIndex((other) => other.threadId === run.threadId) === i);
    const claimed = first.slice(0, limit);
    for (const run of claimed) this.#start(run, worker, leaseMs);
    return claimed.map((run) => run.runId);
  }

  held(lease: { readonly runId: string; readonly token: number }): ModelRun | undefined {
    return this.runs.find((run) => run.runId === lease.runId && run.status === "running" && run.token === lease.token);
  }

  finish(run: ModelRun, status: "success" | "error" | "interrupted" | "rolled-back", hasNext: boolean): boolean {
    if (status !== "rolled-back" && run.cancel === "rollback") return false;
    if (status === "rolled-back") this.#remove(run);
    else run.status = status;
    const thread = this.#thread(run);
    // What is undone leaves a failed thread as it was.
    if (status === "rolled-back" && thread.settled === "error") return true;
    thread.settled = status === "error" ? "error" : hasNext ? "interrupted" : "idle";
    return true;
  }

  /** Whether the thread has a run that a worker may start now. */
  hasDue(threadId: string): boolean {
    const due = this.runs.some((run) => run.threadId === threadId && run.status === "pending" && run.dueAt <= this.now);
    return due && !this.#isPaused(threadId);
  }

  release(run: ModelRun): void {
    run.status = "pending";
    run.attempt -= 1;
  }

  cancel(run: ModelRun, action: CancelAction): "finished" | "requested" | "cancelled" {
    if (!isInflight(run)) return "finished";
    if (run.status === "running" || run.token > 0) {
      run.cancel = run.cancel === "rollback" ? "rollback" : action;
      run.retryAt = 0;
      return "requested";
    }
    if (action === "rollback") this.#remove(run);
    else run.status = "interrupted";
    return "cancelled";
  }

  reap(
    maxAttempts: number,
    dead: string | null,
    retryDelayMs: (attempt: number) => number,
  ): { readonly requeued: string[]; readonly failed: string[] } {
    const gone = this.runs.filter(
      (run) => run.status === "running" && (run.leaseUntil <= this.now || run.worker === dead),
    );
    const failed = gone.filter((run) => run.cancel === null && run.attempt >= maxAttempts);
    for (const run of gone) run.status = failed.includes(run) ? "error" : "pending";
    for (const run of gone) run.retryAt = run.cancel === null ? this.now + retryDelayMs(run.attempt) : 0;
    for (const run of failed) this.#thread(run).settled = "error";
    return {
      requeued: gone.filter((run) => !failed.includes(run)).map((run) => run.runId),
      failed: failed.map((run) => run.runId),
    };
  }

  delete(run: ModelRun): boolean {
    if (run.status === "running") return false;
    this.#remove(run);
    return true;
  }

  nextDueAt(): number | null {
    const pending = this.runs.filter((run) => run.status === "pending");
    const later = pending.flatMap((run) => [run.dueAt, run.retryAt]).filter((time) => time > this.now);
    return later.length === 0 ? null : Math.min(...later);
  }

  /** What `explain` says beside the row. */
  explain(run: ModelRun): object {
    const isPending = run.status === "pending";
    const before = isPending
      ? this.inflight(run.threadId)
          .filter((other) => other.status === "running" || inOrder(other, run) < 0)
          .sort((a, b) => (a.status === b.status ? inOrder(a, b) : a.status === "running" ? -1 : 1))
      : [];
    const [first] = before;
    const paused = isPending && this.#isPaused(run.threadId);
    return {
      ahead: before.length,
      blockedBy: first === undefined ? null : { runId: first.runId, threadId: first.threadId, status: first.status },
      holder:
        run.status === "running" ? { workerId: run.worker, leaseToken: run.token, expiresAt: run.leaseUntil } : null,
      retryAt: paused ? Math.max(...this.#pauses(run.threadId)) : null,
      cancelRequested: isInflight(run) ? run.cancel : null,
    };
  }

  #pauses(threadId: string): number[] {
    return this.runs.filter((run) => run.threadId === threadId && run.status === "pending").map((run) => run.retryAt);
  }

  #isPaused(threadId: string): boolean {
    return this.#pauses(threadId).some((retryAt) => retryAt > this.now);
  }

  #start(run: ModelRun, worker: string, leaseMs: number): void {
    run.status = "running";
    run.attempt += 1;
    run.token += 1;
    run.worker = worker;
    run.leaseUntil = this.now + leaseMs;
    this.leases.push({ runId: run.runId, token: run.token });
  }

  #remove(run: ModelRun): void {
    this.runs = this.runs.filter((other) => other !== run);
  }

  #thread(run: ModelRun): ModelThread {
    const thread = this.threads.find((one) => one.threadId === run.threadId);
    if (thread === undefined) throw new Error("run without thread");
    return thread;
  }
}

function isInflight(run: ModelRun): boolean {
  return run.status === "pending" || run.status === "running";
}

function inOrder(a: ModelRun, b: ModelRun): number {
  return a.dueAt - b.dueAt || (a.runId < b.runId ? -1 : 1);
}
