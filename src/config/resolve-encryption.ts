import { resolve } from "node:path";
import type { EnvSettings } from "./env.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { CipherSettings, EncryptionKeysFrom } from "../core/cipher.js";
import type { SettingPicker } from "./setting-picker.js";

/** Keys of the options, which replace those of the environment, which replace the module of the manifest; `null` without any. */
export function resolveEncryption(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly env: EnvSettings;
  readonly manifest: Manifest;
  readonly cwd: string;
  readonly rootDir: string;
  readonly problems: ConfigProblem[];
}): CipherSettings | null {
  const { pick, options, env, manifest, cwd, rootDir, problems } = params;
  const { encryption } = options;
  const path = manifest.encryption?.path;
  if (encryption !== undefined && (encryption.keys === undefined) === (encryption.keyFile === undefined)) {
    const message = "needs either keys or keyFile.";
    problems.push({ code: "CONFIG_INVALID", field: "encryption", message });
  }
  if (env.encryption.keys !== undefined && env.encryption.keyFile !== undefined) {
    const message = "is set beside HEDDLE_ENCRYPTION_KEY: set one of both.";
    problems.push({ code: "CONFIG_INVALID", field: "HEDDLE_ENCRYPTION_KEY_FILE", message });
  }
  const from = pick<EncryptionKeysFrom | null>("encryption", {
    option: encryption && ofOptions(encryption, cwd),
    environment: ofEnvironment(env, rootDir),
    "langgraph.json": path === undefined ? undefined : { kind: "module", path, cwd: rootDir },
    default: null,
  });
  const strict = pick("encryption.strict", {
    option: encryption?.strict,
    environment: env.encryption.strict,
    default: false,
  });
  if (from === null) return null;
  return { from, strict, clearItemFields: [...(encryption?.clearItemFields ?? env.encryption.clearItemFields ?? [])] };
}

function ofOptions({ keys, keyFile }: NonNullable<AppOptions["encryption"]>, cwd: string): EncryptionKeysFrom {
  if (typeof keys === "function") return { kind: "function", load: keys };
  if (keys !== undefined) {
    return { kind: "text", text: typeof keys === "string" ? keys : keys.join("\n"), name: "encryption.keys" };
  }
  return { kind: "file", path: resolve(cwd, keyFile ?? ""), name: "encryption.keyFile" };
}

function ofEnvironment({ encryption }: EnvSettings, rootDir: string): EncryptionKeysFrom | undefined {
  const { keys, keyFile } = encryption;
  if (keys !== undefined) return { kind: "text", text: keys, name: "HEDDLE_ENCRYPTION_KEY" };
  if (keyFile === undefined) return undefined;
  return { kind: "file", path: resolve(rootDir, keyFile), name: "HEDDLE_ENCRYPTION_KEY_FILE" };
}
