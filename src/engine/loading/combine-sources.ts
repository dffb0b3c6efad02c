import { HeddleError } from "../../core/errors.js";
import type { GraphSource } from "../graph-source.js";

/** Several sources as one; graph ids are distinct between them. Closing it closes all of them. */
export function combineSources(sources: readonly GraphSource[]): GraphSource {
  const [only, ...others] = sources;
  if (only !== undefined && others.length === 0) return only;
  const of = (graphId: string): GraphSource => {
    const source = sources.find((candidate) => candidate.has(graphId));
    if (source === undefined) throw new HeddleError("GRAPH_NOT_FOUND", { message: `Graph "${graphId}" not found` });
    return source;
  };
  const close = async (): Promise<void> => {
    for (const source of sources) await source.close();
  };
  return {
    graphs: () => sources.flatMap((source) => source.graphs()),
    has: (graphId) => sources.some((source) => source.has(graphId)),
    resolve: (graphId, config, use) => of(graphId).resolve(graphId, config, use),
    schemas: {
      schemas: (query) => of(query.graphId).schemas.schemas(query),
      subgraphs: (query) => of(query.graphId).schemas.subgraphs(query),
      close,
    },
    close,
  };
}
