import { stat } from "node:fs/promises";
import path from "node:path";
import type { HeddleError } from "../../core/errors.js";
import { isHeddleError } from "../../core/errors.js";
import type { Logger } from "../../core/logger.js";
import { registryEntry, type RegistryEntry } from "./graph-registry.js";
import { graphLoadError } from "./load-error.js";
import { loadModules, messageOf, type ModuleSet, within } from "./load-modules.js";

/** A graph of `langgraph.json`: `path` is `file:export`, relative to `cwd`; the export defaults to `default`. */
export interface GraphSpec {
  readonly path: string;
  readonly description?: string | null;
}

/** A graph that is not served, or not in its newest version. */
export interface GraphFailure {
  readonly graphId: string;
  readonly error: HeddleError;
}

/** What one load of all graphs gave. */
export interface GraphVersion {
  readonly entries: ReadonlyMap<string, RegistryEntry>;
  readonly failures: readonly GraphFailure[];
  /** Local files to watch: all that took part, and those asked for. */
  readonly inputs: ReadonlySet<string>;
  readonly modules: ModuleSet;
}

/** Where a graph's export lies. */
export interface GraphLocation {
  readonly graphId: string;
  readonly path: string;
  /** Absolute. */
  readonly file: string;
  readonly exportName: string;
}

/** A file's top-level code, and a promise that it exports, may take this long. */
export const IMPORT_TIMEOUT_MS = 60_000;

/**
 * Split `"./src/agent.ts:graph"` at its first colon, a drive letter's aside (docs/wire/langgraph-api.md §5.4).
 */
export function locateGraph(graphId: string, spec: GraphSpec, cwd: string): GraphLocation {
  const [, file = spec.path, exportName = ""] = /^((?:[a-zA-Z]:(?=[\\/]))?[^:]*):?(.*)$/.exec(spec.path) ?? [];
  return { graphId, path: spec.path, file: path.resolve(cwd, file), exportName: exportName || "default" };
}

/** Build, run and prepare all graphs; a graph that fails is reported and left out. */
export async function loadGraphVersion(options: {
  readonly graphs: Readonly<Record<string, GraphSpec>>;
  readonly cwd: string;
  readonly version: number;
  readonly importTimeoutMs: number;
  readonly previous?: GraphVersion | undefined;
}): Promise<GraphVersion> {
  const { cwd, previous } = options;
  const locations = Object.entries(options.graphs).map(([graphId, spec]) => locateGraph(graphId, spec, cwd));
  const files = await existing(locations.map(({ file }) => file));
  const modules = await loadModules({
    files: [...files],
    cwd,
    outputFile: path.join(cwd, "heddle-graphs.mjs"),
    version: options.version,
    importTimeoutMs: options.importTimeoutMs,
    // The same code may fare better now if it failed before.
    previous: previous?.failures.length === 0 ? previous.modules : undefined,
  });
  const inputs = new Set([...modules.inputs, ...locations.map(({ file }) => file)]);
  const entries = new Map<string, RegistryEntry>();
  const failures: GraphFailure[] = [];
  const unchanged = modules.code !== null && modules.code === previous?.modules.code && previous.failures.length === 0;
  const reusable = unchanged ? previous.entries : null;
  for (const location of locations) {
    const description = options.graphs[location.graphId]?.description ?? null;
    try {
      const value = exportOf(location, modules, files.has(location.file));
      const entry = reusable?.get(location.graphId);
      entries.set(location.graphId, entry ?? (await prepared(location, value, description, options.importTimeoutMs)));
    } catch (error) {
      failures.push({ graphId: location.graphId, error: asLoadError(location, error, modules) });
    }
  }
  return { entries, failures, inputs, modules };
}

async function prepared(
  location: GraphLocation,
  value: unknown,
  description: string | null,
  limitMs: number,
): Promise<RegistryEntry> {
  return within(registryEntry(location.graphId, value, description), limitMs, "the promise it exports did not settle");
}

function exportOf(location: GraphLocation, modules: ModuleSet, exists: boolean): unknown {
  if (!exists) throw graphLoadError(location, { message: `the file ${location.file} does not exist` });
  const loaded = modules.modules.get(location.file);
  if (loaded === undefined) throw graphLoadError(location, { message: "it was not loaded" });
  if ("failure" in loaded) throw graphLoadError(location, loaded.failure);
  const names = Object.keys(loaded.exports);
  if (location.exportName in loaded.exports) return loaded.exports[location.exportName];
  const known =
    names.length === 0 ? "it exports nothing" : `its exports are ${names.map((name) => `"${name}"`).join(", ")}`;
  throw graphLoadError(location, { message: `the file has no export named "${location.exportName}"; ${known}` });
}

function asLoadError(location: GraphLocation, error: unknown, modules: ModuleSet): HeddleError {
  if (isHeddleError(error) && error.details?.["path"] !== undefined) return error;
  const cause = isHeddleError(error) && error.cause !== undefined ? error.cause : error;
  const message = isHeddleError(error)
    ? error.message.replace(/^Failed to load graph "[^"]*": /, "")
    : messageOf(error);
  return graphLoadError(location, { message, position: modules.locate(cause), cause });
}

async function existing(files: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const file of new Set(files)) {
    if ((await stat(file).catch(() => null))?.isFile() === true) found.add(file);
  }
  return found;
}

/** Report graphs of a reload through a logger. */
export function logFailures(logger: Logger | undefined, failures: readonly GraphFailure[]): void {
  for (const { graphId, error } of failures) logger?.error({ graphId }, error.message);
}
