import type { RunConfig } from "./assistant.js";
import type { EpochMs, JsonObject, JsonText } from "./json.js";

export type ThreadStatus = "idle" | "busy" | "interrupted" | "error";

/** Durable state of one conversation: checkpoints live in the checkpointer, this row is what searches see. */
export interface Thread {
  readonly threadId: string;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  /** When `values` last changed. */
  readonly stateUpdatedAt: EpochMs;
  /** After the first run it carries `graph_id` and `assistant_id`. */
  readonly metadata: JsonObject;
  /** Configuration of the assistant that ran last; graph factories receive it when state is read. */
  readonly config: RunConfig;
  readonly status: ThreadStatus;
  /** State values after the last run or state update; `null` before the first. */
  readonly values: JsonText | null;
  /** `{ [task_id]: Interrupt[] }` of the last checkpoint; `null` before the first run. */
  readonly interrupts: JsonText | null;
  /** `{error, message}` when `status` is `error`. */
  readonly error: JsonText | null;
}

/** A thread row's state columns, as a finished run or a state update leaves them. */
export interface ThreadStatePatch {
  /** Absent keeps the old value. */
  readonly values?: JsonText;
  readonly interrupts?: JsonText;
  readonly error?: JsonText | null;
}

export type ThreadSortField = "thread_id" | "status" | "created_at" | "updated_at" | "state_updated_at";
