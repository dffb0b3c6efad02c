import { ttlMsOf } from "../core/indexed-items.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions } from "./options.js";
import type { ResolvedStore, ResolvedStoreIndex } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";
import type { StoreIndexOptions } from "./store-options.js";

const MINUTE_MS = 60_000;

/** Semantic index and times to live of the long-term store; those of the options replace those of the manifest. */
export function resolveStore(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly manifest: Manifest;
  readonly cwd: string;
  readonly rootDir: string;
}): ResolvedStore {
  const { pick, options, manifest, cwd, rootDir } = params;
  const { ttl } = options.store ?? {};
  const ofManifest = manifest.store?.ttl ?? undefined;
  const minutes = pick<number | null>("store.ttl.defaultTtlMinutes", {
    option: ttl?.defaultTtlMinutes,
    "langgraph.json": ofManifest?.default_ttl,
    default: null,
  });
  const sweepMinutes = pick("store.ttl.sweepIntervalMinutes", {
    option: ttl?.sweepIntervalMinutes,
    "langgraph.json": ofManifest?.sweep_interval_minutes ?? undefined,
    default: 5,
  });
  return {
    index: pick<ResolvedStoreIndex | null>("store.index", {
      option: options.store?.index && resolveIndex(options.store.index, cwd),
      "langgraph.json": indexOfManifest(manifest, rootDir),
      default: null,
    }),
    ttl: {
      defaultTtlMs: ttlMsOf(minutes),
      refreshOnRead: pick("store.ttl.refreshOnRead", {
        option: ttl?.refreshOnRead,
        "langgraph.json": ofManifest?.refresh_on_read,
        default: true,
      }),
      sweepEveryMs: Math.round(sweepMinutes * MINUTE_MS),
    },
  };
}

function indexOfManifest(manifest: Manifest, rootDir: string): ResolvedStoreIndex | undefined {
  const section = manifest.store?.index;
  if (section === undefined || section === null) return undefined;
  const { dims, embed, fields, version, max_texts: maxTexts, concurrency, timeout_ms: timeoutMs } = section;
  const given = { fields: fields ?? undefined, version, maxTexts, concurrency, timeoutMs };
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return resolveIndex({ dims, embed, ...present }, rootDir);
}

function resolveIndex(index: StoreIndexOptions, cwd: string): ResolvedStoreIndex {
  const { dims, embed, fields = ["$"], version = null, maxTexts = 96, concurrency = 4, timeoutMs = 30_000 } = index;
  return {
    dims,
    embed: typeof embed === "string" ? namedModel(embed, cwd) : { kind: "value", value: embed },
    fields: [...fields],
    version,
    maxTexts,
    concurrency,
    timeoutMs,
  };
}

/** A path has a file's ending before its export; a provider has none (`openai:text-embedding-3-small`, `ollama:a:latest`). */
function namedModel(embed: string, cwd: string): ResolvedStoreIndex["embed"] {
  if (/\.[cm]?[jt]sx?(?::[^:]*)?$/.test(embed)) return { kind: "file", path: embed, cwd };
  const [provider = "", ...model] = embed.split(":");
  return { kind: "model", provider, model: model.join(":"), cwd };
}
