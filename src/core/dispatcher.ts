import type { CancelAction, RunRef } from "./run.js";

/**
 * Wakes workers and carries cancels between processes. Lossy by contract: the run row is the truth, and dropping every
 * notification may add latency but never loses work (design §1, rule 6).
 */
export interface Dispatcher {
  /** A run of this thread became due, or will in `delayMs`. */
  announce(threadId: string, options?: { readonly delayMs?: number }): void;
  /**
   * Called for announcements of this and of other processes, at least in one process. Returns the unsubscriber. The promise
   * settles when the thread's due runs have been looked after, or there was no slot: a queue (BullMQ) holds its job until then.
   */
  onWork(fn: (threadId: string) => void | Promise<void>): () => void;
  /** A cancel was requested for a running run. */
  signal(run: RunRef, action: CancelAction): void;
  onSignal(fn: (run: RunRef, action: CancelAction) => void): () => void;
  close(): Promise<void>;
}
