import { type EpochMs, isJsonObject, type JsonText, parseJsonText, toJsonText } from "./json.js";
import type { NewRunEvent, RunEventKind } from "./run-event.js";
import type { RunRef } from "./run.js";

/** Channels of the thread event protocol that clients subscribe to (docs/wire/langgraph-api.md §4.4); also `custom:<name>`. */
export const THREAD_CHANNELS = [
  "values",
  "updates",
  "messages",
  "tools",
  "lifecycle",
  "input",
  "checkpoints",
  "tasks",
  "custom",
] as const;
export type ThreadChannel = (typeof THREAD_CHANNELS)[number];

/**
 * The log of a watched thread's protocol events, as the event log knows it: under a pseudo run whose id is the thread's. It
 * is lasting: never sealed, its numbers go on for the thread's life.
 */
export function threadLogOf(threadId: string): RunRef {
  return { runId: threadId, threadId };
}

/**
 * The fencing token of whoever executes a run, for its thread's log: when the run was claimed, by the store's clock. It grows
 * along a thread's claims, whatever the order in which its runs were made (`after_seconds`), and is a safe integer.
 * @param run as its claim gave it: `updatedAt` is the time of the claim
 */
export function threadLogToken(run: { readonly updatedAt: EpochMs }): number {
  return run.updatedAt;
}

/**
 * An event of a thread's log.
 * @param name the wire's method, or `custom:<name>`
 * @param namespace path of the graph it comes from, outermost first; `[]` is the root
 * @param params JSON text of the wire's `params`: `{namespace, timestamp, node?, data}`
 */
export function threadEvent(
  name: string,
  namespace: readonly string[],
  params: JsonText,
  kind: RunEventKind,
): NewRunEvent {
  return { event: threadEventName(name, namespace), data: params, kind };
}

const ROOT_STEPS = ["running", "completed", "failed", "interrupted"] as const;

/** Where a run begins or ends for its thread's listeners: `lifecycle` of the whole graph (docs/wire/langgraph-api.md §4.4). */
export interface RootMark {
  readonly runId: string;
  /** The run's graph id. */
  readonly graphName: string;
  /** All but `running` are ends. */
  readonly step: (typeof ROOT_STEPS)[number];
}

/** The event that says so. `run_id` in its params is this server's addition. */
export function rootLifecycle(mark: RootMark & { readonly timestamp: EpochMs; readonly error?: string }): NewRunEvent {
  const { runId, graphName, step, timestamp, error } = mark;
  const data = { event: step, ...(error !== undefined && { error }), graph_name: graphName };
  return threadEvent("lifecycle", [], toJsonText({ namespace: [], timestamp, data, run_id: runId }), "control");
}

/** Read what {@link rootLifecycle} wrote; `null`: another event. */
export function rootMark({ event, data: text }: Pick<NewRunEvent, "event" | "data">): RootMark | null {
  if (event !== "lifecycle") return null;
  const params = parseJsonText(text);
  if (!isJsonObject(params) || !isJsonObject(params["data"])) return null;
  const { run_id: runId, data } = params;
  const { event: name, graph_name: graphName } = data;
  const step = ROOT_STEPS.find((one) => one === name);
  // A graph may send an event of this name, too.
  if (step === undefined || typeof runId !== "string" || typeof graphName !== "string") return null;
  return { runId, graphName, step };
}

/** `<name>` or `<name>|<segment>|…`: all that a filter looks at. A producer of many events of one place keeps it. */
export function threadEventName(name: string, namespace: readonly string[]): string {
  let event = escapePart(name);
  for (const segment of namespace) event += `|${escapePart(segment)}`;
  return event;
}

export interface ThreadEventParts {
  /** The method, or `custom:<name>`. */
  readonly name: string;
  readonly channel: ThreadChannel;
  /** On the wire: `custom` for all names of it. */
  readonly method: string;
  readonly namespace: readonly string[];
}

/** Read what {@link threadEvent} wrote into `event`. */
export function parseThreadEvent(event: string): ThreadEventParts {
  const [name = "", ...namespace] = event.split("|").map(unescapePart);
  const channel = channelOf(name);
  return { name, channel, method: channel === "custom" ? "custom" : name, namespace };
}

/** What a subscription asks for (§4.6). */
export interface ThreadEventFilter {
  /** A channel's name, or `custom:<name>`; `custom` is all of those. Unknown ones match nothing. */
  readonly channels: readonly string[];
  /** Prefixes; absent or empty: all. A prefix segment without `:` equals every segment of that name. */
  readonly namespaces?: readonly (readonly string[])[];
  /** How much deeper than a prefix an event may come from; only together with `namespaces`. */
  readonly depth?: number;
}

/** Whether a subscription sees an event; called for every event and reader. */
export function matchesFilter(filter: ThreadEventFilter, event: string): boolean {
  const end = event.indexOf("|");
  const name = end < 0 ? event : event.slice(0, end);
  if (!hasChannel(filter.channels, name)) return false;
  const { namespaces } = filter;
  if (namespaces === undefined || namespaces.length === 0) return true;
  const namespace = end < 0 ? [] : event.slice(end + 1).split("|");
  return namespaces.some(
    (prefix) =>
      prefix.length <= namespace.length &&
      (filter.depth === undefined || namespace.length - prefix.length <= filter.depth) &&
      prefix.every((segment, place) => matchesSegment(segment, unescapePart(namespace[place] ?? ""))),
  );
}

function hasChannel(channels: readonly string[], name: string): boolean {
  const channel = channelOf(name);
  for (const asked of channels) {
    if (asked === channel) return true;
    if (channel === "custom" && asked === unescapePart(name)) return true;
  }
  return false;
}

function matchesSegment(asked: string, segment: string): boolean {
  if (asked === segment) return true;
  return !asked.includes(":") && segment.startsWith(asked) && segment[asked.length] === ":";
}

function channelOf(name: string): ThreadChannel {
  if (name.startsWith("input.")) return "input";
  if (name.startsWith("custom:")) return "custom";
  return name as ThreadChannel;
}

/** Names of custom events are free text. */
function escapePart(part: string): string {
  return /[%|]/.test(part) ? part.replaceAll("%", "%25").replaceAll("|", "%7C") : part;
}

function unescapePart(part: string): string {
  return part.includes("%") ? part.replaceAll("%7C", "|").replaceAll("%25", "%") : part;
}
