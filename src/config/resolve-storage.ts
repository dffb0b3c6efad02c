import { schemeOf } from "../core/driver.js";
import { CHECKPOINTER_VARIABLE, type EnvSettings, type Environment } from "./env.js";
import type { AppOptions } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { ResolvedCheckpointer, ResolvedConfig, SettingOrigin, StorageLocation } from "./resolved-config.js";
import { isEphemeralUri, splitBrainProblem } from "./split-brain.js";

/** Where checkpoints go: a URI, a saver, or where `storage` points. */
export function resolveCheckpointer(params: {
  readonly given: AppOptions["checkpointer"];
  readonly cwd: string;
  readonly field: string;
  readonly problems: ConfigProblem[];
}): ResolvedCheckpointer {
  const { given: uri, ...rest } = params;
  if (uri === undefined) return { kind: "storage" };
  if (typeof uri !== "string") return { kind: "instance", saver: uri };
  return { kind: "uri", ...storageLocation({ uri, mayForget: true, ...rest }) };
}

/** A URI with the folder that relative paths in it mean. */
export function storageLocation(params: {
  readonly uri: string;
  readonly cwd: string;
  readonly field: string;
  readonly problems: ConfigProblem[];
  /** Redis will do. Default false. */
  readonly mayForget?: boolean;
}): StorageLocation {
  const { uri, cwd, field, problems, mayForget = false } = params;
  const scheme = schemeOf(uri);
  // One letter and a colon is a drive of Windows.
  if (scheme === null || scheme.length === 1) {
    const message = "must be a URI: postgres://…, mongodb://…, sqlite:./data.db with the path of a file, or memory:.";
    problems.push({ code: "CONFIG_INVALID", field, message });
  }
  if (!mayForget && (scheme === "redis" || scheme === "rediss")) {
    const message =
      "Redis can't be the storage, because it may forget. Give it as `redis` (REDIS_URI) beside a storage in postgres: or mongodb:, or as `checkpointer`.";
    problems.push({ code: "CONFIG_INVALID", field, message });
  }
  return { uri, scheme: scheme ?? "", cwd };
}

/** A relative path means the folder of whoever wrote it: the manifest's for its `env` file and for the default. */
export function storageDir(params: {
  readonly origin: SettingOrigin | undefined;
  readonly env: EnvSettings;
  readonly processEnv: Environment;
  readonly cwd: string;
  readonly rootDir: string;
}): string {
  const { origin, env, processEnv, cwd, rootDir } = params;
  if (origin === "default") return rootDir;
  if (origin !== "environment" || env.storageVariable === undefined) return cwd;
  return processEnv[env.storageVariable] === undefined ? rootDir : cwd;
}

/** The same for the checkpointer, which has no default of its own. */
export function checkpointerDir(params: {
  readonly origin: SettingOrigin | undefined;
  readonly processEnv: Environment;
  readonly cwd: string;
  readonly rootDir: string;
}): string {
  const { origin, processEnv, cwd, rootDir } = params;
  return origin === "environment" && processEnv[CHECKPOINTER_VARIABLE] === undefined ? rootDir : cwd;
}

/** What the user calls the storage: option, flag or variable. */
export function storageField(origin: SettingOrigin | undefined, env: EnvSettings): string {
  if (origin === "flag") return "--storage";
  return origin === "environment" ? (env.storageVariable ?? "storage") : "storage";
}

/** What the user calls the checkpointer. */
export function checkpointerField(origin: SettingOrigin | undefined): string {
  if (origin === "flag") return "--checkpointer";
  return origin === "environment" ? CHECKPOINTER_VARIABLE : "checkpointer";
}

/** By URI alone; the composition root asks again once the drivers are open. */
export function guardSplitBrain(config: ResolvedConfig): ConfigProblem | null {
  const { checkpointer } = config;
  if (checkpointer.kind !== "uri") return null;
  return splitBrainProblem({
    storageDurable: !isEphemeralUri(config.storage.uri),
    checkpointerDurable: !isEphemeralUri(checkpointer.uri),
    allowEphemeral: config.allowEphemeral,
  });
}
