import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Environment } from "./env.js";
import { MANIFEST_NAME, type ManifestFile, readManifest } from "./langgraph-json.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions, CliFlags } from "./options.js";
import { type ConfigProblem, configError } from "./problem.js";
import type { ResolvedGraph, ResolvedUi } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";

/**
 * The `langgraph.json` in force: named by option or flag, else for the CLI the one in the working folder; `null` when the
 * graphs come from elsewhere.
 * @throws HeddleError `CONFIG_INVALID` when it can't be read: nothing else can be judged without it
 */
export function findManifest(params: {
  readonly options: AppOptions;
  readonly flags: CliFlags | undefined;
  readonly cwd: string;
  readonly processEnv: Environment;
  readonly problems: readonly ConfigProblem[];
}): ManifestFile | null {
  const { options, flags, cwd, processEnv, problems } = params;
  let path = options.config ?? flags?.config;
  if (path === undefined) {
    if (flags === undefined) return null;
    if (!existsSync(join(cwd, MANIFEST_NAME)) && (processEnv["LANGSERVE_GRAPHS"] ?? "") !== "") return null;
    path = MANIFEST_NAME;
  }
  const manifest = readManifest(path, cwd);
  if (!("code" in manifest)) return manifest;
  throw configError([...problems, manifest]);
}

/** Variables that `env` of the manifest holds, or those of the dotenv file that it names; a missing file is a warning. */
export async function readManifestEnv(
  env: Manifest["env"],
  rootDir: string,
  warnings: string[],
): Promise<{ readonly path: string | null; readonly values: Readonly<Record<string, string>> }> {
  if (env === undefined) return { path: null, values: {} };
  if (typeof env !== "string") return { path: null, values: env };
  const path = resolve(rootDir, env);
  try {
    const text = readFileSync(path, "utf8");
    const { parse } = await import("dotenv");
    return { path, values: parse(text) };
  } catch {
    warnings.push(`env: ${path} can't be read; the variables it should hold are not set`);
    return { path, values: {} };
  }
}

/** A warning when `node_version` asks for another major version than the running one. */
export function checkNodeVersion(manifest: Manifest, running: string, warnings: string[]): void {
  const wanted = manifest.node_version?.split(".")[0];
  if (wanted !== undefined && wanted !== running.split(".")[0]) {
    warnings.push(`node_version: langgraph.json asks for Node ${manifest.node_version}, this is Node ${running}`);
  }
}

/** Graphs of the options, which replace those of the manifest. */
export function resolveGraphs(options: AppOptions, manifest: Manifest): Readonly<Record<string, ResolvedGraph>> {
  const entries: [string, ResolvedGraph][] =
    options.graphs === undefined
      ? Object.entries(manifest.graphs ?? {}).map(([graphId, graph]) => {
          const { path, description } = typeof graph === "string" ? { path: graph, description: null } : graph;
          return [graphId, { kind: "file", path, description: description ?? null }];
        })
      : Object.entries(options.graphs).map(([graphId, graph]) => [
          graphId,
          typeof graph === "string"
            ? { kind: "file", path: graph, description: null }
            : { kind: "value", value: graph, description: null },
        ]);
  return Object.fromEntries(entries);
}

/** Components of the options, which replace those of the manifest. */
export function resolveUi(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly manifest: Manifest;
  readonly cwd: string;
  readonly rootDir: string;
}): ResolvedUi {
  const { pick, options, manifest, cwd, rootDir } = params;
  return {
    files: { ...pick("ui", { option: options.ui, "langgraph.json": manifest.ui, default: {} }) },
    dir: options.ui === undefined ? rootDir : cwd,
    shared: [
      ...pick("uiConfig.shared", {
        option: options.uiConfig?.shared,
        "langgraph.json": manifest.ui_config?.shared,
        default: [],
      }),
    ],
  };
}
