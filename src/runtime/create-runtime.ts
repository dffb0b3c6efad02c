import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { Engine } from "../core/engine.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RunLauncher } from "../core/run-launcher.js";
import type { ObserveRun } from "../core/run-observer.js";
import { executeRun } from "./execute-run.js";
import { createLifecycle } from "./lifecycle.js";
import { createLogReconciler } from "./reconcile-logs.js";
import { createThreadLogReconciler } from "./reconcile-thread-logs.js";
import { settledWithin } from "../core/settled-within.js";
import { createSweeper } from "./sweeper.js";
import type { WorkerOptions } from "./worker.js";
import { createWorker } from "./worker.js";

/** How long a stop waits for a sweep that is under way. */
const SWEEP_END_MS = 5_000;

/** Everything of a process that acts by itself: the worker and the sweeper. */
export interface Runtime {
  readonly launcher: RunLauncher;
  start(): Promise<void>;
  stop(options: { readonly drainMs: number }): Promise<void>;
}

export function createRuntime(
  deps: {
    readonly store: MetadataStore;
    readonly engine: Engine;
    readonly checkpointer: Checkpointer;
    readonly eventLog: EventLog;
    readonly dispatcher: Dispatcher;
    readonly clock: Clock;
    readonly logger: Logger;
    /** Who wants to follow runs. Default nobody. */
    readonly observe?: ObserveRun;
    /** A run with a webhook has ended here. */
    readonly onWebhook?: () => void;
  },
  options: WorkerOptions & {
    readonly sweepEveryMs: number;
    readonly eventLogTtlMs: number;
    /** Limit of one attempt of a run; `null`: only a run's own. */
    readonly runTimeoutMs: number | null;
  },
): Runtime {
  const execution = { ...deps, runTimeoutMs: options.runTimeoutMs };
  const worker = createWorker(
    {
      ...deps,
      async execute(claimed, control) {
        const end = await executeRun(execution, claimed, control);
        if (end.kind === "finished" && claimed.run.kwargs.webhook !== undefined) deps.onWebhook?.();
        return end;
      },
    },
    options,
  );
  const reconcilers = {
    "event logs of runs that a crash left": createLogReconciler(deps),
    "event logs of threads that a crash left": createThreadLogReconciler(deps),
  };
  const sweeper = createSweeper(
    { ...deps, reconcilers },
    { everyMs: options.sweepEveryMs, temporaryThreadTtlMs: options.eventLogTtlMs },
  );
  const { start, stop } = createLifecycle<[{ readonly drainMs: number }]>({
    async start() {
      await sweeper.reconcile();
      await worker.start();
      sweeper.start();
    },
    async stop({ drainMs }) {
      await settledWithin(deps.clock, SWEEP_END_MS, sweeper.stop());
      await worker.stop({ drainMs });
    },
  });
  return { launcher: worker.launcher, start, stop };
}
