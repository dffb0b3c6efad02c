import type { CancelAction, RunRef } from "./run.js";

/** What a listener did about a thread: `"no-slot"` when it had none free, and another process may have. */
export type WorkOutcome = "no-slot" | void;

/**
 * `threadId` `null`: any number of announcements may have been lost (a connection was), so look for work in every thread.
 */
export type WorkListener = (threadId: string | null) => WorkOutcome | Promise<WorkOutcome>;

export type SignalListener = (run: RunRef, action: CancelAction) => void;

/** @param topic `null`: any number of hints may have been lost, or did not fit, so whatever one waits for may have changed */
export type HintListener = (topic: string | null) => void;

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
  /**
   * Something about this topic changed, and is stored. Hints of one topic in one turn of the event loop are one; heard in this process
   * without a round trip.
   * @param topic a short text; one that does not fit in a notification (some 7,000 bytes) is heard as `null` elsewhere
   */
  hint(topic: string): void;
  /** Called for hints of this process and, where {@link Dispatcher.hearsOthers}, of the others. Returns the unsubscriber. */
  onHint(fn: HintListener): () => void;
  /** Whether hints of other processes arrive here. Where they do not, whoever waits for one has to look by himself. */
  readonly hearsOthers: boolean;
  /** Send what waits, within a second or so; then silence. Idempotent. */
  close(): Promise<void>;
}
