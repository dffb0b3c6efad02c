import type { EventCursor, EventPosition } from "../core/event-log.js";
import { isHeddleError } from "../core/errors.js";
import { toJsonText } from "../core/json.js";
import type { JsonText } from "../core/json.js";
import { endEvent, errorEvent } from "../core/run-event.js";
import type { RunEvent } from "../core/run-event.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { StreamMode } from "../core/run.js";
import type { AttachedRun } from "../services/runs.js";
import { encodeLateError } from "../wire/errors.js";
import { runPath } from "../wire/runs.js";
import { eventStream, whenLeft } from "./event-stream.js";
import type { Exchange } from "./exchange.js";
import type { HttpDeps } from "./http-deps.js";

/**
 * A run that ends this soon is answered in one piece; only then the head is sent before the result. A stream costs more
 * than a short run.
 */
const WAIT_GRACE_MS = 250;

export interface FollowOptions {
  /** The run is addressed without its thread. */
  readonly stateless: boolean;
  /** Cancel the run when the client leaves (docs/wire/langgraph-api.md §2.9.4). */
  readonly cancelOnDisconnect: boolean;
  /** Only these modes; `null` = all that the run has. */
  readonly streamModes?: readonly StreamMode[] | null;
  /** Of the answer, beside its own. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Where a join asked to start. Default: at the start, as the run's creator does. */
  readonly position?: EventPosition;
}

/**
 * A run's events as SSE (docs/wire/langgraph-api.md §3). `Location` is the join-stream path that both SDKs GET after a
 * lost connection. They append it to their base URL, so it carries no mount prefix.
 */
export function streamRun(exchange: Exchange, deps: HttpDeps, attached: AttachedRun, options: FollowOptions): Response {
  const { run } = attached;
  const modes = options.streamModes ?? null;
  return eventStream(exchange, deps, attached.cursor ?? endedCursor(run, options.position), {
    withIds: attached.cursor !== null,
    tokenGap: holdsState(modes ?? run.kwargs.streamModes) ? "continue" : "error",
    ...(modes === null ? {} : { filter: eventFilter(modes) }),
    headers: {
      ...options.headers,
      "content-location": runPath(run, options.stateless),
      // With the thread also for a stateless run: its events are found by both ids once the thread is gone.
      location: `${runPath(run, false)}/stream${rejoinSearch(options)}`,
    },
    subject: { threadId: run.threadId, runId: run.runId },
    onLeft: () => leave(exchange, deps, attached, options),
  });
}

/** The document of `wait` and `join` (§2.6.2), streamed behind newlines when it takes its time. */
export function awaitRun(
  exchange: Exchange,
  deps: HttpDeps,
  attached: AttachedRun,
  options: FollowOptions,
): Promise<Response> {
  const { run } = attached;
  const stop = new AbortController();
  const left = whenLeft(exchange.request, () => {
    stop.abort();
    leave(exchange, deps, attached, options);
  });
  return deps.streaming.waitResponse(deps.services.runs.result(exchange.caller, attached, stop.signal), {
    clock: deps.clock,
    keepAliveMs: deps.settings.heartbeatMs,
    graceMs: WAIT_GRACE_MS,
    signal: exchange.request.signal,
    headers: {
      ...exchange.headers,
      ...options.headers,
      "content-location": runPath(run, options.stateless),
      location: `${runPath(run, false)}/join${rejoinSearch({ ...options, streamModes: null, position: "now" })}`,
    },
    onCancel: left,
    onError: (error) => lateFailure(exchange, deps, run, error),
  });
}

/** The client has left before the end: cancel its run, if it wants that. */
function leave({ requestId, caller }: Exchange, deps: HttpDeps, attached: AttachedRun, options: FollowOptions): void {
  if (!options.cancelOnDisconnect || !attached.mayCancel) return;
  deps.services.runs.cancelDisconnected(caller, attached).catch((error: unknown) => {
    deps.logger.error({ requestId, runId: attached.run.runId, err: error }, "cancel on disconnect failed");
  });
}

/** The status is sent already: a failure is told in the document (§2.6.2). */
function lateFailure(exchange: Exchange, deps: HttpDeps, run: AttachedRun["run"], error: unknown): JsonText {
  const isExpected = isHeddleError(error) && (error.code === "SHUTTING_DOWN" || error.code === "EVENTS_GONE");
  const { requestId } = exchange;
  deps.logger[isExpected ? "warn" : "error"]({ requestId, runId: run.runId, err: error }, "wait failed");
  return toJsonText({ __error__: { ...encodeLateError(error, requestId) } });
}

/**
 * The query that a reconnecting client needs again: the Python SDK sends none of its own (§2.1.2). A client that was cut
 * off before its first event has no Last-Event-ID to send: it starts where it wanted to. The header wins over the query.
 */
function rejoinSearch(options: FollowOptions): string {
  const { position = "start" } = options;
  const search = new URLSearchParams();
  if (position !== "now") search.append("last_event_id", position === "start" ? "-1" : String(position.afterSeq));
  for (const mode of options.streamModes ?? []) search.append("stream_mode", mode);
  if (options.cancelOnDisconnect) search.append("cancel_on_disconnect", "1");
  return search.size === 0 ? "" : `?${search.toString()}`;
}

/** Whether frames that follow lost tokens repair what the client shows. */
function holdsState(modes: readonly StreamMode[]): boolean {
  return modes.some((mode) => mode !== "messages-tuple" && mode !== "custom" && mode !== "events");
}

/** Events of these modes (§3.2), in whatever namespace, and those that belong to no mode. */
function eventFilter(modes: readonly StreamMode[]): (event: RunEvent) => boolean {
  const names = new Set<string>();
  for (const mode of modes) {
    if (mode === "messages-tuple") names.add("messages");
    else if (mode === "messages") for (const kind of ["metadata", "partial", "complete"]) names.add(`messages/${kind}`);
    else names.add(mode);
  }
  return (event) => event.kind === "control" || names.has(event.event.split("|", 1)[0] as string);
}

/** A stream of a run whose log is no longer kept: how it ended, or that the wanted events are gone. */
function endedCursor(run: AttachedRun["run"], position: EventPosition | undefined): EventCursor {
  const resumes = typeof position === "object";
  const last =
    resumes || !isTerminal(run.status)
      ? errorEvent(toJsonText({ error: "EventsGone", message: "The requested events are no longer kept." }))
      : run.error === null
        ? endEvent(run.runId, run.status)
        : errorEvent(run.error);
  let read = false;
  return {
    async next() {
      if (read) return { kind: "end" };
      read = true;
      return { kind: "events", events: [{ ...last, seq: 0 }] };
    },
    close() {
      read = true;
    },
  };
}
