import path from "node:path";
import type { Logger } from "../../core/logger.js";
import { graphSource, type RegistryEntry } from "./graph-registry.js";
import type { GraphSource } from "../graph-source.js";
import {
  type GraphFailure,
  type GraphSpec,
  type GraphVersion,
  IMPORT_TIMEOUT_MS,
  loadGraphVersion,
  locateGraph,
  logFailures,
} from "./load-graph.js";
import { createSchemaExtractor } from "../schemas/schemas.js";
import { createSourceWatcher } from "./source-watcher.js";
import { tsconfigFiles } from "./tsconfig-files.js";

/** What a change of the sources led to. */
export interface ReloadResult {
  /** Graphs that run in their new version from now on. */
  readonly reloaded: readonly string[];
  /** Graphs whose new version failed; one that was served before keeps its old version. */
  readonly failures: readonly GraphFailure[];
  /** From the noticed change to the swap. */
  readonly durationMs: number;
}

export interface LoadGraphsOptions {
  /** By graph id, as in `langgraph.json`. */
  readonly graphs: Readonly<Record<string, GraphSpec>>;
  /** Folder of `langgraph.json`, absolute: paths are relative to it. */
  readonly cwd: string;
  /** Reload when a source file changes. */
  readonly watch: boolean;
  /** Time limit of one static schema analysis. Default 30,000. */
  readonly schemaTimeoutMs?: number;
  /** A file's top-level code may take this long. Default 60,000. */
  readonly importTimeoutMs?: number;
  readonly logger?: Logger;
  /** After each reload that changed something or failed; never for the first load. Default: log it. */
  readonly onReload?: (result: ReloadResult) => void;
}

export interface LoadedGraphs {
  readonly source: GraphSource;
  /** Graphs that are not served. Empty: all is well. */
  readonly failures: readonly GraphFailure[];
}

/**
 * Load the graphs of a `langgraph.json`: TypeScript and JavaScript, through esbuild (docs/wire/langgraph-api.md §5.4,
 * §5.5). With `watch`, a change of any local file that a graph imports rebuilds and swaps all graphs at once; runs that
 * have their graph already keep it. Close the source to stop watching.
 */
export async function loadGraphs(options: LoadGraphsOptions): Promise<LoadedGraphs> {
  const cwd = path.resolve(options.cwd);
  const { graphs, logger } = options;
  const load = (version: number, previous?: GraphVersion): Promise<GraphVersion> =>
    loadGraphVersion({ graphs, cwd, version, importTimeoutMs: options.importTimeoutMs ?? IMPORT_TIMEOUT_MS, previous });

  const startedAt = Date.now();
  const first = await load(0);
  let entries: ReadonlyMap<string, RegistryEntry> = first.entries;
  let swaps = 0;
  const watching = options.watch
    ? await watchGraphs(first, {
        startedAt,
        load,
        swap: (version) => {
          const before = entries;
          swaps += 1;
          entries = merged(Object.keys(graphs), version.entries, before);
          return [...entries].filter(([graphId, entry]) => before.get(graphId) !== entry).map(([graphId]) => graphId);
        },
        logger,
        onReload: options.onReload ?? ((result) => logReload(logger, result)),
      })
    : null;

  const schemas = createSchemaExtractor({
    origin: (graphId) => {
      const spec = graphs[graphId];
      if (spec === undefined) return null;
      const { file, exportName } = locateGraph(graphId, spec, cwd);
      return { file, exportName, cwd, version: swaps };
    },
    ...(options.schemaTimeoutMs !== undefined && { schemaTimeoutMs: options.schemaTimeoutMs }),
    ...(logger && { logger }),
  });
  const source = graphSource({ entries: () => entries, schemas, close: async () => watching?.close() });
  return { source, failures: first.failures };
}

/** Rebuild on change, one build at a time; a change during a build leads to another. */
async function watchGraphs(
  first: GraphVersion,
  options: {
    readonly startedAt: number;
    readonly load: (version: number, previous: GraphVersion) => Promise<GraphVersion>;
    /** Serve a version. @returns ids of the graphs that are new */
    readonly swap: (version: GraphVersion) => readonly string[];
    readonly logger: Logger | undefined;
    readonly onReload: (result: ReloadResult) => void;
  },
): Promise<{ close(): Promise<void> }> {
  let current = first;
  let inputs: ReadonlySet<string> = first.inputs;
  let count = 0;
  let reloading: Promise<void> | null = null;
  let again = false;
  let closed = false;

  const reload = async (): Promise<void> => {
    const startedAt = Date.now();
    count += 1;
    const version = await options.load(count, current);
    if (closed) return;
    const reloaded = options.swap(version);
    const newFailures = failureTexts(version) !== failureTexts(current);
    current = version;
    if (reloaded.length > 0 || newFailures) {
      options.onReload({ reloaded, failures: version.failures, durationMs: Date.now() - startedAt });
    }
    await follow(version, startedAt);
  };
  const loop = async (): Promise<void> => {
    do {
      again = false;
      await reload().catch((error: unknown) =>
        options.logger?.error({ error: String(error) }, "Reloading graphs failed"),
      );
    } while (again && !closed);
  };
  const watcher = createSourceWatcher({
    logger: options.logger,
    onChange: () => {
      again = true;
      reloading ??= loop().finally(() => (reloading = null));
    },
  });
  const follow = async (version: GraphVersion, since: number): Promise<void> => {
    const failed = version.failures.length > 0;
    // A failed build stops early: what it did not get to see still matters.
    inputs = failed ? new Set([...inputs, ...version.inputs]) : version.inputs;
    await watcher.follow(await watchedFiles(inputs), { since, anyFile: failed });
  };

  await follow(current, options.startedAt);
  return {
    close: async () => {
      closed = true;
      watcher.close();
      await reloading;
    },
  };
}

/** Sources, and what decides how they are built: tsconfig files and `package.json` of their folders. */
async function watchedFiles(inputs: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const files = new Set(inputs);
  const folders = new Map([...inputs].map((file) => [path.dirname(file), file]));
  for (const [folder, file] of folders) {
    files.add(path.join(folder, "package.json"));
    for (const config of await tsconfigFiles(file)) files.add(config.path);
  }
  return files;
}

function merged(
  graphIds: readonly string[],
  next: ReadonlyMap<string, RegistryEntry>,
  before: ReadonlyMap<string, RegistryEntry>,
): ReadonlyMap<string, RegistryEntry> {
  const entries = new Map<string, RegistryEntry>();
  for (const graphId of graphIds) {
    const entry = next.get(graphId) ?? before.get(graphId);
    if (entry !== undefined) entries.set(graphId, entry);
  }
  return entries;
}

function failureTexts(version: GraphVersion): string {
  return version.failures.map(({ error }) => error.message).join("\n");
}

function logReload(logger: Logger | undefined, { reloaded, failures, durationMs }: ReloadResult): void {
  if (reloaded.length > 0) logger?.info({ graphs: reloaded, durationMs }, `Reloaded ${reloaded.join(", ")}`);
  logFailures(logger, failures);
}
