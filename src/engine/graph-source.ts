import type { Pregel } from "@langchain/langgraph";
import type { RunConfig } from "../core/assistant.js";
import type { GraphInfo } from "../core/engine.js";
import type { SchemaExtractor } from "./schemas/schemas.js";

/**
 * A compiled LangGraph graph. Graphs may come from another copy of LangGraph than ours, so this is a shape and never
 * the subject of `instanceof`.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- a graph's type parameters are its author's business
export type PregelLike = Pregel<any, any>;

/** Why a graph is asked for: handed to factories as `runtime` (docs/wire/langgraph-api.md §5.4). */
export interface GraphUse {
  readonly accessContext: "threads.create_run" | "threads.read" | "threads.update" | "assistants.read";
  /** Set while a run executes. */
  readonly executionRuntime: { readonly context?: unknown } | null;
}

/** Where the engine gets graphs from. */
export interface GraphSource {
  /** JSON Schemas of graphs that `resolve` gave; closed with the source. */
  readonly schemas: SchemaExtractor;
  graphs(): readonly GraphInfo[];
  has(graphId: string): boolean;
  /**
   * The graph for one use. Factories are called for each use; any other graph is the same shared object every time and
   * must never be changed.
   * @throws HeddleError `GRAPH_NOT_FOUND` for an unknown id; whatever a factory throws
   */
  resolve(graphId: string, config: RunConfig, use: GraphUse): Promise<PregelLike> | PregelLike;
  close(): Promise<void>;
}
