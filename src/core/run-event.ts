import type { JsonText } from "./json.js";

/**
 * What an event is to the log when space runs out: `token` frames are evicted before `state` frames, `control` frames
 * (metadata, error, end) never.
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
