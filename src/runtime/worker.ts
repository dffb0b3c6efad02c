import { ALL_ROWS } from "../core/auth.js";
import type { Clock, Timer } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { lastEvent } from "../core/run-event.js";
import type { RunLauncher } from "../core/run-launcher.js";
import type { AbortReason } from "../core/run-lifecycle.js";
import { retry } from "../core/retry.js";
import type { ClaimedRun, RunLease, RunRef } from "../core/run.js";
import type { ExecutionEnd } from "./execute-run.js";

export interface WorkerOptions {
  readonly workerId: string;
  /** Run slots of this process. 0 executes nothing. */
  readonly concurrency: number;
  /** How long a claim lasts without a heartbeat. Heartbeats go out three times as often. */
  readonly leaseMs: number;
  /** How often to look for work when nobody notifies. */
  readonly pollMs: number;
  readonly maxAttempts: number;
  /** Whether the process that holds a lease may still be alive; see worker-identity. */
  readonly mayBeAlive: (workerId: string) => boolean;
}

export interface WorkerDeps {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly execute: (claimed: ClaimedRun, signal: AbortSignal) => Promise<ExecutionEnd>;
}

/** Claims due runs into free slots, keeps their leases, hears cancels, takes back what dead workers left. */
export interface Worker {
  readonly launcher: RunLauncher;
  /** Runs executing now. */
  readonly active: () => number;
  /** Called once. */
  start(): Promise<void>;
  /** Claim nothing more, wait up to `drainMs` for what runs, then give it back. Called once, after `start`. */
  stop(options: { readonly drainMs: number }): Promise<void>;
}

interface Slot {
  readonly claimed: ClaimedRun;
  readonly abort: AbortController;
}

