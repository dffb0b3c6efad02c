import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RunLauncher } from "../core/run-launcher.js";
import type { AbortReason } from "../core/run-lifecycle.js";
import type { ClaimedRun } from "../core/run.js";
import type { ExecutionEnd } from "./execute-run.js";
import { createLeaseThread, type LeaseThread, NO_LEASE_THREAD } from "./lease-thread.js";
import { createPeriodic } from "./periodic.js";
import { createReaper, PRESENCE_LOOK_MS } from "./reaper.js";
import { settledWithin } from "../core/settled-within.js";
import { createWorkQueue } from "./work-queue.js";

export interface WorkerOptions {
  readonly workerId: string;
  /** Run slots of this process. 0 executes nothing. */
  readonly concurrency: number;
  /** How long a claim lasts without a heartbeat. Heartbeats go out three times as often. */
  readonly leaseMs: number;
  /** How often to look for work when nobody notifies. */
  readonly pollMs: number;
  readonly maxAttempts: number;
  /** The thread that renews leases stops when the main loop has not turned for this long. */
  readonly maxBlockedMs: number;
  /** Whether the process that holds a lease may still be alive; see worker-identity. */
  readonly mayBeAlive: (workerId: string) => boolean;
}

/** What an execution needs to know of its lease. */
export interface ExecutionControl {
  /** A run's own: aborted on cancel, lost lease, shutdown. Its reason is an `AbortReason`. */
  readonly signal: AbortSignal;
  /**
   * Asked before anything becomes visible: after a pause of this process the lease may be another worker's by now. Resolves
   * when it was looked at; the signal is aborted if it is lost. `null` while the lease is fresh.
   */
  readonly confirmLease: () => Promise<void> | null;
}

export interface WorkerDeps {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly execute: (claimed: ClaimedRun, control: ExecutionControl) => Promise<ExecutionEnd>;
}

/** Claims due runs into free slots, keeps their leases, hears cancels, takes back what dead workers left. */
export interface Worker {
  readonly launcher: RunLauncher;
  /** Runs executing now. */
  readonly active: () => number;
  /** Called once. */
  start(): Promise<void>;
  /**
   * Claim nothing more, wait up to `drainMs` for what runs, then give it back. Called once, after `start`. Returns also when
   * the storage is away: what could not be given back is taken over when its lease expires.
   */
  stop(options: { readonly drainMs: number }): Promise<void>;
}

interface Slot {
  readonly claimed: ClaimedRun;
  readonly abort: AbortController;
  /** When the lease was last known to hold. */
  renewedAt: number;
}

/** Processes that were started together don't poll in step. */
const JITTER = 0.5;
/** How long runs may take to be given back. */
const HAND_BACK_MS = 10_000;
/** The same for what else is under way at a stop. */
const TIDY_UP_MS = 5_000;

