import { resolve } from "node:path";
import { type EnvSettings, processEnvironment, readEnv } from "./env.js";
import { type ManifestFile, parseManifest } from "./langgraph-json.js";
import { checkOptions } from "./options-schema.js";
import type { AppOptions, CliFlags, Role } from "./options.js";
import { type ConfigProblem, configError } from "./problem.js";
import { resolveAuth } from "./resolve-auth.js";
import { resolveEncryption } from "./resolve-encryption.js";
import { resolveHttp } from "./resolve-http.js";
import { limitsOfManifest, resolveAudit, resolveLimits } from "./resolve-limits.js";
import { checkNodeVersion, findManifest, readManifestEnv, resolveGraphs, resolveUi } from "./resolve-manifest.js";
import { checkRole, resolveDatabase, resolveRedis } from "./resolve-database.js";
import {
  checkpointerDir,
  checkpointerField,
  guardSplitBrain,
  resolveCheckpointer,
  storageDir,
  storageField,
  storageLocation,
} from "./resolve-storage.js";
import { resolveThreads } from "./resolve-threads.js";
import { resolveProtocols } from "./resolve-protocols.js";
import { resolveStore } from "./resolve-store.js";
import { resolveCrons } from "./resolve-crons.js";
import { resolveWebhooks } from "./resolve-webhooks.js";
import { resolveStreaming, resolveWorker } from "./resolve-worker.js";
import type { ResolvedConfig } from "./resolved-config.js";
import { createSettingPicker } from "./setting-picker.js";

/** Beside `langgraph.json`, or in the working folder. */
const DEFAULT_STORAGE = "sqlite:.heddle/heddle.db";

export interface ConfigSources {
  /** Of `createApp`. */
  readonly options?: AppOptions;
  /** Of the CLI; their presence makes `langgraph.json` in the working folder the default manifest. */
  readonly flags?: CliFlags;
}

/**
 * Decide every setting: option > flag > environment > `langgraph.json` > default (design §3). Reads files and opens nothing.
 * @throws HeddleError `CONFIG_INVALID`, or `UNSUPPORTED_OPTION` when all that is wrong is not supported yet; its message
 * names every wrong field, `problemsOf` gives them one by one
 */
export async function resolveConfig(sources: ConfigSources): Promise<ResolvedConfig> {
  const { options = {}, flags } = sources;
  const problems: ConfigProblem[] = [...checkOptions(options)];
  if (problems.length > 0) throw configError(problems);
  const warnings: string[] = [];
  const cwd = resolve(options.cwd ?? ".");
  const processEnv = options.env ?? processEnvironment();
  const file = findManifest({ options, flags, cwd, processEnv, problems });
  const rootDir = file?.dir ?? cwd;

  // `env` of the manifest is part of the environment, whose sections may replace others of the manifest.
  const first = parseManifest({ file, sections: {}, problems: [], warnings: [] });
  const manifestEnv = await readManifestEnv(first.env, rootDir, warnings);
  const graphEnv = Object.fromEntries(
    Object.entries(manifestEnv.values).filter(([name]) => processEnv[name] === undefined),
  );
  const env = readEnv({ ...processEnv, ...graphEnv }, problems);
  const manifest = parseManifest({ file, sections: env.sections, problems, warnings });
  checkNodeVersion(manifest, process.versions.node, warnings);

  const { pick, origins } = createSettingPicker();
  const ofManifest = limitsOfManifest(manifest.limits);
  const storageUri = pick("storage", {
    option: options.storage,
    flag: flags?.storage,
    environment: env.storage,
    default: DEFAULT_STORAGE,
  });
  const storage = storageLocation({
    uri: storageUri,
    cwd: storageDir({ origin: origins["storage"], env, processEnv, cwd, rootDir }),
    field: storageField(origins["storage"], env),
    problems,
  });
  const given = pick("checkpointer", {
    option: options.checkpointer,
    flag: flags?.checkpointer,
    environment: env.checkpointer,
    default: undefined,
  });
  const checkpointer = resolveCheckpointer({
    given,
    cwd: checkpointerDir({ origin: origins["checkpointer"], processEnv, cwd, rootDir }),
    field: checkpointerField(origins["checkpointer"]),
    problems,
  });
  const role = pick<Role>("role", { option: options.role, flag: flags?.role, environment: env.role, default: "all" });
  const redis = resolveRedis({ pick, options, env, storage, problems, warnings });
  checkRole({ role, storage, problems, warnings });
  const resolved: ResolvedConfig = {
    rootDir,
    manifestPath: file?.path ?? null,
    envFilePath: manifestEnv.path,
    graphEnv,
    graphs: resolveGraphs(options, manifest),
    graphsDir: options.graphs === undefined ? rootDir : cwd,
    schemaTimeoutMs: pick("schemaTimeoutMs", { environment: env.schemaTimeoutMs, default: 30_000 }),
    systemAssistants: env.systemAssistants,
    storage,
    checkpointer,
    redis,
    encryption: resolveEncryption({ pick, options, env, manifest, cwd, rootDir, problems }),
    database: resolveDatabase({ pick, options, env, manifest, storage, problems, warnings }),
    role,
    allowEphemeral: pick("allowEphemeral", { option: options.allowEphemeral, default: false }),
    worker: resolveWorker({ pick, options, env, flags, role, problems, warnings, ofManifest }),
    auth: resolveAuth({ pick, options, manifest, cwd, rootDir, warnings }),
    http: resolveHttp({ pick, options, env, manifest, cwd, rootDir, warnings }),
    webhooks: resolveWebhooks({ pick, options, env, manifest, environment: { ...graphEnv, ...processEnv }, problems }),
    protocols: resolveProtocols({ pick, options, flags, manifest, problems }),
    limits: resolveLimits({ pick, options, manifest, problems }),
    crons: resolveCrons({ pick, options, manifest }),
    threads: resolveThreads(pick, options, manifest),
    store: resolveStore({ pick, options, manifest, cwd, rootDir }),
    audit: resolveAudit({ pick, options, env, manifest, cwd, rootDir }),
    streaming: resolveStreaming(pick, options, ofManifest),
    ui: resolveUi({ pick, options, manifest, cwd, rootDir }),
    listen: {
      host: pick("host", { flag: flags?.host, environment: env.host, default: "127.0.0.1" }),
      port: pick("port", { flag: flags?.port, environment: env.port, default: 2024 }),
    },
    logging: {
      level: pick("logLevel", {
        option: options.logLevel,
        flag: flags?.logLevel,
        environment: env.logLevel,
        default: "info",
      }),
      format: env.logJson === undefined ? "auto" : env.logJson ? "json" : "line",
      logger: options.logger ?? null,
    },
    langsmith: env.langsmith,
    apiUrl: env.apiUrl ?? null,
    warnings,
    origins,
  };
  judgeWhole(resolved, { file, env, problems, warnings });
  if (problems.length > 0) throw configError(problems);
  return freeze(resolved);
}

