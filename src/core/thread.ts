import type { RunConfig } from "./assistant.js";
import type { EpochMs, JsonObject, JsonText } from "./json.js";

export type ThreadStatus = "idle" | "busy" | "interrupted" | "error";

/** What happens to a thread whose time is over: it is removed, or its checkpoints are but for the newest (§2.4.1 `ttl`). */
export const TTL_STRATEGIES = ["delete", "keep_latest"] as const;
export type TtlStrategy = (typeof TTL_STRATEGIES)[number];

/** How long a thread is kept after it was last active (`Thread.updatedAt`). */
export interface ThreadTtl {
  readonly strategy: TtlStrategy;
  readonly ttlMs: number;
}

/** About a hundred years: what is added to a date must still be one. */
export const MAX_TTL_MINUTES = 52_560_000;

/** @param minutes as the wire has them; fractions are allowed */
export function threadTtl(strategy: TtlStrategy, minutes: number): ThreadTtl {
  return { strategy, ttlMs: Math.max(1, Math.round(minutes * 60_000)) };
}

/** When a thread expires, unless something happens to it before; `null`: never. */
export function expiresAt({ ttl, updatedAt }: Pick<Thread, "ttl" | "updatedAt">): EpochMs | null {
  return ttl === null ? null : updatedAt + ttl.ttlMs;
}

/** Durable state of one conversation: checkpoints live in the checkpointer, this row is what searches see. */
export interface Thread {
  readonly threadId: string;
  readonly createdAt: EpochMs;
  /** When its row last changed: a run began or ended, metadata or state were updated. Its time to live starts here. */
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
  /** `null`: it is kept until somebody deletes it. */
  readonly ttl: ThreadTtl | null;
}

/** A thread row's state columns, as a finished run or a state update leaves them. */
export interface ThreadStatePatch {
  /** Absent keeps the old value. */
  readonly values?: JsonText;
  readonly interrupts?: JsonText;
  readonly error?: JsonText | null;
}

export type ThreadSortField = "thread_id" | "status" | "created_at" | "updated_at" | "state_updated_at";
