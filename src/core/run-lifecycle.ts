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

/** Pauses after a crash, by the number of attempts so far; the last one for all that follow. */
const RETRY_DELAYS_MS = [0, 1_000, 5_000, 30_000, 60_000] as const;

/**
 * How long the thread of a run pauses after its worker was lost, before the next attempt: the first one follows at once,
 * because a crash is seldom the run's fault; then 1 s, 5 s, 30 s, and a minute from there on.
 * @param attempt attempts so far, from 1
 */
export function retryDelayMs(attempt: number): number {
  return RETRY_DELAYS_MS[Math.min(attempt, RETRY_DELAYS_MS.length) - 1] ?? 0;
}

/** The limit of one attempt: the smaller of the run's own and the server's; `null` when there is none. */
export function timeLimitMs(own: number | undefined, ofServer: number | null): number | null {
  if (own === undefined) return ofServer;
  return ofServer === null ? own : Math.min(own, ofServer);
}

/** Error of a run that took too long: `{error, message}`. */
export function runTimeoutError(timeoutMs: number): { readonly error: "RunTimeout"; readonly message: string } {
  return { error: "RunTimeout", message: `The run took longer than ${timeoutMs / 1000} s and was stopped.` };
}

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
