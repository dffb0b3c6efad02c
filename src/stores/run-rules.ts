import { HeddleError } from "../core/errors.js";
import type { EpochMs, JsonObject } from "../core/json.js";
import type { NewRun } from "../core/metadata-store.js";
import { threadStatusAfter } from "../core/run-lifecycle.js";
import type { CancelAction, TerminalRunStatus } from "../core/run.js";
import type { ThreadStatus, ThreadTtl, TtlStrategy } from "../core/thread.js";

/* Rules of the run queue that every store applies inside its transactions. */

/** A thread's status without runs in flight: what the last run or state update left. */
export type SettledStatus = Exclude<ThreadStatus, "busy">;

/**
 * What an ended run leaves a thread in, once nothing else is in flight.
 * @param before what the thread was in before the run: a rollback leaves a failed thread failed (Appendix A3)
 */
export function settledStatusAfter(
  status: TerminalRunStatus | "rolled-back",
  hasNext: boolean,
  before: SettledStatus,
): SettledStatus {
  if (status === "rolled-back" && before === "error") return "error";
  const after = threadStatusAfter({ status, hasNext, hasInflight: false });
  return after === "busy" ? "idle" : after;
}

/** Of two cancels of one run the one that undoes more: a rollback is never weakened to an interrupt. */
export function strongerCancel(stored: CancelAction | null, requested: CancelAction): CancelAction {
  return stored === "rollback" ? "rollback" : requested;
}

/** How the SQL stores keep a time to live. */
export type TtlColumns = {
  readonly ttl_ms: number | null;
  readonly ttl_strategy: TtlStrategy | null;
};

export function ttlColumns(ttl: ThreadTtl | null): TtlColumns {
  return { ttl_ms: ttl?.ttlMs ?? null, ttl_strategy: ttl?.strategy ?? null };
}

export function ttlOf({ ttl_ms: ttlMs, ttl_strategy: strategy }: TtlColumns): ThreadTtl | null {
  return ttlMs === null || strategy === null ? null : { strategy, ttlMs };
}

/** Nobody makes a thread of an id whose former thread is not gone yet: it would begin with, and then lose, its checkpoints. */
export function beingRemoved(threadId: string): HeddleError {
  return new HeddleError("THREAD_BUSY", {
    message: `Thread ${threadId} has expired and is being removed. Try again in a moment.`,
    details: { threadId, removing: true, retryAfterMs: 1000 },
  });
}

/** What a thread's metadata gains with every run on it. */
export function withRunIds(metadata: JsonObject, draft: NewRun): JsonObject {
  return { ...metadata, graph_id: draft.graphId, assistant_id: draft.assistantId };
}

/** Metadata of a new run, given its thread's: assistant ⊕ thread ⊕ request (docs/wire/langgraph-api.md §2.9.1). */
export function runMetadata(threadMetadata: JsonObject, draft: NewRun): JsonObject {
  return { ...draft.assistantMetadata, ...threadMetadata, ...draft.metadata };
}

/** Error of a run whose workers were lost once too often: `{error, message}`. */
export function maxAttemptsError(
  attempt: number,
  workerId: string | null,
): { readonly error: "MaxAttemptsExceeded"; readonly message: string } {
  const times = attempt === 1 ? "once" : `${attempt} times`;
  const last = workerId === null ? "" : ` The last one was ${workerId}.`;
  return {
    error: "MaxAttemptsExceeded",
    message: `The run was started ${times}, and its worker was lost each time.${last}`,
  };
}

/**
 * When a run that is taken back may start again; `null` is at once. With a cancel requested nothing is executed, so nothing
 * is worth a pause.
 */
export function retryAtAfter(params: {
  readonly now: EpochMs;
  readonly attempt: number;
  readonly cancel: CancelAction | null;
  readonly retryDelayMs: ((attempt: number) => number) | undefined;
}): EpochMs | null {
  const delayMs = params.cancel === null ? (params.retryDelayMs?.(params.attempt) ?? 0) : 0;
  return delayMs > 0 ? params.now + Math.ceil(delayMs) : null;
}
