import type { BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import type { Logger } from "../../core/logger.js";
import type { PregelLike } from "../graph-source.js";

/**
 * The graph with this saver and store, as a view on it: registered graphs are shared by concurrent runs, some of them
 * with savers of their own, so the graph itself is never changed (docs/wire/langgraph-api.md §5.4 says what happens
 * otherwise). Subgraphs get the saver from LangGraph, through the run's configuration.
 */
export function bindGraph(
  graph: PregelLike,
  resources: { readonly saver: BaseCheckpointSaver; readonly store: BaseStore | undefined },
): PregelLike {
  const own = (value: unknown): PropertyDescriptor => ({ value, writable: true, enumerable: true, configurable: true });
  return Object.create(graph, {
    checkpointer: own(resources.saver),
    ...(resources.store === undefined ? {} : { store: own(resources.store) }),
  }) as PregelLike;
}

/** Says once for each graph that it was compiled with a checkpointer or a store that is not used here. */
export function createBindingNotice(logger: Logger): (graphId: string, graph: PregelLike) => void {
  const told = new Set<string>();
  return (graphId, graph) => {
    if (told.has(graphId)) return;
    const ignored: string[] = [];
    if (graph.checkpointer !== undefined && graph.checkpointer !== true) ignored.push("checkpointer");
    if (graph.store !== undefined) ignored.push("store");
    if (ignored.length === 0) return;
    told.add(graphId);
    logger.warn(
      { graphId, ignored },
      `Graph "${graphId}" is compiled with its own ${ignored.join(" and ")}: the server's configured storage is used instead`,
    );
  };
}
