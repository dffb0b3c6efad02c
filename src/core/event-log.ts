import type { NewRunEvent, RunEvent } from "./run-event.js";
import type { RunRef } from "./run.js";

/** Where a reader starts: at the first kept event, at its join point, or strictly after a sequence number. */
export type EventPosition = "start" | "now" | { readonly afterSeq: number };

/** One pull of a cursor. */
export type CursorRead =
  /** All events that were waiting, oldest first; never empty. */
  | { readonly kind: "events"; readonly events: readonly RunEvent[] }
  /** The log is sealed and this cursor has read all of it. */
  | { readonly kind: "end" }
  /** The position was evicted; `resumeAtSeq` is the oldest event still kept (the cursor continues there). */
  | { readonly kind: "gap"; readonly resumeAtSeq: number };

/** A reader's position in a log. Holds no queue; cursors never disturb one another. */
export interface EventCursor {
  /** Resolves when something waits. Rejects only with the signal's reason. */
  next(signal?: AbortSignal): Promise<CursorRead>;
  close(): void;
}

/**
 * What runs streamed, by sequence number (design §4, EventLog). A log lives until `eventLogTtlMs` after its run's end
 * and holds `maxBytes` per run.
 */
export interface EventLog {
  /**
   * Append events of one run, in order. Live readers see them at once; a durable log writes them in batches.
   * @returns the sequence number of the last one.
   */
  append(run: RunRef, events: readonly NewRunEvent[]): number;
  /** Make a run's log known before its first event, so that a reader can wait on it. Continues after the stored maximum. */
  begin(run: RunRef): Promise<void>;
  /** Resolves when everything appended so far is as durable as this log makes it. */
  flush(run: RunRef): Promise<void>;
  /** No more events will come: readers that have read all of it end. Flushes first. */
  seal(run: RunRef): Promise<void>;
  /** A cursor, or `null` when no log of the run is kept (never begun here, or expired). */
  open(run: RunRef, position: EventPosition): Promise<EventCursor | null>;
  /** Forget a run's log. */
  drop(run: RunRef): Promise<void>;
  /** Forget all logs of a thread. */
  dropThread(threadId: string): Promise<void>;
  /** Drop logs whose time is over. Called by the sweeper. @returns how many were dropped. */
  sweep(): Promise<number>;
  close(): Promise<void>;
}

export interface EventLogOptions {
  /** How long a sealed log is kept. Default 120,000. */
  readonly ttlMs?: number;
  /** How long a sealed log of a run that is not resumable and has no reader is kept. Default 10,000. */
  readonly unreadTtlMs?: number;
  /** Bytes kept per run. Default 64 MiB; token frames are evicted before state frames. */
  readonly maxBytes?: number;
}
