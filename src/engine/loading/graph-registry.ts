import { HeddleError } from "../../core/errors.js";
import type { GraphInfo } from "../../core/engine.js";
import type { Logger } from "../../core/logger.js";
import { type GraphInput, isCompiledGraph, type PreparedGraph, prepareGraph } from "./graph-input.js";
import type { GraphSource } from "../graph-source.js";
import { createSchemaExtractor, type SchemaExtractor } from "../schemas/schemas.js";

/** A graph, bare or with a description (shown by `assistants`, MCP and A2A). */
export type RegisteredGraph = GraphInput | { readonly graph: GraphInput; readonly description?: string };

/** One prepared graph of a registry. */
export interface RegistryEntry {
  readonly prepared: PreparedGraph;
  readonly description: string | null;
}

/**
 * Make graphs that the program already holds ready to serve: promises awaited, builders compiled once, factories kept
 * (docs/wire/langgraph-api.md §5.4).
 * @param options.graphs by graph id
 * @throws HeddleError `GRAPH_LOAD_FAILED`, naming the graph
 */
export async function createGraphRegistry(options: {
  readonly graphs: Readonly<Record<string, RegisteredGraph>>;
  readonly logger?: Logger;
}): Promise<GraphSource> {
  const entries = new Map<string, RegistryEntry>();
  for (const [graphId, given] of Object.entries(options.graphs)) {
    const { graph, description } = withDescription(given);
    entries.set(graphId, await registryEntry(graphId, graph, description));
  }
  const schemas = createSchemaExtractor({ origin: () => null, ...(options.logger && { logger: options.logger }) });
  return graphSource({ entries: () => entries, schemas });
}

/** Prepare one graph; its own `description` (LangGraph's compile option) stands in for a missing one. */
export async function registryEntry(
  graphId: string,
  graph: unknown,
  description: string | null,
): Promise<RegistryEntry> {
  const prepared = await prepareGraph(graphId, graph);
  return { prepared, description: description ?? ownDescription(prepared) };
}

/**
 * A source over entries that may be replaced as a whole: each call reads `entries()` once, so a swap is atomic and what
 * was resolved before it keeps its version.
 */
export function graphSource(parts: {
  readonly entries: () => ReadonlyMap<string, RegistryEntry>;
  readonly schemas: SchemaExtractor;
  readonly close?: () => Promise<void>;
}): GraphSource {
  return {
    schemas: parts.schemas,
    graphs: (): readonly GraphInfo[] =>
      [...parts.entries()].map(([graphId, entry]) => ({ graphId, description: entry.description })),
    has: (graphId) => parts.entries().has(graphId),
    resolve: (graphId, config, use) => {
      const entry = parts.entries().get(graphId);
      if (entry === undefined) {
        throw new HeddleError("GRAPH_NOT_FOUND", { message: `Graph "${graphId}" not found`, details: { graphId } });
      }
      return entry.prepared.kind === "shared" ? entry.prepared.graph : entry.prepared.create(config, use);
    },
    close: async () => {
      await parts.schemas.close();
      await parts.close?.();
    },
  };
}

function withDescription(given: RegisteredGraph): { graph: unknown; description: string | null } {
  const plain = Object.getPrototypeOf(given) === Object.prototype && !isCompiledGraph(given) && "graph" in given;
  if (!plain) return { graph: given, description: null };
  const { graph, description } = given as { readonly graph: unknown; readonly description?: unknown };
  return { graph, description: typeof description === "string" ? description : null };
}

function ownDescription(prepared: PreparedGraph): string | null {
  if (prepared.kind !== "shared") return null;
  const { description } = prepared.graph as { readonly description?: unknown };
  return typeof description === "string" ? description : null;
}
