import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { segmentsOf, type Place } from "./event-writer.js";
import { type Fields, isFields, label, textOf } from "../streams/shapes.js";

/** One call of a chat model, as its callbacks tell it. */
export interface ModelCall {
  readonly runId: string;
  /** Concise metadata of the provider: `{provider?, model?, model_type?}`. */
  readonly metadata: Fields;
  /** Chunks that LangGraph's `messages` stream was given, and those of them that have arrived. */
  pushed: number;
  seen: number;
  end: ModelCallEnd | null;
}

export type ModelCallEnd =
  { readonly kind: "ended"; readonly message: unknown } | { readonly kind: "failed"; readonly error: unknown };

/** What the callbacks of LangChain know and LangGraph's stream does not say. */
export interface CallWatch {
  /** For `callbacks` of the run's config. */
  readonly handler: BaseCallbackHandler;
  /** Whose chunk, or whole message, this is. */
  ownerOf(message: object): ModelCall | undefined;
  /** All of a call has arrived. */
  forget(call: ModelCall): void;
  /** Where a tool runs; forgotten when `isOver`. */
  placeOfTool(tool: { readonly toolCallId: unknown; readonly name: unknown }, isOver: boolean): Place | undefined;
  /** `lc_agent_name` of the graph that runs in a namespace, where it differs from the one around it. */
  agentName(namespace: readonly string[]): string | undefined;
}

/**
 * Watches a run's models, tools and named agents. LangGraph's `messages` mode does not tell when a message is complete, and
 * cuts the node off the namespaces of tools (langgraph 1.7.3, pregel/messages.js, pregel/stream.js).
 * @param onCallEnd a model has answered, or failed
 */
export function watchCalls(onCallEnd: (call: ModelCall) => void): CallWatch {
  const calls = new Map<string, ModelCall>();
  const owners = new WeakMap<object, ModelCall>();
  const tools = new Map<string, Place>();
  const agents = new Map<string, string>();

  const toolKey = (toolCallId: unknown, name: unknown): string => `${label(toolCallId, "")}\n${label(name, "unknown")}`;

  const agentAround = (namespace: readonly string[]): string | undefined => {
    for (let length = namespace.length - 1; length >= 0; length -= 1) {
      const name = agents.get(namespace.slice(0, length).join("|"));
      if (name !== undefined) return name;
    }
    return undefined;
  };

  const end = (runId: string, ending: ModelCallEnd): void => {
    const call = calls.get(runId);
    if (call === undefined) return;
    call.end = ending;
    if (ending.kind === "ended" && call.pushed === 0 && isFields(ending.message)) owners.set(ending.message, call);
    onCallEnd(call);
  };

  class CallHandler extends BaseCallbackHandler {
    override name = "HeddleThreadEvents";
    // In step with the model: in LangChain's background queue an end could be told after its node's.
    override awaitHandlers = true;

    override handleChatModelStart(
      ...[, , runId, , , tags, metadata]: Parameters<NonNullable<BaseCallbackHandler["handleChatModelStart"]>>
    ): void {
      if (metadata === undefined || tags?.includes("langsmith:nostream") || tags?.includes("nostream")) return;
      calls.set(runId, { runId, metadata: providerOf(metadata), pushed: 0, seen: 0, end: null });
    }

    /** Called for each token: plain parameters. */
    override handleLLMNewToken(
      _token: string,
      _place: unknown,
      runId: string,
      _parentRunId?: string,
      _tags?: string[],
      fields?: { readonly chunk?: unknown },
    ): void {
      const call = calls.get(runId);
      if (call === undefined) return;
      call.pushed += 1;
      const message = (fields?.chunk as { readonly message?: unknown } | undefined)?.message;
      if (typeof message === "object" && message !== null) owners.set(message, call);
    }

    override handleLLMEnd(...[output, runId]: Parameters<NonNullable<BaseCallbackHandler["handleLLMEnd"]>>): void {
      const generation = output.generations[0]?.[0] as { readonly message?: unknown } | undefined;
      end(runId, { kind: "ended", message: generation?.message });
    }

    override handleLLMError(...[error, runId]: Parameters<NonNullable<BaseCallbackHandler["handleLLMError"]>>): void {
      end(runId, { kind: "failed", error });
    }

    override handleToolStart(
      ...[, , , , , metadata, name, toolCallId]: Parameters<NonNullable<BaseCallbackHandler["handleToolStart"]>>
    ): void {
      const place = metadata === undefined ? undefined : placeOf(metadata);
      if (place !== undefined) tools.set(toolKey(toolCallId, name), place);
    }

    override handleChainStart(
      ...[, , , , , metadata]: Parameters<NonNullable<BaseCallbackHandler["handleChainStart"]>>
    ): void {
      if (metadata === undefined) return;
      const name = textOf(metadata, "lc_agent_name");
      if (name === undefined) return;
      const namespace = segmentsOf(textOf(metadata, "langgraph_checkpoint_ns") ?? "");
      const key = namespace.join("|");
      // Metadata is inherited: only what differs from the graph around is the name of this one.
      if (!agents.has(key) && agentAround(namespace) !== name) agents.set(key, name);
    }
  }

  return {
    handler: new CallHandler(),
    ownerOf(message) {
      const owner = owners.get(message);
      if (owner !== undefined) return owner;
      // A model that tells tokens as strings: LangGraph makes a chunk of each, with the id of the call.
      const { id } = message as { readonly id?: unknown };
      return typeof id === "string" && id.startsWith("run-") ? calls.get(id.slice("run-".length)) : undefined;
    },
    forget: ({ runId }) => void calls.delete(runId),
    placeOfTool({ toolCallId, name }, isOver) {
      const key = toolKey(toolCallId, name);
      const place = tools.get(key);
      if (isOver) tools.delete(key);
      return place;
    },
    agentName: (namespace) => agents.get(namespace.join("|")),
  };
}

/** The full path, with the segment of the node itself. */
export function placeOf(metadata: Fields): Place | undefined {
  const checkpointNs = textOf(metadata, "langgraph_checkpoint_ns") ?? textOf(metadata, "checkpoint_ns");
  if (checkpointNs === undefined) return undefined;
  const node = textOf(metadata, "langgraph_node");
  return { namespace: segmentsOf(checkpointNs), ...(node === undefined ? {} : { node }) };
}

function providerOf(metadata: Fields): Fields {
  const provider = textOf(metadata, "ls_provider");
  const model = textOf(metadata, "ls_model_name");
  const modelType = textOf(metadata, "ls_model_type");
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    ...(modelType === undefined ? {} : { model_type: modelType }),
  };
}
