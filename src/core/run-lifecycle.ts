import type { RunStatus, CancelAction, TerminalRunStatus } from "./run.js";
import type { ThreadStatus } from "./thread.js";

/** Why a run's signal was aborted: travels as `AbortSignal.reason`. */
export type AbortReason =
  | { readonly kind: "cancel"; readonly action: CancelAction }
  | { readonly kind: "lease-lost" }
  /** The attempt has taken longer than it may. */
  | { readonly kind: "timeout"; readonly timeoutMs: number }
  | { readonly kind: "shutdown" };

/** How often a run may be started before it ends as `error`. */
export const DEFAULT_MAX_ATTEMPTS = 3;

export function isTerminal(status: RunStatus): status is TerminalRunStatus {
  return status !== "pending" && status !== "running";
}

/**
 * Thread status after a run has ended (docs/wire/langgraph-api.md §2.9.1, step 6).
 * @param hasNext the last checkpoint has nodes left to run (an interrupt or a breakpoint)
 * @param hasInflight another run of the thread is pending or running
 */
export function threadStatusAfter(params: {
  readonly status: TerminalRunStatus | "rolled-back";
  readonly hasNext: boolean;
  readonly hasInflight: boolean;
}): ThreadStatus {
  if (params.hasInflight) return "busy";
  if (params.status === "error" || params.status === "timeout") return "error";
  return params.hasNext ? "interrupted" : "idle";
}

/** What becomes of an expired lease: pending again, or failed for good. */
export function afterExpiredLease(params: {
  readonly attempt: number;
  readonly maxAttempts: number;
}): "pending" | "error" {
  return params.attempt >= params.maxAttempts ? "error" : "pending";
}
