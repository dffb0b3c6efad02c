import { DEFAULT_MAX_ATTEMPTS } from "../core/run-lifecycle.js";
import type { AppOptions, CliFlags } from "./options.js";
import type { ResolvedStreaming, ResolvedWorker } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";

/** How this process executes runs; defaults as `WorkerOptions` documents them. */
export function resolveWorker(pick: SettingPicker["pick"], options: AppOptions, flags?: CliFlags): ResolvedWorker {
  const { worker } = options;
  return {
    concurrency: pick("worker.concurrency", { option: worker?.concurrency, flag: flags?.workers, default: 10 }),
    leaseMs: pick("worker.leaseMs", { option: worker?.leaseMs, default: 15_000 }),
    drainMs: pick("worker.drainMs", { option: worker?.drainMs, default: 10_000 }),
    maxAttempts: pick("worker.maxAttempts", { option: worker?.maxAttempts, default: DEFAULT_MAX_ATTEMPTS }),
    pollMs: pick("worker.pollMs", { option: worker?.pollMs, default: 1_000 }),
  };
}

/** Event logs and streams; defaults as `StreamingOptions` documents them. */
export function resolveStreaming(pick: SettingPicker["pick"], options: AppOptions): ResolvedStreaming {
  const { streaming } = options;
  return {
    eventLogTtlMs: pick("streaming.eventLogTtlMs", { option: streaming?.eventLogTtlMs, default: 120_000 }),
    unreadTtlMs: pick("streaming.unreadTtlMs", { option: streaming?.unreadTtlMs, default: 10_000 }),
    maxBytes: pick("streaming.maxBytes", { option: streaming?.maxBytes, default: 64 * 2 ** 20 }),
    heartbeatMs: pick("streaming.heartbeatMs", { option: streaming?.heartbeatMs, default: 5_000 }),
  };
}
