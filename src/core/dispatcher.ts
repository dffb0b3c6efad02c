import type { CancelAction, RunRef } from "./run.js";

/** What a listener did about a thread: `"no-slot"` when it had none free, and another process may have. */
export type WorkOutcome = "no-slot" | void;

/**
 * `threadId` `null`: any number of announcements may have been lost (a connection was), so look for work in every thread.
 */
export type WorkListener = (threadId: string | null) => WorkOutcome | Promise<WorkOutcome>;

export type SignalListener = (run: RunRef, action: CancelAction) => void;

/**
 * Wakes workers and carries cancels between processes. Lossy by contract: the run row is the truth, and dropping every
 * notification may add latency but never loses work (design §1, rule 6). Nothing is thrown: what cannot be sent is logged.
 */
export interface Dispatcher {
  /** A run of this thread became due, or will in `delayMs`. */
  announce(threadId: string, options?: { readonly delayMs?: number }): void;
  /**
   * Called for announcements of this and of other processes, at least in one process, at times more than once. Returns the
   * unsubscriber. The promise settles when the thread's due runs have been looked after, or there was no slot: a queue
   * (BullMQ) holds its job until then.
   */
  onWork(fn: WorkListener): () => void;
  /** A cancel was requested for a running run. Heard in every process, at times more than once. */
  signal(run: RunRef, action: CancelAction): void;
  onSignal(fn: SignalListener): () => void;
  /** Send what waits, within a second or so; then silence. Idempotent. */
  close(): Promise<void>;
}
