import { DEFAULT_MAX_ATTEMPTS } from "../core/run-lifecycle.js";
import type { EnvSettings } from "./env.js";
import type { LimitsOptions } from "./limits-options.js";
import type { AppOptions, CliFlags, Role } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { ResolvedStreaming, ResolvedWorker } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";

/** How this process executes runs; defaults as `WorkerOptions` documents them. With role `api` it has no slot. */
export function resolveWorker(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly env: EnvSettings;
  readonly flags: CliFlags | undefined;
  readonly role: Role;
  readonly problems: ConfigProblem[];
  readonly warnings: string[];
  /** The limits of `langgraph.json`. */
  readonly ofManifest: LimitsOptions;
}): ResolvedWorker {
  const { pick, env, flags, role } = params;
  const { worker } = params.options;
  const slots = { option: worker?.concurrency, flag: flags?.workers };
  const concurrency = pick("worker.concurrency", { ...slots, default: role === "api" ? 0 : 10 });
  if (role === "api" && concurrency > 0) {
    params.warnings.push(
      `worker.concurrency: ${concurrency} has no effect, for a process of role api executes nothing`,
    );
  }
  if (role === "worker" && concurrency === 0) {
    const message = "must be at least 1 in a process of role worker, which does nothing but execute runs.";
    params.problems.push({ code: "CONFIG_INVALID", field: "worker.concurrency", message });
  }
  return {
    concurrency: role === "api" ? 0 : concurrency,
    leaseMs: pick("worker.leaseMs", { option: worker?.leaseMs, default: 15_000 }),
    drainMs: pick("worker.drainMs", { option: worker?.drainMs, default: 10_000 }),
    maxAttempts: pick("worker.maxAttempts", { option: worker?.maxAttempts, default: DEFAULT_MAX_ATTEMPTS }),
    pollMs: pick("worker.pollMs", { option: worker?.pollMs, default: 1_000 }),
    runTimeoutMs: pick<number | null>("worker.runTimeoutMs", {
      option: worker?.runTimeoutMs ?? params.options.limits?.runTimeoutMs,
      environment: env.runTimeoutMs,
      "langgraph.json": params.ofManifest.runTimeoutMs,
      default: null,
    }),
    maxBlockedMs: pick("worker.maxBlockedMs", { option: worker?.maxBlockedMs, default: 60_000 }),
  };
}

/** Event logs and streams; defaults as `StreamingOptions` documents them. */
export function resolveStreaming(
  pick: SettingPicker["pick"],
  options: AppOptions,
  ofManifest: LimitsOptions,
): ResolvedStreaming {
  const { streaming } = options;
  return {
    eventLogTtlMs: pick("streaming.eventLogTtlMs", { option: streaming?.eventLogTtlMs, default: 120_000 }),
    unreadTtlMs: pick("streaming.unreadTtlMs", { option: streaming?.unreadTtlMs, default: 10_000 }),
    maxBytes: pick("streaming.maxBytes", {
      option: streaming?.maxBytes ?? options.limits?.maxEventLogBytes,
      "langgraph.json": ofManifest.maxEventLogBytes,
      default: 64 * 2 ** 20,
    }),
    heartbeatMs: pick("streaming.heartbeatMs", { option: streaming?.heartbeatMs, default: 5_000 }),
  };
}
