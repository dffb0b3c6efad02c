import type { JsonText } from "./json.js";
import { toJsonText } from "./json.js";
import { isTerminal } from "./run-lifecycle.js";
import type { Run, TerminalRunStatus } from "./run.js";

/**
 * What an event is to the log when space runs out: `token` frames are evicted before `state` frames, `control` frames
 * (metadata, feedback, error, end) never.
 */
export type RunEventKind = "token" | "state" | "control";

/** An event as the engine or the runtime yields it. */
export interface NewRunEvent {
  /** SSE event name, byte-exact (docs/wire/langgraph-api.md §3.2). */
  readonly event: string;
  readonly data: JsonText;
  readonly kind: RunEventKind;
}

/** An event of a run's log. */
export interface RunEvent extends NewRunEvent {
  /** Starts at 0 and grows by one along the run, also over attempts. */
  readonly seq: number;
}

/** First event of every attempt (docs/wire/langgraph-api.md §3.3). */
export function metadataEvent(runId: string, attempt: number): NewRunEvent {
  return { event: "metadata", data: toJsonText({ run_id: runId, attempt }), kind: "control" };
}

/** After a successful execution, before `end` (§3.8). `urls` is `{key: url}`. */
export function feedbackEvent(urls: JsonText): NewRunEvent {
  return { event: "feedback", data: urls, kind: "control" };
}

/** Last event of a failed run (§3.5). `error` is `{error, message}`. */
export function errorEvent(error: JsonText): NewRunEvent {
  return { event: "error", data: error, kind: "control" };
}

/** Last event of a run that did not fail (§3.9). */
export function endEvent(runId: string, status: TerminalRunStatus | "rollback"): NewRunEvent {
  return { event: "end", data: toJsonText({ run_id: runId, status }), kind: "control" };
}

/**
 * Last event of a run that has ended, as its row tells it.
 * @param run `null` when the row is gone: the run was rolled back
 */
export function lastEvent(runId: string, run: Pick<Run, "status" | "error"> | null): NewRunEvent {
  if (run === null) return endEvent(runId, "rollback");
  if (run.error !== null) return errorEvent(run.error);
  if (isTerminal(run.status) && run.status !== "error") return endEvent(runId, run.status);
  return errorEvent(toJsonText({ error: "RunFailed", message: "The run failed." }));
}