export function createWorker(deps: WorkerDeps, options: WorkerOptions): Worker {
  const { store, dispatcher, clock, logger } = deps;
  const slots = new Map<string, Slot>();
  const unsubscribe: (() => void)[] = [];
  const timers = new Set<Timer>();
  /** What a stop has to wait for beside runs. */
  const background = new Set<Promise<void>>();
  let state: "new" | "running" | "draining" | "handing-back" | "stopped" = "new";
  let reserved = 0;
  /** Called when nothing runs and nothing is about to. */
  let onIdle: () => void = () => {};
  /** The queue may hold due work that no claim has looked for yet. */
  let mayHaveWork = true;
  let pumping: Promise<void> | null = null;

  const isStopping = (): boolean => state === "handing-back" || state === "stopped";

  const free = (): number => (state === "running" ? options.concurrency - slots.size - reserved : 0);

  const track = (task: Promise<void>): void => {
    const tracked = task.finally(() => background.delete(tracked));
    background.add(tracked);
  };

  const checkIdle = (): void => {
    if (slots.size === 0 && reserved === 0) onIdle();
  };

  const launch = (claimed: ClaimedRun): void => {
    const abort = new AbortController();
    const { run } = claimed;
    // This worker has lost it without knowing, and got it back.
    abortRun(run.runId, { kind: "lease-lost" });
    // Created while the worker was stopping: handed back like the others.
    if (state === "handing-back") abort.abort({ kind: "shutdown" } satisfies AbortReason);
    slots.set(run.runId, { claimed, abort });
    void deps
      .execute(claimed, abort.signal)
      .catch((error: unknown): ExecutionEnd => {
        // The row stays leased: the reaper gives it to the next worker.
        logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "run could not be ended");
        return { kind: "lost" };
      })
      .then((end) => {
        if (slots.get(run.runId)?.claimed === claimed) slots.delete(run.runId);
        if (mayHaveWork || (end.kind === "finished" && end.nextPending)) wake();
        checkIdle();
      });
  };

  const wake = (): void => {
    mayHaveWork = true;
    if (pumping !== null || free() <= 0) return;
    pumping = pump()
      .catch((error: unknown) => logger.error({ err: error }, "claiming runs failed"))
      .finally(() => {
        pumping = null;
        if (mayHaveWork && free() > 0 && !failedLastPump) wake();
      });
  };

  let failedLastPump = false;
  const pump = async (): Promise<void> => {
    failedLastPump = true;
    while (mayHaveWork && free() > 0) {
      const limit = free();
      mayHaveWork = false;
      reserved += limit;
      try {
        const { workerId, leaseMs } = options;
        const claimed = await store.runs.claim({ workerId, leaseMs, limit });
        if (claimed.length === limit) mayHaveWork = true;
        for (const run of claimed) launch(run);
      } finally {
        reserved -= limit;
      }
    }
    failedLastPump = false;
  };

  const abortRun = (runId: string, reason: AbortReason): void => slots.get(runId)?.abort.abort(reason);

  const heartbeat = async (): Promise<void> => {
    const leases: readonly RunLease[] = [...slots.values()].map((slot) => slot.claimed.lease);
    if (leases.length === 0) return;
    const { lost, cancelRequested } = await store.runs.heartbeat({ leases, leaseMs: options.leaseMs });
    for (const runId of lost) abortRun(runId, { kind: "lease-lost" });
    for (const { runId, action } of cancelRequested) abortRun(runId, { kind: "cancel", action });
  };

  const reap = async (): Promise<void> => {
    const { requeued, failed } = await store.runs.reapExpired({
      maxAttempts: options.maxAttempts,
      isAlive: options.mayBeAlive,
    });
    for (const run of [...requeued, ...failed]) dispatcher.announce(run.threadId);
    for (const run of failed) track(publishFailure(run));
    if (requeued.length > 0) logger.warn({ runs: requeued.length }, "took back runs whose worker is gone");
  };

  const publishFailure = async (ref: RunRef): Promise<void> => {
    try {
      const run = await retry(deps, () => store.runs.get({ ...ref, access: ALL_ROWS }), isStopping);
      const resumable = run?.kwargs.streamResumable ?? false;
      await retry(deps, () => deps.eventLog.begin(ref, { resumable }), isStopping);
      deps.eventLog.append(ref, [lastEvent(ref.runId, run)]);
      await retry(deps, () => deps.eventLog.seal(ref), isStopping);
    } catch (error) {
      logger.error({ err: error, ...ref }, "the end of a lost run could not be published");
    }
  };

  /** Run `task` every `everyMs`, one at a time; a failure is logged and does not end the loop. */
  const every = (everyMs: number, what: string, task: () => Promise<void>): void => {
    let timer: Timer;
    const tick = (): void => {
      timers.delete(timer);
      const ended = task()
        .catch((error: unknown) => logger.error({ err: error }, `${what} failed`))
        .then(() => {
          if (state !== "stopped") schedule();
        });
      track(ended);
    };
    const schedule = (): void => {
      timer = clock.setTimer(tick, everyMs);
      timers.add(timer);
    };
    schedule();
  };

  /** Also waits for runs that are being created with a reserved slot. */
  const drain = async (drainMs: number): Promise<void> => {
    const idle = new Promise<void>((resolve) => (onIdle = resolve));
    checkIdle();
    const timer = clock.setTimer(() => {
      state = "handing-back";
      for (const slot of slots.values()) slot.abort.abort({ kind: "shutdown" } satisfies AbortReason);
    }, drainMs);
    await idle;
    timer.cancel();
  };

  return {
    launcher: {
      reserve() {
        if (free() <= 0) return null;
        reserved += 1;
        return { workerId: options.workerId, leaseMs: options.leaseMs };
      },
      launch(claimed) {
        reserved -= 1;
        launch(claimed);
      },
      unreserve() {
        reserved -= 1;
        if (mayHaveWork) wake();
        checkIdle();
      },
    },
    active: () => slots.size,
    async start() {
      state = "running";
      if (options.concurrency === 0) return;
      unsubscribe.push(
        dispatcher.onWork(wake),
        dispatcher.onSignal((run, action) => abortRun(run.runId, { kind: "cancel", action })),
      );
      await reap().catch((error: unknown) => logger.error({ err: error }, "looking for lost runs failed"));
      // Own leases first: after a long blockage of the event loop they must not be reaped as expired.
      every(options.leaseMs / 3, "heartbeat", async () => {
        const sentAt = clock.now();
        await heartbeat();
        // Blocked again since: what was just renewed may have expired.
        if (clock.now() - sentAt < options.leaseMs / 3) await reap();
      });
      every(options.pollMs, "polling for runs", async () => wake());
      wake();
    },
    async stop({ drainMs }) {
      // Heartbeats and cancels go on until the last run has ended.
      state = "draining";
      await drain(drainMs);
      state = "stopped";
      for (const off of unsubscribe) off();
      for (const timer of timers) timer.cancel();
      await Promise.all([pumping, ...background]);
    },
  };
}
