import type { FinalState } from "../../core/engine.js";
import { asJsonText } from "../../core/json.js";
import type { PregelLike } from "../graph-source.js";
import { toFinalState } from "../state/snapshot.js";
import type { StreamParts } from "../streams/stream-parts.js";

/** Channels whose value in the last `values` event is what the checkpoint holds. Others empty themselves, or are not saved. */
const LASTING_CHANNELS: ReadonlySet<unknown> = new Set(["LastValue", "BinaryOperatorAggregate", "DeltaChannel"]);

/**
 * The state that a run without error leaves. Where it ran to its end over lasting channels the last `values` event is that
 * state, already serialised; otherwise the checkpoint is read.
 * @param graph bound to the saver
 */
export async function finalState(
  graph: PregelLike,
  threadId: string,
  stopped: { readonly parts: StreamParts; readonly interrupted: boolean },
): Promise<FinalState> {
  const { parts } = stopped;
  if (!stopped.interrupted && !parts.interrupted && hasLastingChannels(graph)) {
    const values = parts.result();
    if (values !== undefined) return { values, interrupts: asJsonText("{}"), hasNext: false };
  }
  return storedState(graph, threadId);
}

/** The state of the thread's last checkpoint. */
export async function storedState(graph: PregelLike, threadId: string): Promise<FinalState> {
  const snapshot = await graph.getState({ configurable: { thread_id: threadId, checkpoint_ns: "" } });
  const metadata = (snapshot.metadata ?? {}) as { readonly graph_id?: unknown; readonly assistant_id?: unknown };
  const { graph_id: graphId, assistant_id: assistantId } = metadata;
  const known = typeof graphId === "string" && typeof assistantId === "string";
  return { ...toFinalState(snapshot), ...(known ? { madeBy: { graphId, assistantId } } : {}) };
}

function hasLastingChannels(graph: PregelLike): boolean {
  const streamed = graph.streamChannelsAsIs as string | readonly string[];
  const names = typeof streamed === "string" ? [streamed] : streamed;
  const channels = graph.channels as Readonly<Record<string, { readonly lc_graph_name?: unknown } | undefined>>;
  return names.every((name) => LASTING_CHANNELS.has(channels[name]?.lc_graph_name));
}
