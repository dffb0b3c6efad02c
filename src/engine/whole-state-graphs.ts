import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { WHOLE_STATE_GRAPHS } from "../core/state.js";
import type { GraphSource } from "./graph-source.js";
import { createGraphRegistry } from "./loading/graph-registry.js";

/**
 * A source with the graphs of {@link WHOLE_STATE_GRAPHS} beside its own: known by id, so that threads with their checkpoints can be
 * read, but not listed, so that they have no system assistants and nobody is offered them. A graph of the user's with such an id wins.
 */
export function withWholeStateGraphs(source: GraphSource): GraphSource {
  let opened: Promise<GraphSource> | null = null;
  const isOurs = (graphId: string): boolean => WHOLE_STATE_GRAPHS.includes(graphId) && !source.has(graphId);
  const ours = (): Promise<GraphSource> =>
    (opened ??= createGraphRegistry({
      graphs: Object.fromEntries(WHOLE_STATE_GRAPHS.map((graphId) => [graphId, wholeStateGraph()])),
    }));
  const of = async (graphId: string): Promise<GraphSource> => (isOurs(graphId) ? ours() : source);
  return {
    graphs: () => source.graphs(),
    has: (graphId) => source.has(graphId) || isOurs(graphId),
    resolve: (graphId, config, use) =>
      isOurs(graphId) ? ours().then((own) => own.resolve(graphId, config, use)) : source.resolve(graphId, config, use),
    schemas: {
      schemas: async (query) => (await of(query.graphId)).schemas.schemas(query),
      subgraphs: async (query) => (await of(query.graphId)).schemas.subgraphs(query),
      close: () => source.schemas.close(),
    },
    async close() {
      await (await opened)?.close();
      await source.close();
    },
  };
}

/** Its whole state is one channel, so that what an update leaves out is gone. Run, it leaves its input as the state. */
function wholeStateGraph() {
  return new StateGraph(Annotation.Root({ __root__: Annotation<Record<string, unknown>>() }))
    .addNode("state", (state) => state)
    .addEdge(START, "state")
    .addEdge("state", END)
    .compile();
}
