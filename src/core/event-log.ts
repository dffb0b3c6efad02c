import type { Clock } from "./clock.js";
import type { NewRunEvent, RunEvent } from "./run-event.js";
import type { RunRef } from "./run.js";

/**
 * Where a reader starts: at the first kept event, at its join point, or strictly after a sequence number. `afterSeq`
 * below 0 is `"start"`; beyond the newest event, or not an integer, it is `"now"` (docs/wire/langgraph-api.md §3.10).
 */
export type EventPosition = "start" | "now" | { readonly afterSeq: number };

/** One pull of a cursor. */
export type CursorRead =
  /** Events that were waiting, oldest first, never empty: all of them, up to some 256 kB at a time. */
  | { readonly kind: "events"; readonly events: readonly RunEvent[] }
  /** The log is sealed and this cursor has read all of it, or the cursor was closed. */
  | { readonly kind: "end" }
  /**
   * Events from this position on are gone; the cursor continues at `resumeAtSeq`. What else was evicted by then is
   * skipped without another gap. `lost` is `"token"` when all that is missing are token frames, which later state frames
   * repair.
   */
  | { readonly kind: "gap"; readonly resumeAtSeq: number; readonly lost: "token" | "state" };

/** A reader's position in a log. Holds no queue; cursors never disturb one another. */
export interface EventCursor {
  /** Resolves when something waits. Rejects with the signal's reason, or when the storage fails. One call at a time. */
  next(signal?: AbortSignal): Promise<CursorRead>;
  /** A pending `next` resolves to `end`. Idempotent. */
  close(): void;
}

/**
 * What runs streamed, by sequence number (design §4, EventLog). A log lives until `ttlMs` after its run's end
 * and holds `maxBytes` per run.
 */
export interface EventLog {
  /**
   * Append events of one run, in order; cheap and synchronous. Readers see them when they are stored; a durable log writes
   * in batches. Events for a log that is not open here (never begun, sealed, dropped, taken over by a greater lease token) are
   * discarded.
   * @returns the sequence number of the last one, or -1 when they were discarded.
   */
  append(run: RunRef, events: readonly NewRunEvent[]): number;
  /**
   * Make a run's log known before its first event, so that a reader can wait on it. Continues after the stored maximum.
   * On a log that exists already it changes nothing.
   * @param options.resumable the client may come back for the whole log: kept for `ttlMs` even when nobody has read it.
   *   Default false.
   * @param options.leaseToken of the worker that will append. From here on a durable log refuses what holders of a smaller
   *   token append, in any process: they cannot reach readers, nor the storage. Default 0: whoever made the run. On a log of a
   *   greater token it changes nothing. 1 is the first claim's: nobody has appended before.
   * @param options.isNew the run was made just now, so that no log of it can be there: saves the question. Default false.
   * @param options.lasting the log of a thread (core/thread-event `threadLogOf`), which its runs write one after the other: it is never
   *   sealed, its numbers go on for its life, and it {@link rest}s between runs. Implies `resumable`; stays as the first begin said.
   *   One that is begun without a token, and into which nothing is ever written, is gone after an hour unless somebody reads it.
   *   A greater token takes it over: what holders of smaller ones have appended in this very process before still counts.
   *   Default false.
   */
  begin(run: RunRef, options?: BeginOptions): Promise<void>;
  /**
   * A run is over, and with it what it writes to a lasting log. Flushes first. What is in the log is kept `ttlMs` longer, unless a
   * run begins meanwhile; then it is deleted, and only how far it went is kept, so that its numbers go on. Readers wait for the next
   * run; those that have not read all by then get a gap. Works on a log that a crash left, without `begin`.
   * @param options.leaseToken of the run that is over: nothing happens while one of a greater token, or another one of the same,
   *   writes the log. Default: the log rests whoever writes it, until his next event.
   */
  rest(run: RunRef, options?: { readonly leaseToken?: number }): Promise<void>;
  /** Resolves when everything appended so far is as durable as this log makes it. */
  flush(run: RunRef): Promise<void>;
  /**
   * The run is over, as its row says: readers that have read all of the log end. Flushes first. Idempotent: on a sealed log
   * `last` is discarded. Works on a log that another process writes, or a crash left, without `begin`: that one can then
   * append no more. Of several processes that end a log one does, with its `last`.
   * @param last the run's last events, written in the same step, so that no crash leaves an end without a seal
   */
  seal(run: RunRef, last?: readonly NewRunEvent[]): Promise<void>;
  /**
   * A cursor, or `null` when no log of the run is kept (never begun, or expired).
   * @param options.patient the run's outcome is wanted: events may be kept back until its end, and need not be stored by then.
   *   A log without other readers is written in fewer steps. Default false.
   */
  open(run: RunRef, position: EventPosition, options?: { readonly patient?: boolean }): Promise<EventCursor | null>;
  /** How far a log goes, as readers see it now; `null` when none is kept. */
  extent(run: RunRef): Promise<LogExtent | null>;
  /** Forget a run's log. Its readers end, with a gap before if something was unread. */
  drop(run: RunRef): Promise<void>;
  /** Forget all logs of a thread. */
  dropThread(threadId: string): Promise<void>;
  /** Drop logs whose time is over. Called by the sweeper. @returns how many were dropped. */
  sweep(): Promise<number>;
  /**
   * Logs that were begun, are not lasting, were never sealed, and that no run of this process writes: other processes write them, or a crash
   * left them. The runtime seals those whose run has ended; the others wait for their next attempt. So many at once; the next
   * call names the next ones, and begins again after the last.
   */
  unsealed(): Promise<readonly RunRef[]>;
  /**
   * Lasting logs that do not rest and that no run of this process writes, as {@link unsealed} names others: whoever writes one is
   * another process, or has crashed.
   */
  restless(): Promise<readonly RestlessLog[]>;
  /**
   * Lasting logs that ever had an event, so that those whose threads are gone can be dropped; in order of their ids. A log that
   * forgets them by itself names none.
   * @param after the last one of the page before
   */
  lasting(after?: RunRef): Promise<readonly RunRef[]>;
  /** Flush, end all readers, release everything. Idempotent. */
  close(): Promise<void>;
}

