import type { JsonText } from "../../core/json.js";
import { asJsonText } from "../../core/json.js";
import type { NewRunEvent, RunEventKind } from "../../core/run-event.js";
import type { StreamMode } from "../../core/run.js";
import { createLifecycleEvents } from "./lifecycle-events.js";
import { createMessageEvents } from "./message-events.js";
import { OBSERVED_MODES } from "./observed-events.js";
import { serialize } from "./serialize.js";
import { checkpointPayload, debugPayload, isCheckpointEnvelope, taskPayload } from "./stream-payloads.js";

/** LangGraph's own stream modes. */
export type LangGraphMode = "values" | "updates" | "messages" | "custom" | "checkpoints" | "tasks" | "debug" | "tools";

/** Namespaces whose last values are remembered, for the values that go with an interrupt in them. */
const MAX_NAMESPACES = 256;

/** Which modes to ask LangGraph for, and whether to see nested graphs. */
export interface StreamPlan {
  readonly modes: readonly LangGraphMode[];
  readonly subgraphs: boolean;
  /** Mode `events`: the graph is run by `streamEvents`. */
  readonly events: boolean;
  /** Mode `checkpoints` is taken out of `debug`, because asking for it takes the envelopes away that the thread's log shows. */
  readonly checkpointsInDebug: boolean;
}

/** Modes beside those that were asked for, all nested graphs included. */
export interface StreamUses {
  /** The thread's log is written. */
  readonly threadEvents: boolean;
  /** Somebody observes the run. */
  readonly observed: boolean;
}

/** What the thread's log is made of. */
const THREAD_MODES = ["values", "updates", "messages", "tools", "custom", "tasks"] as const;

/**
 * Exactly what was asked for, plus `values`, whose last one is the run's result. Nested graphs are looked into for
 * `messages*` too, because nested model calls belong to them (docs/wire/langgraph-api.md §3.2).
 */
export function planStream(
  asked: readonly StreamMode[],
  streamSubgraphs: boolean,
  { threadEvents = false, observed = false }: Partial<StreamUses> = {},
): StreamPlan {
  const modes = new Set<LangGraphMode>(threadEvents ? THREAD_MODES : ["values"]);
  if (observed) for (const mode of OBSERVED_MODES) modes.add(mode);
  let events = false;
  let nested = false;
  for (const mode of asked) {
    if (mode === "events") events = true;
    else if (mode === "messages" || mode === "messages-tuple" || mode === "lifecycle") {
      modes.add(mode === "lifecycle" ? "tasks" : "messages");
      nested = true;
    } else modes.add(mode);
  }
  const checkpointsInDebug = threadEvents && modes.has("checkpoints");
  if (checkpointsInDebug) {
    modes.delete("checkpoints");
    modes.add("debug");
  }
  return {
    modes: [...modes],
    subgraphs: streamSubgraphs || nested || threadEvents || observed,
    events,
    checkpointsInDebug,
  };
}

/** Turns LangGraph's stream into events of the wire, and remembers what the run's result needs. */
export interface StreamParts {
  /** One chunk: `[mode, payload]`, or `[namespace, mode, payload]` when nested graphs are looked into. */
  push(chunk: unknown, out: NewRunEvent[]): void;
  /** The graph has stopped, and with it what runs inside. */
  end(status: "completed" | "failed" | "interrupted", out: NewRunEvent[]): void;
  /** An event of `streamEvents` that is not the root graph's own chunk. */
  pushEvent(event: { readonly tags?: readonly string[] }, out: NewRunEvent[]): void;
  /** Last values of the root graph, without interrupts; `undefined` when it had none. */
  result(): JsonText | undefined;
  /** An interrupt was seen, at whatever depth. */
  readonly interrupted: boolean;
}

interface Values {
  last: unknown;
  text: JsonText | undefined;
  interrupts: unknown[] | undefined;
}

