import type { ResolvedConfig } from "./config/resolved-config.js";
import { heddleVersion } from "./config/version.js";
import { installedLanggraphVersion } from "./engine/create-engine.js";
import { createLoggingHeaders } from "./http/header-rules.js";
import type { HttpSettings } from "./http/http-deps.js";
import type { createRuntime } from "./runtime/create-runtime.js";
import type { ExpiryOptions } from "./runtime/expiry.js";
import { mayBeAlive } from "./runtime/worker-identity.js";
import type { TickPolicy } from "./services/cron-ticks.js";
import type { ServerInfo } from "./wire/system.js";

/** How often expired event logs and leftovers of stateless runs are removed. */
const SWEEP_EVERY_MS = 5_000;

/** A tick of a minute ago has been missed: a process that restarts takes less. */
const MISSED_AFTER_MS = 60_000;

export function tickPolicy({ crons }: ResolvedConfig): TickPolicy {
  return { missed: crons.missedTicks, maxMissed: crons.maxMissedTicks, missedAfterMs: MISSED_AFTER_MS };
}

/** Whoever listens to a record wants to know soon that it has expired; else only keys of idempotency do. */
const RECORD_SWEEP_EVERY_MS = { withProtocols: 1_000, without: 60_000 } as const;

/** @param except spaces of records whose expiry protocols look after themselves */
export function expiryOptions(
  { threads, store, protocols }: ResolvedConfig,
  workerId: string,
  except: readonly string[],
): ExpiryOptions {
  const { withProtocols, without } = RECORD_SWEEP_EVERY_MS;
  return {
    records: { everyMs: protocols.length > 0 ? withProtocols : without, except },
    workerId,
    threads: { everyMs: threads.sweepEveryMs, limit: threads.sweepLimit },
    items: { everyMs: store.ttl.sweepEveryMs },
  };
}

export function runtimeOptions(config: ResolvedConfig, workerId: string): Parameters<typeof createRuntime>[1] {
  const { eventLogTtlMs } = config.streaming;
  return { ...config.worker, workerId, mayBeAlive, sweepEveryMs: SWEEP_EVERY_MS, eventLogTtlMs };
}

export function httpSettings(config: ResolvedConfig): Omit<HttpSettings, "webhooks"> {
  return {
    ...config.http,
    ...config.limits,
    loggingHeaders: createLoggingHeaders(config.http.loggingHeaders),
    heartbeatMs: config.streaming.heartbeatMs,
    langsmith: config.langsmith.hasApiKey,
  };
}

export function serverInfo(config: ResolvedConfig): ServerInfo {
  return {
    version: heddleVersion(),
    langgraphVersion: installedLanggraphVersion(),
    flags: {
      assistants: !config.http.disabled.assistants,
      crons: !config.http.disabled.runs,
      langsmith: config.langsmith.tracing,
    },
  };
}
