import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker, type WorkerOptions } from "node:worker_threads";
import type { LeaseRenewal } from "../core/lease-renewal.js";
import type { Logger } from "../core/logger.js";
import type { RunLease } from "../core/run.js";
import type { LeaseThreadData } from "./lease-thread-entry.js";
import type { LeaseThreadNotice, LeaseThreadOrder } from "./serve-leases.js";

/** Keeps leases alive beside the main loop (design §7.11). Its failures cost nothing but this: heartbeats go on. */
export interface LeaseThread {
  /** Renew it from now on. The first one starts the thread. */
  hold(lease: RunLease): void;
  /** The run has ended here. */
  drop(lease: RunLease): void;
  /** Resolves when leases are renewed by the thread; rejects when it died before. For tests. */
  ready(): Promise<void>;
  /** Ends the thread, within about a second. Idempotent. */
  stop(): Promise<void>;
}

/** A thread that died is started again by the first lease after this long. */
const RESTART_AFTER_MS = 10_000;
const STOP_WITHIN_MS = 1_000;
const MAX_TICK_MS = 1_000;

/** For storages without {@link LeaseRenewal}: only the main thread's heartbeat renews. */
export const NO_LEASE_THREAD: LeaseThread = {
  hold: () => undefined,
  drop: () => undefined,
  ready: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};

/**
 * A lease thread, not yet started.
 * @param params.maxBlockedMs it stops renewing when the main loop has not turned for this long
 */
export async function createLeaseThread(params: {
  readonly renewal: LeaseRenewal;
  readonly leaseMs: number;
  readonly maxBlockedMs: number;
  readonly logger: Logger;
}): Promise<LeaseThread> {
  const { renewal, leaseMs, maxBlockedMs, logger } = params;
  const source = await threadSource(renewal);
  const turns = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const turnCount = new Int32Array(turns);
  const leases = new Set<RunLease>();
  let changed: { held: RunLease[]; ended: RunLease[] } | null = null;
  let thread: Worker | null = null;
  let ready = newReady();
  let diedAt = Number.NEGATIVE_INFINITY;
  let ticking: NodeJS.Timeout | undefined;
  let stopped = false;

  const post = (order: LeaseThreadOrder): void => thread?.postMessage(order);

  /** One message for what happens in one turn. A graph that blocks begins in a later one. */
  const change = (): { held: RunLease[]; ended: RunLease[] } => {
    if (changed === null) {
      changed = { held: [], ended: [] };
      queueMicrotask(() => {
        if (changed !== null) post({ kind: "change", ...changed });
        changed = null;
      });
    }
    return changed;
  };

  const died = (error: unknown): void => {
    thread = null;
    clearInterval(ticking);
    diedAt = performance.now();
    ready.reject(error instanceof Error ? error : new Error("the thread has ended"));
    logger.error({ err: error }, "the thread that renews leases died; only the main loop's heartbeat renews them now");
  };

  const start = (): void => {
    const data: LeaseThreadData = { moduleUrl: renewal.moduleUrl, data: renewal.data, leaseMs, maxBlockedMs, turns };
    let started: Worker;
    try {
      started = openThread(source, data);
    } catch (error) {
      died(error);
      return;
    }
    thread = started;
    ready = newReady();
    started.on("message", (notice: LeaseThreadNotice) => {
      if (notice.kind === "ready") ready.resolve();
      else report(notice, logger);
    });
    started.on("error", (error) => {
      if (thread === started) died(error);
    });
    started.on("exit", () => {
      if (thread === started) died(new Error("the thread has ended"));
    });
    ticking = setInterval(() => Atomics.add(turnCount, 0, 1), Math.min(MAX_TICK_MS, maxBlockedMs / 4));
    ticking.unref();
    if (leases.size > 0) post({ kind: "change", held: [...leases], ended: [] });
  };

  return {
    hold(lease) {
      if (stopped) return;
      leases.add(lease);
      if (thread !== null) change().held.push(lease);
      else if (performance.now() - diedAt >= RESTART_AFTER_MS) start();
    },
    drop(lease) {
      if (leases.delete(lease) && thread !== null) change().ended.push(lease);
    },
    ready: () => ready.promise,
    async stop() {
      stopped = true;
      clearInterval(ticking);
      const ending = thread;
      thread = null;
      if (ending === null) return;
      const exited = new Promise<void>((resolve) => ending.once("exit", () => resolve()));
      ending.postMessage({ kind: "stop" } satisfies LeaseThreadOrder);
      const late = new Promise<void>((resolve) => void setTimeout(resolve, STOP_WITHIN_MS).unref());
      await Promise.race([exited, late]);
      await ending.terminate();
    },
  };
}

function newReady(): PromiseWithResolvers<void> {
  const ready = Promise.withResolvers<void>();
  // Nobody need wait for it.
  void ready.promise.catch(() => undefined);
  return ready;
}

function openThread(source: ThreadSource, data: LeaseThreadData): Worker {
  const thread = new Worker(source.entry, {
    ...source.options,
    workerData: data,
    name: "heddle-leases",
    // Flags of the process (loaders, inspectors) are not for this thread.
    execArgv: [],
    // Two messages a run: with V8's default it would fill 16 MB before it looks what of them is garbage.
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 },
  });
  thread.unref();
  return thread;
}

function report(notice: Exclude<LeaseThreadNotice, { kind: "ready" }>, logger: Logger): void {
  if (notice.kind === "failed") logger.warn({ reason: notice.message }, "the lease thread could not renew leases");
  else logger.warn({ blockedMs: notice.blockedMs }, "the main loop was blocked so long that its leases were given up");
}

interface ThreadSource {
  readonly entry: string | URL;
  readonly options: WorkerOptions;
}

/** What the thread runs. */
async function threadSource(renewal: LeaseRenewal): Promise<ThreadSource> {
  if (!import.meta.filename.endsWith(".ts")) {
    return { entry: new URL("lease-thread-entry.js", import.meta.url), options: {} };
  }
  // Run from source, as tests do: the thread has nobody to translate its imports.
  const { build } = await import("esbuild");
  const file = fileURLToPath(renewal.moduleUrl);
  const built = await build({
    stdin: {
      resolveDir: import.meta.dirname,
      contents: `
        import { parentPort, workerData } from "node:worker_threads";
        import { serveLeases } from "./serve-leases.ts";
        import { openLeaseRenewer } from ${JSON.stringify(existsSync(file) ? file : file.replace(/\.js$/, ".ts"))};
        void serveLeases(parentPort, workerData, openLeaseRenewer);`,
    },
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    packages: "external",
    logLevel: "silent",
  });
  return { entry: built.outputFiles[0]?.text ?? "", options: { eval: true } };
}
