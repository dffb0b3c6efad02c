import type { GraphSchemas } from "../core/engine.js";
import type { Logger } from "../core/logger.js";
import type { PregelLike } from "./graph-source.js";
import { permissiveSchemas, runtimeSchemas } from "./runtime-schemas.js";

/** The source file a graph comes from: what static analysis reads. */
export interface GraphOrigin {
  /** Absolute. */
  readonly file: string;
  readonly exportName: string;
  /** Folder of `langgraph.json`. */
  readonly cwd: string;
}

/** Extracts JSON Schemas of graphs (docs/wire/langgraph-api.md part 6). Never blocks the event loop, never rejects for a graph's sake. */
export interface SchemaExtractor {
  /** @param query.graph what `GraphSource.resolve` gave */
  schemas(query: { readonly graphId: string; readonly graph: PregelLike }): Promise<GraphSchemas>;
  /** `namespace → schemas`, namespaces joined with `|` (docs/wire/langgraph-api.md §2.3.9). */
  subgraphs(query: {
    readonly graphId: string;
    readonly graph: PregelLike;
    readonly namespace?: string;
    readonly recurse: boolean;
  }): Promise<Readonly<Record<string, GraphSchemas>>>;
  close(): Promise<void>;
}

export interface SchemaExtractorOptions {
  /** `null` for a graph that was given as an object. */
  readonly origin: (graphId: string) => GraphOrigin | null;
  /** Time limit of one static analysis. Default 30,000. */
  readonly schemaTimeoutMs?: number;
  readonly logger?: Logger;
}

const NO_SOURCE =
  "This graph was given as an object, so there are no types to read: only the names of its channels are known.";

/**
 * Schemas of graphs: what the graph carries at run time, else its TypeScript types, else permissive ones with a `note`.
 */
export function createSchemaExtractor(options: SchemaExtractorOptions): SchemaExtractor {
  /** Shared graphs answer from memory; graphs that a factory made come and go. */
  const known = new WeakMap<PregelLike, Promise<GraphSchemas>>();

  const extract = async (graphId: string, graph: PregelLike): Promise<GraphSchemas> =>
    runtimeSchemas(graphId, graph) ?? permissiveSchemas(graphId, graph, options.origin(graphId) === null ? NO_SOURCE : "Types are not read yet.");

  const remembered = (graphId: string, graph: PregelLike): Promise<GraphSchemas> => {
    const before = known.get(graph);
    if (before !== undefined) return before;
    const schemas = extract(graphId, graph);
    known.set(graph, schemas);
    return schemas;
  };

  return {
    schemas: ({ graphId, graph }) => remembered(graphId, graph),
    subgraphs: async ({ graphId, graph, namespace, recurse }) => {
      const found: Record<string, GraphSchemas> = {};
      // Upstream finds a nested namespace only when it may descend.
      const descend = recurse || (namespace?.includes("|") ?? false);
      for await (const [name, subgraph] of graph.getSubgraphsAsync(namespace, descend)) {
        found[name] = await remembered(graphId, subgraph);
      }
      return found;
    },
    close: () => Promise.resolve(),
  };
}