/** A lasting log that does not rest. */
export interface RestlessLog extends RunRef {
  /** Of whoever wrote it last: with this token it is put to rest unless somebody else has begun to write it. */
  readonly leaseToken: number;
}

/** See {@link EventLog.begin}. */
export interface BeginOptions {
  readonly resumable?: boolean;
  readonly leaseToken?: number;
  readonly isNew?: boolean;
  readonly lasting?: boolean;
}

/** How far a log goes. */
export interface LogExtent {
  /** The number that the next event gets. */
  readonly nextSeq: number;
  /** Events up to this one may be missing; -1 when none was evicted. `nextSeq - 1` when all are gone. */
  readonly evictedToSeq: number;
  /** The same of state frames alone, which token frames do not repair. */
  readonly statesEvictedToSeq: number;
}

export interface EventLogOptions {
  readonly clock: Clock;
  /** How long a sealed log is kept; an open reader that has not read all of it extends this once. Default 120,000. */
  readonly ttlMs?: number;
  /**
   * How long a sealed log is kept when the run is not resumable and no reader left before its end. Default 10,000.
   */
  readonly unreadTtlMs?: number;
  /**
   * Bytes kept per run: UTF-8 length of names and data plus 64 per event. Default 64 MiB. Token frames are evicted before
   * state frames, oldest first; control frames, the newest state frame and the newest eighth of the bytes stay.
   */
  readonly maxBytes?: number;
  /** Bytes of sealed logs kept in memory, all runs together; beyond, the oldest are let go. Default 64 MiB. */
  readonly maxSealedBytes?: number;
}

export const EVENT_LOG_DEFAULTS = {
  ttlMs: 120_000,
  unreadTtlMs: 10_000,
  maxBytes: 64 * 1024 * 1024,
  maxSealedBytes: 64 * 1024 * 1024,
} as const;
