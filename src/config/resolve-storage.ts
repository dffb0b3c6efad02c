import { schemeOf } from "../core/driver.js";
import type { EnvSettings, Environment } from "./env.js";
import type { AppOptions } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { ResolvedCheckpointer, ResolvedConfig, SettingOrigin, StorageLocation } from "./resolved-config.js";
import { isEphemeralUri, splitBrainProblem } from "./split-brain.js";

/** Where checkpoints go: a URI, a saver, or where `storage` points. */
export function resolveCheckpointer(
  given: AppOptions["checkpointer"],
  cwd: string,
  problems: ConfigProblem[],
): ResolvedCheckpointer {
  if (given === undefined) return { kind: "storage" };
  if (typeof given !== "string") return { kind: "instance", saver: given };
  return { kind: "uri", ...storageLocation({ uri: given, cwd, field: "checkpointer", problems }) };
}

/** A URI with the folder that relative paths in it mean. */
export function storageLocation(params: {
  readonly uri: string;
  readonly cwd: string;
  readonly field: string;
  readonly problems: ConfigProblem[];
}): StorageLocation {
  const { uri, cwd, field, problems } = params;
  const scheme = schemeOf(uri);
  // One letter and a colon is a drive of Windows.
  if (scheme === null || scheme.length === 1) {
    const message = "must be a URI: postgres://…, mongodb://…, sqlite:./data.db with the path of a file, or memory:.";
    problems.push({ code: "CONFIG_INVALID", field, message });
  }
  if (field !== "checkpointer" && (scheme === "redis" || scheme === "rediss")) {
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

/** What the user calls the storage: option, flag or variable. */
export function storageField(origin: SettingOrigin | undefined, env: EnvSettings): string {
  if (origin === "flag") return "--storage";
  return origin === "environment" ? (env.storageVariable ?? "storage") : "storage";
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
