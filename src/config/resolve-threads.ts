import { threadTtl, type TtlStrategy } from "../core/thread.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions } from "./options.js";
import type { ResolvedThreads } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";

const MINUTE_MS = 60_000;

/** How long threads live; defaults as `ThreadsOptions` documents them. */
export function resolveThreads(pick: SettingPicker["pick"], options: AppOptions, manifest: Manifest): ResolvedThreads {
  const { ttl } = options.threads ?? {};
  const ofManifest = manifest.checkpointer?.ttl ?? undefined;
  const strategy = pick<TtlStrategy>("threads.ttl.strategy", {
    option: ttl?.strategy,
    "langgraph.json": ofManifest?.strategy,
    default: "delete",
  });
  const minutes = pick<number | null>("threads.ttl.defaultTtlMinutes", {
    option: ttl?.defaultTtlMinutes,
    "langgraph.json": ofManifest?.default_ttl,
    default: null,
  });
  const sweepMinutes = pick("threads.ttl.sweepIntervalMinutes", {
    option: ttl?.sweepIntervalMinutes,
    "langgraph.json": ofManifest?.sweep_interval_minutes ?? undefined,
    default: 5,
  });
  return {
    ttl: minutes === null ? null : threadTtl(strategy, minutes),
    sweepEveryMs: Math.round(sweepMinutes * MINUTE_MS),
    sweepLimit: pick("threads.ttl.sweepLimit", {
      option: ttl?.sweepLimit,
      "langgraph.json": ofManifest?.sweep_limit ?? undefined,
      default: 1_000,
    }),
  };
}
