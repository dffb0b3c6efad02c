import type { CancelAction, RunRef } from "./run.js";

/**
 * Wakes workers and carries cancels between processes. Lossy by contract: the run row is the truth, and dropping every
 * notification may add latency but never loses work (design §1, rule 6).
 */
export interface Dispatcher {
  /** A run of this thread became due, or will in `delayMs`. */
  announce(threadId: string, options?: { readonly delayMs?: number }): void;
  /** Called for every announcement, in this and in other processes. Returns the unsubscriber. */
  onWork(fn: (threadId: string) => void): () => void;
  /** A cancel was requested for a running run. */
  signal(run: RunRef, action: CancelAction): void;
  onSignal(fn: (run: RunRef, action: CancelAction) => void): () => void;
  close(): Promise<void>;
}