export function createStreamParts(options: {
  readonly asked: readonly StreamMode[];
  readonly streamSubgraphs: boolean;
  readonly plan: StreamPlan;
}): StreamParts {
  const asked: ReadonlySet<StreamMode> = new Set(options.asked);
  const messages = asked.has("messages") ? createMessageEvents() : null;
  const lifecycle = asked.has("lifecycle") ? createLifecycleEvents() : null;
  const namespaces = new Map<string, Values>();
  let root: Values | undefined;
  let interrupted = false;

  /** Metadata of token events: one object for each model call, so that its JSON is kept. */
  let lastMetadata: unknown;
  let lastMetadataText: JsonText = asJsonText("{}");
  const metadataText = (metadata: unknown): JsonText => {
    if (metadata !== lastMetadata) {
      lastMetadata = metadata;
      lastMetadataText = serialize(metadata);
    }
    return lastMetadataText;
  };

  const valuesOf = (namespace: string): Values => {
    const known = namespace === "" ? root : namespaces.get(namespace);
    if (known !== undefined) return known;
    const fresh: Values = { last: undefined, text: undefined, interrupts: undefined };
    if (namespace === "") root = fresh;
    else {
      namespaces.set(namespace, fresh);
      if (namespaces.size > MAX_NAMESPACES) namespaces.delete(namespaces.keys().next().value ?? "");
    }
    return fresh;
  };

  /**
   * LangGraph streams an interrupt as `{__interrupt__}` alone; the wire has it beside the state (§2.6.2, the Platform's
   * form), and the last event has all interrupts of the superstep.
   */
  const pushValues = (namespace: string, payload: unknown, event: string | null, out: NewRunEvent[]): void => {
    const values = valuesOf(namespace);
    const interrupts = interruptsOf(payload);
    if (interrupts === null) {
      values.last = payload;
      values.text = undefined;
      if (event !== null) {
        const shown = values.interrupts === undefined ? payload : withInterrupts(payload, values.interrupts);
        const data = serialize(shown);
        if (shown === payload) values.text = data;
        out.push({ event, data, kind: "state" });
      }
      if (namespace === "") messages?.values(payload, out);
      return;
    }
    interrupted = true;
    values.interrupts = [...(values.interrupts ?? []), ...interrupts];
    if (event !== null) {
      out.push({ event, data: serialize(withInterrupts(values.last, values.interrupts)), kind: "state" });
    }
  };

  const pushMessage = (suffix: string, payload: unknown, out: NewRunEvent[]): void => {
    const [message, metadata] = payload as readonly [unknown, unknown];
    if (asked.has("messages-tuple")) {
      const data = asJsonText(`[${serialize(message)},${metadataText(metadata)}]`);
      out.push({ event: `messages${suffix}`, data, kind: "token" });
    }
    messages?.token(message, metadata, out);
  };

  const push = (chunk: unknown, out: NewRunEvent[]): void => {
    const parts = chunk as readonly unknown[];
    const [path, mode, payload] = options.plan.subgraphs
      ? (parts as readonly [readonly string[] | null, LangGraphMode, unknown])
      : ([null, ...parts] as unknown as readonly [null, LangGraphMode, unknown]);
    const namespace = path === null ? "" : path.join("|");
    const nested = namespace !== "";
    const suffix = nested && options.streamSubgraphs ? `|${namespace}` : "";
    if (mode === "messages") {
      pushMessage(suffix, payload, out);
      return;
    }
    lifecycle?.observe(path ?? [], mode, out);
    if (mode === "values") {
      const shown = asked.has("values") && (!nested || options.streamSubgraphs);
      if (nested && !options.streamSubgraphs) interrupted ||= interruptsOf(payload) !== null;
      else pushValues(namespace, payload, shown ? `values${suffix}` : null, out);
      return;
    }
    // LangGraph adds light checkpoint chunks that nobody asked for (Appendix A19). What a nested graph writes to
    // `custom` is the run's, as with LangGraph's own stream.
    const hidden = nested && !options.streamSubgraphs && mode !== "custom";
    if (!hidden && mode === "debug" && options.plan.checkpointsInDebug) pushCheckpointOf(payload, suffix, out);
    if (asked.has(mode) && !hidden && !(mode === "checkpoints" && isCheckpointEnvelope(payload))) {
      out.push({ event: `${mode}${suffix}`, data: serialize(wirePayload(mode, payload)), kind: kindOf(mode) });
    }
    if (mode === "tasks") lifecycle?.task(path ?? [], payload, out);
  };

  return {
    push,
    end: (status, out) => lifecycle?.end(status, out),
    pushEvent: (event, out) => {
      if (event.tags?.includes("langsmith:hidden") === true) return;
      out.push({ event: "events", data: serialize(event), kind: "token" });
    },
    result: () => (root === undefined || root.last === undefined ? undefined : (root.text ?? serialize(root.last))),
    get interrupted() {
      return interrupted;
    },
  };
}

const kindOf = (mode: LangGraphMode): RunEventKind => (mode === "messages" ? "token" : "state");

/** The checkpoint in a chunk of mode `debug`, as mode `checkpoints` shows it. */
function pushCheckpointOf(event: unknown, suffix: string, out: NewRunEvent[]): void {
  const { type, payload } = event as { readonly type?: unknown; readonly payload?: unknown };
  if (type !== "checkpoint") return;
  out.push({ event: `checkpoints${suffix}`, data: serialize(checkpointPayload(payload)), kind: "state" });
}

function wirePayload(mode: LangGraphMode, payload: unknown): unknown {
  if (mode === "tasks") return taskPayload(payload);
  if (mode === "checkpoints") return checkpointPayload(payload);
  if (mode === "debug") return debugPayload(payload);
  return payload;
}

function interruptsOf(payload: unknown): readonly unknown[] | null {
  if (typeof payload !== "object" || payload === null || !("__interrupt__" in payload)) return null;
  const { __interrupt__: interrupts } = payload;
  return Array.isArray(interrupts) ? interrupts : null;
}

/** A state that is not an object (functional API) has no room for a key. */
function withInterrupts(values: unknown, interrupts: readonly unknown[]): unknown {
  const isObject = typeof values === "object" && values !== null && !Array.isArray(values);
  return { ...(isObject ? values : {}), __interrupt__: interrupts };
}
