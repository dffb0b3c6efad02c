import { resolve } from "node:path";
import type { EnvSettings } from "./env.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AuditOptions, LimitsOptions, RequestRate } from "./limits-options.js";
import type { AppOptions } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { ResolvedAudit, ResolvedLimits } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";

/** What is only a limit, with its default; the others stand where they have always been. */
const DEFAULTS = {
  maxJsonDepth: 500,
  maxUrlBytes: 8_192,
  maxHeaderBytes: null,
  maxNameChars: 1_024,
  maxMetadataChars: 2 ** 20,
  streamsPerCaller: null,
  queuedRunsPerCaller: null,
  queuedRunsPerThread: null,
  headersTimeoutMs: 30_000,
  requestTimeoutMs: 300_000,
  stalledMs: 120_000,
  reauthenticateMs: 30_000,
} as const satisfies { readonly [Name in keyof LimitsOptions]?: number | null };

/** `limits` of `langgraph.json`, or of the variable that replaces it, in the words of `createApp`. */
export function limitsOfManifest(section: Manifest["limits"]): LimitsOptions {
  if (section === undefined) return {};
  const { requests_per_caller: rate, ...others } = section;
  const camelCase = (name: string): string =>
    name.replaceAll(/_([a-z])/g, (__, letter: string) => letter.toUpperCase());
  const limits = Object.fromEntries(Object.entries(others).map(([name, value]) => [camelCase(name), value]));
  if (rate === undefined) return limits;
  const { per_second: perSecond, burst } = rate;
  return { ...limits, requestsPerCaller: { perSecond, ...(burst !== undefined && { burst }) } };
}

/** Everything of `limits` that has no other name. */
export function resolveLimits(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly manifest: Manifest;
  readonly problems: ConfigProblem[];
}): ResolvedLimits {
  const { pick, options, manifest, problems } = params;
  const ofManifest = limitsOfManifest(manifest.limits);
  refuseContradictions(options, problems);
  const entries = Object.entries(DEFAULTS).map(([key, fallback]) => {
    const name = key as keyof typeof DEFAULTS;
    const sources = { option: options.limits?.[name], "langgraph.json": ofManifest[name] };
    return [name, pick<number | null>(`limits.${name}`, { ...sources, default: fallback })];
  });
  const rate = pick<RequestRate | null>("limits.requestsPerCaller", {
    option: options.limits?.requestsPerCaller,
    "langgraph.json": ofManifest.requestsPerCaller,
    default: null,
  });
  const { headersTimeoutMs, requestTimeoutMs, ...limits } = Object.fromEntries(entries) as Omit<
    ResolvedLimits,
    "requestsPerCaller"
  >;
  return {
    ...limits,
    // Node refuses a request that may take less time than its headers.
    headersTimeoutMs: Math.min(headersTimeoutMs, requestTimeoutMs),
    requestTimeoutMs,
    requestsPerCaller:
      rate === null ? null : { perSecond: rate.perSecond, burst: rate.burst ?? Math.max(1, Math.ceil(rate.perSecond)) },
  };
}

/** Limits that have another name as well. */
function refuseContradictions({ limits, http, worker, streaming }: AppOptions, problems: ConfigProblem[]): void {
  const twice = [
    ["maxBodyBytes", limits?.maxBodyBytes, "http.maxBodyBytes", http?.maxBodyBytes],
    ["runTimeoutMs", limits?.runTimeoutMs, "worker.runTimeoutMs", worker?.runTimeoutMs],
    ["maxEventLogBytes", limits?.maxEventLogBytes, "streaming.maxBytes", streaming?.maxBytes],
  ] as const;
  for (const [name, limit, other, value] of twice) {
    if (limit === undefined || value === undefined || limit === value) continue;
    const message = `says ${limit} and ${other}, which is the same, says ${value}. Leave one of them out.`;
    problems.push({ code: "CONFIG_INVALID", field: `limits.${name}`, message });
  }
}

/** Where audit entries go; `null`: nowhere. */
export function resolveAudit(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly env: EnvSettings;
  readonly manifest: Manifest;
  readonly cwd: string;
  readonly rootDir: string;
}): ResolvedAudit | null {
  const { options, env, manifest, cwd, rootDir } = params;
  const { audit } = options;
  const chosen = params.pick<AuditOptions | null>("audit", {
    option: typeof audit === "function" ? { write: audit } : audit,
    environment: env.auditFile === undefined ? undefined : { file: env.auditFile },
    "langgraph.json": auditOfManifest(manifest.audit),
    default: null,
  });
  if (chosen === null) return null;
  const { file, write, required = manifest.audit?.required ?? false } = chosen;
  if (write !== undefined) return { kind: "function", write, required };
  const isManifests = options.audit === undefined && env.auditFile === undefined;
  return { kind: "file", path: resolve(isManifests ? rootDir : cwd, file ?? ""), required };
}

function auditOfManifest(section: Manifest["audit"]): AuditOptions | undefined {
  if (section === undefined) return undefined;
  const { file, required } = section;
  return { file, ...(required !== undefined && { required }) };
}