export function createWorker(deps: WorkerDeps, options: WorkerOptions): Worker {
  const { store, dispatcher, clock, logger } = deps;
  const { leaseMs, workerId } = options;
  const slots = new Map<string, Slot>();
  /** The newest slot of each thread that has one. */
  const byThread = new Map<string, Slot>();
  const unsubscribe: (() => void)[] = [];
  let state: "new" | "running" | "draining" | "handing-back" | "stopped" = "new";
  let reserved = 0;
  /** Called when nothing runs and nothing is about to. */
  let onIdle: () => void = () => {};
  let leaseThread: LeaseThread = NO_LEASE_THREAD;
  let beating: Promise<void> | null = null;

  const free = (): number => (state === "running" ? options.concurrency - slots.size - reserved : 0);

  const checkIdle = (): void => {
    if (slots.size === 0 && reserved === 0) onIdle();
  };

  const abortRun = (runId: string, reason: AbortReason): void => slots.get(runId)?.abort.abort(reason);

  const launch = (claimed: ClaimedRun): void => {
    const { run, lease } = claimed;
    const slot: Slot = { claimed, abort: new AbortController(), renewedAt: clock.now() };
    // This worker has lost it without knowing, and got it back.
    abortRun(run.runId, { kind: "lease-lost" });
    // Created while the worker was stopping: handed back like the others.
    if (state === "handing-back") slot.abort.abort({ kind: "shutdown" } satisfies AbortReason);
    slots.set(run.runId, slot);
    byThread.set(run.threadId, slot);
    leaseThread.hold(lease);
    const isFresh = (): boolean => clock.now() - slot.renewedAt < leaseMs;
    void deps
      .execute(claimed, {
        signal: slot.abort.signal,
        confirmLease: () => (isFresh() || slot.abort.signal.aborted ? null : confirm()),
      })
      .catch((error: unknown): ExecutionEnd => {
        // The row stays leased: the reaper gives it to the next worker.
        logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "run could not be ended");
        return { kind: "lost" };
      })
      .then((end) => {
        leaseThread.drop(lease);
        if (slots.get(run.runId) === slot) slots.delete(run.runId);
        if (byThread.get(run.threadId) === slot) byThread.delete(run.threadId);
        // Not this process's any more: the others need not wait for their next poll.
        if (end.kind === "released") dispatcher.announce(run.threadId);
        queue.onEnd(run.threadId, end.kind === "finished" && end.nextPending);
        checkIdle();
      });
  };

  const queue = createWorkQueue({
    free,
    runsHere: (threadId) => byThread.has(threadId),
    logger,
    async claim({ limit, threadId }) {
      reserved += limit;
      let launched = 0;
      try {
        const claimed = await store.runs.claim({
          workerId,
          leaseMs,
          limit,
          ...(threadId !== undefined && { threadId }),
        });
        for (const run of claimed) {
          launch(run);
          launched += 1;
        }
        return claimed;
      } finally {
        reserved -= limit;
        if (launched === 0) checkIdle();
      }
    },
  });

  const beat = async (): Promise<void> => {
    const beaten = [...slots.values()];
    if (beaten.length === 0) return;
    const sentAt = clock.now();
    const leases = beaten.map((slot) => slot.claimed.lease);
    const { lost, cancelRequested } = await store.runs.heartbeat({ leases, leaseMs });
    const isLost = new Set(lost);
    for (const slot of beaten) {
      slot.renewedAt = sentAt;
      // This slot, not the run's: this worker may have claimed it again since it asked.
      if (isLost.has(slot.claimed.run.runId)) slot.abort.abort({ kind: "lease-lost" } satisfies AbortReason);
    }
    for (const { runId, action } of cancelRequested) abortRun(runId, { kind: "cancel", action });
  };

  /** One at a time, for all runs together. */
  const heartbeat = (): Promise<void> => {
    beating ??= beat().finally(() => (beating = null));
    return beating;
  };

  const confirm = (): Promise<void> =>
    heartbeat().catch((error: unknown) => {
      // The storage is away: what the run writes now is refused by the lease's token if it has to be.
      logger.warn({ err: error }, "leases could not be confirmed after a pause");
    });

  const reaper = createReaper(deps, {
    ...options,
    isHurried: () => state === "handing-back" || state === "stopped",
  });
  const periodic = createPeriodic(deps);

  /** What was taken back is claimed at once. */
  const reap = async (look: () => Promise<readonly string[]>): Promise<void> => {
    for (const threadId of await look()) void queue.lookAfter(threadId);
  };

  /** Also waits for runs that are being created with a reserved slot. */
  const drain = async (drainMs: number): Promise<void> => {
    const idle = new Promise<void>((resolve) => (onIdle = resolve));
    checkIdle();
    const timer = clock.setTimer(() => {
      state = "handing-back";
      for (const slot of slots.values()) slot.abort.abort({ kind: "shutdown" } satisfies AbortReason);
    }, drainMs);
    if (!(await settledWithin(clock, drainMs + HAND_BACK_MS, idle))) {
      logger.error(
        { runs: slots.size },
        "runs could not be given back: others take them over when their leases expire",
      );
    }
    timer.cancel();
  };

  return {
    launcher: {
      reserve() {
        if (free() <= 0) return null;
        reserved += 1;
        return { workerId, leaseMs };
      },
      launch(claimed) {
        reserved -= 1;
        launch(claimed);
      },
      unreserve() {
        reserved -= 1;
        queue.onFree();
        checkIdle();
      },
    },
    active: () => slots.size,
    async start() {
      if (options.concurrency === 0) {
        state = "running";
        return;
      }
      if (store.leaseRenewal !== null)
        leaseThread = await createLeaseThread({ ...options, renewal: store.leaseRenewal, logger });
      // Before the first claim: who dies after it is missed.
      await reaper.join();
      state = "running";
      unsubscribe.push(
        dispatcher.onWork((threadId) => (threadId === null ? queue.look() : queue.lookAfter(threadId))),
        dispatcher.onSignal((run, action) => abortRun(run.runId, { kind: "cancel", action })),
      );
      await reap(reaper.reap).catch((error: unknown) => logger.error({ err: error }, "looking for lost runs failed"));
      // Own leases first: after a long blockage of the event loop they must not be reaped as expired.
      periodic.every(leaseMs / 3, "heartbeat", async () => {
        const sentAt = clock.now();
        await heartbeat();
        // Blocked again since: what was just renewed may have expired.
        if (clock.now() - sentAt < leaseMs / 3) await reap(reaper.reap);
      });
      if (store.presence !== null) {
        periodic.every(PRESENCE_LOOK_MS, "looking for workers that are gone", () => reap(reaper.reapGone), {
          jitter: JITTER,
        });
      }
      periodic.every(options.pollMs, "polling for runs", async () => queue.look(), { jitter: JITTER });
      queue.look();
    },
    async stop({ drainMs }) {
      // Heartbeats and cancels go on until the last run has ended.
      state = "draining";
      await drain(drainMs);
      state = "stopped";
      for (const off of unsubscribe) off();
      const tidied = Promise.all([queue.stop(), periodic.stop().then(() => reaper.stop()), leaseThread.stop()]);
      tidied.catch((error: unknown) => logger.warn({ err: error }, "the worker could not tidy up"));
      if (!(await settledWithin(clock, TIDY_UP_MS, tidied))) {
        logger.warn({}, "the worker stops without waiting for the storage any longer");
      }
    },
  };
}
