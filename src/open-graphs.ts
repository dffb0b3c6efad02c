import type { ResolvedConfig } from "./config/resolved-config.js";
import type { Logger } from "./core/logger.js";
import { createGraphRegistry } from "./engine/loading/graph-registry.js";
import type { GraphSource } from "./engine/graph-source.js";
import { combineSources } from "./engine/loading/combine-sources.js";
import type { GraphFailure } from "./engine/loading/load-graph.js";
import type { ReloadResult } from "./engine/loading/load-graphs.js";

export interface OpenGraphs {
  readonly source: GraphSource;
  /** Graph files that could not be loaded. */
  readonly failures: readonly GraphFailure[];
}

/**
 * The graphs of a configuration: those given as objects, and those in files.
 * @param options.watch reload files when their sources change
 * @param options.onReload called, and awaited before the reload is logged, when graphs have a new version
 * @throws HeddleError `GRAPH_LOAD_FAILED` for a graph given as an object; files that fail are in `failures`
 */
export async function openGraphs(
  config: ResolvedConfig,
  options: { readonly watch: boolean; readonly logger: Logger; readonly onReload?: () => Promise<void> },
): Promise<OpenGraphs> {
  const { logger, watch } = options;
  const values: Record<string, object> = {};
  const files: Record<string, { readonly path: string; readonly description: string | null }> = {};
  for (const [graphId, graph] of Object.entries(config.graphs)) {
    if (graph.kind === "value") values[graphId] = graph.value;
    else files[graphId] = { path: graph.path, description: graph.description };
  }
  const sources: GraphSource[] = [];
  if (Object.keys(values).length > 0) sources.push(await createGraphRegistry({ graphs: values, logger }));
  if (Object.keys(files).length === 0) return { source: combineSources(sources), failures: [] };
  // Loaded only when needed: it brings esbuild.
  const { loadGraphs } = await import("./engine/loading/load-graphs.js");
  const { source, failures } = await loadGraphs({
    graphs: files,
    cwd: config.graphsDir,
    watch,
    schemaTimeoutMs: config.schemaTimeoutMs,
    logger,
    onReload: (result) => void reloaded(result, options),
  });
  return { source: combineSources([...sources, source]), failures };
}

async function reloaded(
  { reloaded: graphs, failures, durationMs }: ReloadResult,
  options: Parameters<typeof openGraphs>[1],
): Promise<void> {
  const { logger, onReload } = options;
  try {
    if (graphs.length > 0) await onReload?.();
  } catch (error) {
    logger.error({ err: error }, "the system assistants of reloaded graphs could not be brought up to date");
  }
  if (graphs.length > 0) logger.info({ graphs, durationMs }, `Reloaded ${graphs.join(", ")}`);
  for (const { graphId, error } of failures) logger.error({ graphId }, error.message);
}
