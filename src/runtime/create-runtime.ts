import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { Engine } from "../core/engine.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RunLauncher } from "../core/run-launcher.js";
import { executeRun } from "./execute-run.js";
import { createLifecycle } from "./lifecycle.js";
import { reconcileLogs } from "./reconcile-logs.js";
import { createSweeper } from "./sweeper.js";
import type { WorkerOptions } from "./worker.js";
import { createWorker } from "./worker.js";

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
  },
  options: WorkerOptions & { readonly sweepEveryMs: number; readonly eventLogTtlMs: number },
): Runtime {
  const worker = createWorker({ ...deps, execute: (claimed, signal) => executeRun(deps, claimed, signal) }, options);
  const sweeper = createSweeper(deps, {
    everyMs: options.sweepEveryMs,
    temporaryThreadTtlMs: options.eventLogTtlMs,
  });
  const { start, stop } = createLifecycle<[{ readonly drainMs: number }]>({
    async start() {
      await reconcileLogs(deps.store, deps.eventLog);
      await worker.start();
      sweeper.start();
    },
    async stop({ drainMs }) {
      await sweeper.stop();
      await worker.stop({ drainMs });
    },
  });
  return { launcher: worker.launcher, start, stop };
}
