import type { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import type { StreamTransformer } from "@langchain/langgraph";
import type { Clock } from "../../core/clock.js";
import type { Logger } from "../../core/logger.js";
import type { NewRunEvent } from "../../core/run-event.js";
import type { PregelLike } from "../graph-source.js";
import { isCheckpointEnvelope, taskPayload } from "../streams/stream-payloads.js";
import { createEventWriter } from "./event-writer.js";
import { createInputRequests } from "./input-requests.js";
import { createMessageChannel } from "./message-events.js";
import { watchCalls } from "./model-calls.js";
import { createNamespaces, type NamespaceChange } from "../streams/namespaces.js";
import { type Fields, isFields, isTaskResult } from "../streams/shapes.js";
import { toolData, isLastOfTool } from "./tool-events.js";
import { createTransformers, type OpenEvent } from "./transformers.js";
import { writeEvent } from "./write-event.js";

/** How a graph stopped, as its thread's listeners see it. */
export type GraphEnd =
  { readonly kind: "ended" } | { readonly kind: "stopped" } | { readonly kind: "failed"; readonly error: unknown };

/** Turns LangGraph's stream into protocol events of a thread (docs/wire/langgraph-api.md §4.4), for one attempt of a run. */
export interface ThreadEvents {
  /** For `callbacks` of the run's config. */
  readonly handlers: readonly BaseCallbackHandler[];
  /** One chunk of the stream: `[namespace, mode, payload]`. */
  push(chunk: unknown): void;
  /** What is still open ends; nothing comes after it. The root's own `lifecycle` is the runtime's. */
  end(end: GraphEnd): Promise<void>;
}

export function createThreadEvents(options: {
  readonly graph: PregelLike;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes the events, as they come. */
  readonly emit: (event: NewRunEvent) => void;
}): ThreadEvents {
  const { clock, logger, emit } = options;
  const writer = createEventWriter(clock, emit);
  const write = (event: OpenEvent): void => writeEvent(writer, event);

  const transformers = createTransformers({
    factories:
      (options.graph as { readonly streamTransformers?: readonly (() => StreamTransformer)[] }).streamTransformers ??
      [],
    emit: (event) => {
      if (event.method === "lifecycle" && event.namespace.length > 0 && !isOwnChange)
        namespaces.observe(event.namespace);
      else write(event);
    },
    logger,
    clock,
  });
  const send = transformers === null ? write : transformers.push;

  /** Lifecycle events of transformers only tell that a namespace is there. */
  let isOwnChange = false;
  const namespaces = createNamespaces({
    onChange: (change) => {
      isOwnChange = true;
      send({ method: "lifecycle", namespace: change.namespace, data: lifecycleData(change) });
      isOwnChange = false;
    },
    agentName: (namespace) => watch.agentName(namespace),
  });
  const observe = (namespace: readonly string[]): void => {
    if (namespace.length > 0) namespaces.observe(namespace);
  };
  const watch = watchCalls((call) => messages.callEnded(call));
  const messages = createMessageChannel({
    writer,
    watch,
    observe,
    intercept:
      transformers === null
        ? null
        : ({ namespace, node }, data) =>
            transformers.push({ method: "messages", namespace, ...(node === undefined ? {} : { node }), data }),
  });

  const requests = createInputRequests((namespace, data) => send({ method: "input.requested", namespace, data }));

  const pushTool = (namespace: readonly string[], payload: unknown): void => {
    if (!isFields(payload)) return;
    const { toolCallId, name } = payload;
    const isOver = isLastOfTool(payload);
    const place = watch.placeOfTool({ toolCallId, name }, isOver) ?? { namespace };
    observe(place.namespace);
    if (typeof toolCallId === "string") namespaces.tool(place.namespace, toolCallId, isOver);
    send({ method: "tools", ...place, data: toolData(payload) });
  };

  return {
    handlers: [watch.handler],
    push(chunk) {
      const [path, mode, payload] = chunk as readonly [readonly string[] | null, string, unknown];
      const namespace = path ?? [];
      if (mode === "messages") {
        const [message, metadata] = payload as readonly [unknown, unknown];
        messages.push(message, metadata);
        return;
      }
      if (mode === "tools") {
        pushTool(namespace, payload);
        return;
      }
      if (mode === "checkpoints" ? !isCheckpointEnvelope(payload) : mode === "debug") return;
      observe(namespace);
      if ((mode === "values" || mode === "updates") && requests.take(namespace, payload)) return;
      if (mode === "tasks") {
        const shown = taskPayload(payload);
        closeTask(namespace, shown);
        send({ method: "tasks", namespace, data: shown });
        namespaces.task(namespace, shown);
        return;
      }
      if (mode !== "updates") {
        send({ method: mode, namespace, data: payload });
        return;
      }
      for (const [node, values] of Object.entries(isFields(payload) ? payload : {})) {
        // `__metadata__` says that the result was cached.
        if (!node.startsWith("__")) send({ method: "updates", namespace, node, data: { node, values: values ?? {} } });
      }
    },
    async end(end) {
      messages.close([]);
      if (end.kind === "failed") transformers?.fail(end.error);
      else if (end.kind === "ended") await transformers?.finish();
      if (end.kind === "failed") namespaces.end("failed");
      else namespaces.end(requests.interrupted || end.kind === "stopped" ? "interrupted" : "completed");
    },
  };

  /** A task that is done writes no more messages. */
  function closeTask(namespace: readonly string[], payload: unknown): void {
    if (!isFields(payload) || !isTaskResult(payload)) return;
    messages.close([...namespace, `${String(payload["name"])}:${String(payload["id"])}`]);
  }
}

function lifecycleData({ status, graphName, toolCallId, error }: NamespaceChange): Fields {
  return {
    event: status,
    graph_name: graphName,
    ...(toolCallId === undefined ? {} : { cause: { type: "toolCall", tool_call_id: toolCallId } }),
    ...(error === undefined ? {} : { error }),
  };
}
