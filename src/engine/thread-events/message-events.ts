import { asJsonText } from "../../core/json.js";
import { serialize } from "../streams/serialize.js";
import { blocksOf } from "./content-blocks.js";
import type { EventWriter, Place } from "./event-writer.js";
import { type CallWatch, type ModelCall, placeOf } from "./model-calls.js";
import { finishOf, type MessageSink, OpenMessage } from "./open-message.js";
import { type Fields, isFields, isOfNode, textOf } from "../streams/shapes.js";

/** Authors that the channel knows; what tools answered is in the state, and on channel `tools`. */
const ROLES: ReadonlySet<unknown> = new Set(["ai", "human", "system"]);

/** Channel `messages` of one run, from LangGraph's `messages` mode and from what the models' callbacks tell. */
export interface MessageChannel {
  /** One item of LangGraph's `messages` stream. */
  push(message: unknown, metadata: unknown): void;
  /** A model has answered, or failed; its last tokens may still be on their way. */
  callEnded(call: ModelCall): void;
  /** The task that a namespace belongs to is done, or the run is: nothing more comes. */
  close(namespace: readonly string[]): void;
}

interface Open {
  readonly message: OpenMessage;
  readonly place: Place;
}

export interface MessageChannelOptions {
  readonly writer: EventWriter;
  readonly watch: Pick<CallWatch, "ownerOf" | "forget">;
  /** Before the first event of a place. */
  readonly observe: (namespace: readonly string[]) => void;
  /** Set where transformers have to see each event as an object. */
  readonly intercept: ((place: Place, data: Fields) => void) | null;
}

export function createMessageChannel(options: MessageChannelOptions): MessageChannel {
  const { writer, watch, observe, intercept } = options;
  const byCall = new Map<ModelCall, Open>();
  /** Chunks whose model is unknown: a graph that runs elsewhere. */
  const byId = new Map<string, Open>();

  let lastMetadata: unknown;
  let lastPlace: Place = { namespace: [] };
  /** LangGraph makes one object for each model call. */
  const placeFrom = (metadata: unknown): Place => {
    if (metadata !== lastMetadata) {
      lastMetadata = metadata;
      lastPlace = (isFields(metadata) ? placeOf(metadata) : undefined) ?? { namespace: [] };
    }
    return lastPlace;
  };

  const open = (message: Fields, place: Place, call: ModelCall | undefined): Open => {
    observe(place.namespace);
    const opened = new OpenMessage(createSink({ writer, intercept }, place, call?.runId));
    const metadata = call === undefined || Object.keys(call.metadata).length === 0 ? {} : { metadata: call.metadata };
    const id = textOf(message, "id") ?? (call === undefined ? undefined : `run-${call.runId}`);
    opened.start({ ...(id === undefined ? {} : { id }), role: roleOf(message), ...metadata });
    return { message: opened, place };
  };

  const addAll = ({ message: opened }: Open, message: Fields): void => {
    const { content } = message;
    if (typeof content === "string" && isPlainToken(message)) {
      if (content !== "") opened.addText(content);
    } else for (const block of blocksOf(message)) opened.add(block);
  };

  const whole = (message: Fields, place: Place, call: ModelCall | undefined): void => {
    const opened = open(message, place, call);
    addAll(opened, message);
    opened.message.finish(finishOf(message));
  };

  const settle = (call: ModelCall): void => {
    const { end } = call;
    if (end === null || call.seen < call.pushed) return;
    watch.forget(call);
    const opened = byCall.get(call);
    if (opened === undefined) return;
    byCall.delete(call);
    if (end.kind === "ended") opened.message.finish(finishOf(end.message));
    else opened.message.fail(end.error instanceof Error ? end.error.message : String(end.error));
  };

  const streamed = (message: Fields, place: Place, call: ModelCall): void => {
    let opened = byCall.get(call);
    if (opened === undefined) byCall.set(call, (opened = open(message, place, call)));
    addAll(opened, message);
    call.seen += 1;
    settle(call);
  };

  return {
    push(message, metadata) {
      if (!isFields(message) || !ROLES.has(roleOf(message))) return;
      const place = placeFrom(metadata);
      const call = watch.ownerOf(message);
      if (call !== undefined && call.pushed > 0) {
        streamed(message, place, call);
        return;
      }
      const id = textOf(message, "id");
      if (call !== undefined || id === undefined || !isChunk(message) || isOfNode(metadata)) {
        whole(message, place, call);
        return;
      }
      let opened = byId.get(id);
      if (opened === undefined) byId.set(id, (opened = open(message, place, undefined)));
      addAll(opened, message);
    },
    callEnded: settle,
    close(namespace) {
      if (byCall.size === 0 && byId.size === 0) return;
      const isUnder = ({ place }: Open): boolean => namespace.every((segment, at) => place.namespace[at] === segment);
      for (const [id, opened] of byId) {
        if (!isUnder(opened)) continue;
        byId.delete(id);
        opened.message.finish({});
      }
      for (const [call, opened] of byCall) {
        if (call.end === null || !isUnder(opened)) continue;
        // LangChain tells tokens in the background: those that are late belong to nobody any more.
        call.seen = call.pushed;
        settle(call);
      }
    },
  };
}

/** @param runId of the model's call: tells messages of one node apart that come at the same time */
function createSink(
  { writer, intercept }: Pick<MessageChannelOptions, "writer" | "intercept">,
  place: Place,
  runId: string | undefined,
): MessageSink {
  const own: Fields = runId === undefined ? {} : { run_id: runId };
  if (intercept !== null) {
    const event = (data: Fields): void => intercept(place, { ...data, ...own });
    return {
      event,
      text: (index, kind, text) =>
        event({ event: "content-block-delta", index, delta: { type: `${kind}-delta`, [kind]: text } }),
    };
  }
  const placed = writer.at("messages", place);
  const tail = runId === undefined ? "}" : `,"run_id":${JSON.stringify(runId)}}`;
  return {
    event: (data) => placed.write(serialize({ ...data, ...own }), "token"),
    text(index, kind, text) {
      const delta = `{"type":"${kind}-delta","${kind}":${serialize(text)}}`;
      placed.write(asJsonText(`{"event":"content-block-delta","index":${index},"delta":${delta}${tail}`), "token");
    },
  };
}

function roleOf(message: Fields): unknown {
  const type = message["type"] ?? (message as { _getType?: () => unknown })._getType?.();
  if (type === "user") return "human";
  return type === "assistant" || type === "AIMessageChunk" ? "ai" : type;
}

/** Content is all it has. */
function isPlainToken(message: Fields): boolean {
  const {
    tool_call_chunks: chunks,
    tool_calls: calls,
    invalid_tool_calls: invalid,
    additional_kwargs: extra,
  } = message;
  if (isFields(extra) && extra["reasoning_content"] !== undefined) return false;
  return isEmpty(chunks) && isEmpty(calls) && isEmpty(invalid);
}

const isEmpty = (list: unknown): boolean => !Array.isArray(list) || list.length === 0;

/** Only chunks have `concat`. */
const isChunk = (message: Fields): boolean => typeof message["concat"] === "function";
