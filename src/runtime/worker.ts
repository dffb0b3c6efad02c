import type { Clock, Timer } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { EventLog } from "../core/event-log.js";
import { toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { errorEvent } from "../core/run-event.js";
import type { RunLauncher } from "../core/run-launcher.js";
import type { AbortReason } from "../core/run-lifecycle.js";
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
  start(): Promise<void>;
  /** Claim nothing more, wait up to `drainMs` for what runs, then give it back. */
  stop(options: { readonly drainMs: number }): Promise<void>;
}

interface Slot {
  readonly claimed: ClaimedRun;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export function createWorker(deps: WorkerDeps, options: WorkerOptions): Worker {
  const { store, dispatcher, clock, logger } = deps;
  const slots = new Map<string, Slot>();
  const unsubscribe: (() => void)[] = [];
  const timers = new Set<Timer>();
  let state: "new" | "running" | "draining" | "stopped" = "new";
  let reserved = 0;
  /** The queue may hold due work that no claim has looked for yet. */
  let mayHaveWork = true;
  let pumping: Promise<void> | null = null;

  const free = (): number => (state === "running" ? options.concurrency - slots.size - reserved : 0);

  const launch = (claimed: ClaimedRun): void => {
    const abort = new AbortController();
    const { run } = claimed;
    const done = deps
      .execute(claimed, abort.signal)
      .catch((error: unknown): ExecutionEnd => {
        // The row stays leased: the reaper gives it to the next worker.
        logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "run could not be ended");
        return { kind: "lost" };
      })
      .then((end) => {
        if (slots.get(run.runId)?.claimed === claimed) slots.delete(run.runId);
        if (mayHaveWork || (end.kind === "finished" && end.nextPending)) wake();
      });
    slots.set(run.runId, { claimed, abort, done });
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
    const leases: RunLease[] = [...slots.values()].map((slot) => slot.claimed.lease);
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
    for (const run of failed) await publishFailure(run);
    for (const run of [...requeued, ...failed]) dispatcher.announce(run.threadId);
    if (requeued.length > 0) logger.warn({ runs: requeued.length }, "took back runs whose worker is gone");
  };

  const publishFailure = async (ref: RunRef): Promise<void> => {
    const run = await store.runs.get({ ...ref, access: { kind: "all" } });
    await deps.eventLog.begin(ref, { resumable: run?.kwargs.streamResumable ?? false });
    deps.eventLog.append(ref, [
      errorEvent(run?.error ?? toJsonText({ error: "RunFailed", message: "The run failed." })),
    ]);
    await deps.eventLog.seal(ref);
  };

  /** Run `task` every `everyMs`, one at a time; a failure is logged and does not end the loop. */
  const every = (everyMs: number, what: string, task: () => Promise<void>): void => {
    let timer: Timer;
    const tick = (): void => {
      timers.delete(timer);
      void task()
        .catch((error: unknown) => logger.error({ err: error }, `${what} failed`))
        .finally(() => {
          if (state !== "stopped") schedule();
        });
    };
    const schedule = (): void => {
      timer = clock.setTimer(tick, everyMs);
      timers.add(timer);
    };
    schedule();
  };

  const drain = async (drainMs: number): Promise<void> => {
    const all = Promise.all([...slots.values()].map((slot) => slot.done));
    let timer: Timer | undefined;
    const limit = new Promise<"late">((resolve) => (timer = clock.setTimer(() => resolve("late"), drainMs)));
    const first = await Promise.race([all, limit]);
    timer?.cancel();
    if (first !== "late") return;
    for (const slot of slots.values()) slot.abort.abort({ kind: "shutdown" } satisfies AbortReason);
    await all;
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
      },
    },
    active: () => slots.size,
    async start() {
      if (state !== "new") return;
      state = "running";
      if (options.concurrency === 0) return;
      unsubscribe.push(
        dispatcher.onWork(wake),
        dispatcher.onSignal((run, action) => abortRun(run.runId, { kind: "cancel", action })),
      );
      await reap();
      // Own leases first: after a long blockage of the event loop they must not be reaped as expired.
      every(options.leaseMs / 3, "heartbeat", async () => {
        await heartbeat();
        await reap();
      });
      every(options.pollMs, "polling for runs", async () => wake());
      wake();
    },
    async stop({ drainMs }) {
      if (state === "draining" || state === "stopped") return;
      // Heartbeats and cancels go on until the last run has ended.
      state = "draining";
      await pumping;
      await drain(drainMs);
      state = "stopped";
      for (const off of unsubscribe) off();
      for (const timer of timers) timer.cancel();
    },
  };
}
