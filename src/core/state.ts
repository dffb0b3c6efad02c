import type { JsonObject, JsonText } from "./json.js";

/** A checkpoint as clients address it. */
export interface CheckpointAddress {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly checkpointId: string | null;
  readonly checkpointMap: JsonObject | null;
}

/** State of a thread at one checkpoint (docs/wire/langgraph-api.md §2.2 ThreadState). */
export interface ThreadState {
  readonly values: JsonText;
  readonly next: readonly string[];
  readonly tasks: readonly StateTask[];
  /** Checkpoint metadata; `null` for a thread that never ran. */
  readonly metadata: JsonText | null;
  /** ISO-8601, as the checkpoint holds it. */
  readonly createdAt: string | null;
  readonly checkpoint: CheckpointAddress | null;
  readonly parentCheckpoint: CheckpointAddress | null;
}

export interface StateTask {
  readonly id: string;
  readonly name: string;
  /** JSON array. */
  readonly path: JsonText;
  readonly error: JsonText | null;
  /** JSON array of `{id, value}`. */
  readonly interrupts: JsonText;
  /** Configurable of the child checkpoint when the task is a subgraph and its state was not asked for. */
  readonly checkpoint: JsonText | null;
  /** Nested state when it was asked for. */
  readonly state: ThreadState | null;
  readonly result: JsonText | null;
}

/** One write of a state update; `command` wins over `values` (docs/wire/langgraph-api.md §2.4.1). */
export interface StateUpdate {
  readonly values?: unknown;
  readonly command?: JsonObject;
  readonly asNode?: string;
}

/**
 * Graph ids under which protocols keep states that no graph makes: a whole JSON object in the one channel `__root__`. Every engine can
 * read such threads; they are no graphs of the user's, and nothing lists them.
 */
export const WHOLE_STATE_GRAPHS: readonly string[] = ["snapstate"];

/** The channel that holds such a state. */
export const WHOLE_STATE_CHANNEL = "__root__";