/** What only shows when everything is decided. */
function judgeWhole(
  resolved: ResolvedConfig,
  found: {
    readonly file: ManifestFile | null;
    readonly env: EnvSettings;
    readonly problems: ConfigProblem[];
    readonly warnings: string[];
  },
): void {
  const { file, env, problems, warnings } = found;
  if (Object.keys(resolved.graphs).length === 0 && problems.length === 0) {
    const message = "no graph is named. Pass createApp({ graphs: { agent } }), or name them in langgraph.json";
    problems.push({
      code: "CONFIG_INVALID",
      field: "graphs",
      message,
      ...(file !== null && { file: file.path, line: 1 }),
    });
  }
  for (const graphId of Object.keys(env.systemAssistants)) {
    if (!Object.hasOwn(resolved.graphs, graphId)) warnings.push(`LANGGRAPH_CONFIG: there is no graph "${graphId}"`);
  }
  const splitBrain = guardSplitBrain(resolved);
  if (splitBrain !== null) problems.push(splitBrain);
}

/** Freeze what is ours: not graphs, savers and loggers, and not what users own. */
function freeze(config: ResolvedConfig): ResolvedConfig {
  const { worker, http, streaming, listen, logging, langsmith, warnings, origins, storage, checkpointer } = config;
  const parts = [
    worker,
    http,
    http.disabled,
    http.app,
    config.limits,
    config.webhooks,
    config.webhooks.url,
    config.webhooks.headers,
    config.webhooks.secrets,
    config.store,
    config.threads,
    config.threads.ttl,
    config.store.index,
    config.store.index?.fields,
    config.store.ttl,
    config.audit,
    streaming,
    listen,
    logging,
    langsmith,
    warnings,
    origins,
    storage,
    config.database,
    config.ui,
    config.ui.files,
    config.ui.shared,
    config.protocols,
    ...config.protocols,
  ];
  const cors: readonly unknown[] = http.cors === null ? [] : [http.cors, ...Object.values<unknown>({ ...http.cors })];
  const graphs = [config.graphs, config.graphEnv, ...Object.values(config.graphs)];
  for (const part of [...parts, checkpointer, ...graphs, ...cors]) Object.freeze(part);
  return Object.freeze(config);
}
