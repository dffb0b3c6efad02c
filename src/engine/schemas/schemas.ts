import type { GraphSchemas } from "../../core/engine.js";
import { isJsonObject } from "../../core/json.js";
import type { Logger } from "../../core/logger.js";
import type { PregelLike } from "../graph-source.js";
import type { TypeSchemas } from "./graph-types.js";
import { permissiveSchemas, runtimeSchemas } from "./runtime-schemas.js";
import { createStaticAnalysis, type StaticAnswer, type StaticTarget } from "./static-schemas.js";

/** The source file a graph comes from: what static analysis reads. */
export type GraphOrigin = StaticTarget;

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
  /** Where TypeScript is looked for. Default: the project's, then Heddle's own. */
  readonly findTypeScript?: Parameters<typeof createStaticAnalysis>[0]["find"];
}

const SCHEMA_TIMEOUT_MS = 30_000;

const NO_SOURCE =
  "These schemas allow anything: the graph was given as an object, so there are no types to read. Define its state with zod or StateSchema, or name its file in langgraph.json.";
const NO_NODE_TYPE = "These schemas allow anything: no type was found for this subgraph.";

/**
 * Schemas of graphs: what the graph carries at run time, else its TypeScript types, else permissive ones with a `note`
 * (docs/wire/langgraph-api.md part 6).
 */
export function createSchemaExtractor(options: SchemaExtractorOptions): SchemaExtractor {
  const { origin, schemaTimeoutMs = SCHEMA_TIMEOUT_MS, logger, findTypeScript } = options;
  const statics = createStaticAnalysis({ timeoutMs: schemaTimeoutMs, ...(findTypeScript && { find: findTypeScript }) });
  /** Shared graphs answer from memory; graphs that a factory made come and go. */
  const known = new WeakMap<PregelLike, Promise<GraphSchemas>>();

  const analyze = async (graphId: string): Promise<StaticAnswer> => {
    const target = origin(graphId);
    return target === null ? { note: NO_SOURCE } : statics.analyze(target);
  };

  /** @param node last part of a subgraph's namespace; `null` for the graph itself */
  const extract = async (graphId: string, graph: PregelLike, node: string | null): Promise<GraphSchemas> => {
    const atRunTime = runtimeSchemas(graphId, graph);
    if (atRunTime !== null) return atRunTime;
    const answer = await analyze(graphId);
    if ("note" in answer) {
      logger?.debug({ graphId, note: answer.note }, "Schemas are permissive");
      return { ...permissiveSchemas(graphId, graph), note: answer.note };
    }
    const types = node === null ? answer.types.graph : answer.types.nodes[node];
    if (types === undefined) return { ...permissiveSchemas(graphId, graph), note: NO_NODE_TYPE };
    return fromTypes(permissiveSchemas(graphId, graph), types);
  };

  const remembered = async (graphId: string, graph: PregelLike, node: string | null): Promise<GraphSchemas> => {
    let schemas = known.get(graph);
    if (schemas === undefined) {
      schemas = extract(graphId, graph, node);
      known.set(graph, schemas);
      schemas.catch(() => known.delete(graph));
    }
    return { ...(await schemas), graphId };
  };

  return {
    schemas: ({ graphId, graph }) => remembered(graphId, graph, null),
    subgraphs: async ({ graphId, graph, namespace, recurse }) => {
      const found: Record<string, GraphSchemas> = {};
      // Upstream finds a nested namespace only when it may descend.
      const descend = recurse || (namespace?.includes("|") ?? false);
      for await (const [name, subgraph] of graph.getSubgraphsAsync(namespace, descend)) {
        found[name] = await remembered(graphId, subgraph, name.split("|").at(-1) ?? name);
      }
      return found;
    },
    close: () => statics.close(),
  };
}

/** What types say, and the names of channels where they say nothing (`any`). */
function fromTypes(permissive: GraphSchemas, types: TypeSchemas): GraphSchemas {
  const configSchema = schemaOf(types.config) ?? permissive.configSchema;
  return {
    ...permissive,
    stateSchema: schemaOf(types.state) ?? permissive.stateSchema,
    inputSchema: schemaOf(types.input) ?? permissive.inputSchema,
    outputSchema: schemaOf(types.output) ?? permissive.outputSchema,
    configSchema,
    contextSchema: configSchema,
  };
}

function schemaOf(value: unknown): GraphSchemas["stateSchema"] {
  return isJsonObject(value) ? value : null;
}
