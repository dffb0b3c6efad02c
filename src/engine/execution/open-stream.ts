import { CompiledStateGraph } from "@langchain/langgraph";
import type { NewRunEvent } from "../../core/run-event.js";
import type { PregelLike } from "../graph-source.js";
import type { StreamParts, StreamPlan } from "../streams/stream-parts.js";
import type { ThreadEvents } from "../thread-events/thread-events.js";

/** Options of `graph.stream`, as far as a run sets them. */
export type StreamOptions = Readonly<Record<string, unknown>> & { readonly signal: AbortSignal };

interface StreamEvent {
  readonly event: string;
  readonly run_id: string;
  readonly tags?: readonly string[];
  readonly data: { readonly chunk?: unknown };
}

/** `_streamIterator` is what every LangGraph graph implements `stream` with. */
interface Iterable {
  _streamIterator(input: unknown, options: StreamOptions): AsyncGenerator<unknown>;
}

/**
 * Run the graph and hand each chunk to `parts`. Ends, or throws, as the graph does.
 * @param wake called when `out` has something new
 */
export async function runStream(params: {
  readonly graph: PregelLike;
  readonly input: unknown;
  readonly options: StreamOptions;
  readonly plan: StreamPlan;
  readonly parts: StreamParts;
  /** Set when the thread's log is written, too. */
  readonly threadEvents: ThreadEvents | null;
  /** Set when the run is observed. */
  readonly observe: ((chunk: unknown) => void) | null;
  readonly out: () => NewRunEvent[];
  readonly wake: () => void;
}): Promise<void> {
  const { graph, input, parts, plan, threadEvents, observe, out, wake } = params;
  const options = {
    ...params.options,
    streamMode: plan.modes,
    subgraphs: plan.subgraphs,
    // langgraph 1.7.3 (pregel/index.js): any version makes it stream light checkpoints before `values`.
    ...(threadEvents === null ? {} : { version: "v2" }),
  };
  const push = (chunk: unknown): void => {
    // What a graph says of its own end, when it is stopped, is not how it ended.
    if (options.signal.aborted) return;
    parts.push(chunk, out());
    threadEvents?.push(chunk);
    observe?.(chunk);
  };
  if (plan.events) {
    let rootRunId: string | undefined;
    const events = graph.streamEvents(input, {
      ...options,
      version: "v2",
    } as never) as unknown as AsyncIterable<unknown>;
    for await (const event of events) {
      const { event: name, run_id: runId, data } = event as StreamEvent;
      rootRunId ??= runId;
      if (name === "on_chain_stream" && runId === rootRunId) push(data.chunk);
      else parts.pushEvent(event as StreamEvent, out());
      wake();
    }
    return;
  }
  for await (const chunk of await chunks(graph, input, options)) {
    push(chunk);
    wake();
  }
}

/**
 * LangGraph's `stream` wraps the generator that does the work into three web streams, which costs more than the work for
 * small chunks (langgraph 1.7.3: a third of the time of 500 tokens). Where `stream` is LangGraph's own, the generator is
 * used as it is; what the wrapping does besides (abort, async context) is done by the caller.
 */
async function chunks(graph: PregelLike, input: unknown, options: StreamOptions): Promise<AsyncIterable<unknown>> {
  if (!hasStockStream(graph)) return (await graph.stream(input, options as never)) as AsyncIterable<unknown>;
  return (graph as unknown as Iterable)._streamIterator(input, options);
}

function hasStockStream(graph: PregelLike): boolean {
  // Pregel itself is not exported; a compiled graph inherits both methods from it.
  const stock = CompiledStateGraph.prototype as unknown as PregelLike & Iterable;
  return (
    sameFunction(graph.stream, stock.stream) &&
    sameFunction((graph as unknown as Partial<Iterable>)._streamIterator, stock._streamIterator)
  );
}

/** Another copy of the same release has other function objects with the same source. */
function sameFunction(one: unknown, other: unknown): boolean {
  return one === other || (typeof one === "function" && String(one) === String(other));
}
