import type { JsonValue } from "../../core/json.js";
import { parseJsonText } from "../../core/json.js";
import type { PregelLike } from "../graph-source.js";
import { serialize } from "../streams/serialize.js";

/**
 * LangGraph's drawing of a graph as plain JSON, `{nodes, edges}` (docs/wire/langgraph-api.md §2.3.7).
 * @param xray expand subgraphs: all, or that many levels
 */
export async function drawGraph(
  graph: PregelLike,
  configurable: Readonly<Record<string, unknown>>,
  xray: boolean | number,
): Promise<JsonValue> {
  const options: Parameters<PregelLike["getGraphAsync"]>[0] & { readonly xray: boolean | number } = {
    configurable: { ...configurable },
    xray,
  };
  const drawing = await graph.getGraphAsync(options);
  // Through text, because the drawing holds schema objects and undefined fields.
  return parseJsonText(serialize(drawing.toJSON()));
}
