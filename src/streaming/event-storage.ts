import type { RestlessLog } from "../core/event-log.js";
import type { RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { Evicted } from "./read-position.js";

/** What a storage knows of a log without reading its events. */
export interface LogHead {
  /** One past the highest sequence number that was ever stored, evicted ones included. */
  readonly nextSeq: number;
  readonly bytes: number;
  readonly resumable: boolean;
  readonly sealed: boolean;
  /** Of a thread: never sealed. */
  readonly lasting: boolean;
  /** Of a lasting log: the last write has set the time when its events expire, or they have expired. */
  readonly resting: boolean;
  /** Highest that a `begin` has brought: writes with a smaller one are refused. */
  readonly leaseToken: number;
  readonly evicted: Readonly<Evicted>;
}

/** One log's share of a write. */
export interface LogWrite {
  readonly run: RunRef;
  readonly resumable: boolean;
  /** What the log is if this write makes it; of one that is there, what it is. */
  readonly lasting: boolean;
  /** The writer's; becomes the log's when it is greater. A safe integer. */
  readonly leaseToken: number;
  /**
   * One past the last event that the writer knows to be stored; `null` when it has not seen the log in the storage: only then
   * a log that is not there is made.
   */
  readonly storedSeq: number | null;
  /** In order. May be empty: the log is made known, or sealed. */
  readonly events: readonly RunEvent[];
  /** One past the last event handed out, so that evicted ones are not handed out again. */
  readonly nextSeq: number;
  /** Bytes of `events`, as the log counts them. */
  readonly bytes: number;
  /** Evicted in memory before they could be written. */
  readonly evicted: Readonly<Evicted>;
  /**
   * Seal the log, and keep it this long. `null`: it goes on. A lasting log is not sealed: its events expire after that time, and a later
   * write with `null` ends that.
   */
  readonly sealForMs: number | null;
}

/** A log at one moment. */
export interface LookedAt {
  readonly head: LogHead | null;
  readonly events: readonly RunEvent[];
}

/**
 * Where a stored event log keeps its events: one table, collection or stream per database. Times are the database's own.
 * A storage keeps no cursor and no connection between calls.
 *
 * One process writes a run at a time: the one that holds its lease. Others read it, told of growth by `watch`, or by looking
 * at its head now and then.
 */
export interface EventStorage {
  /**
   * True: what it holds may vanish (Redis). The log then shows events to readers of its own process although they could not
   * be stored, and never makes a run wait for it.
   */
  readonly disposable: boolean;
  /**
   * Be told when logs grow, are sealed, are dropped or get a greater token by other processes' calls: a hint, late or lost at
   * times, and harmless when it says nothing new; what this instance did itself should be left out. By the time of the hint
   * the storage must show what it is about. `onMissed` says that any number of hints may have been lost (a connection was):
   * look at the head of everything that is read. Called once. `null`: this storage cannot tell; the log looks by itself.
   */
  readonly watch: ((listener: WatchListener) => LogWatch) | null;
  /** `watch` tells a log's writer that others read it. Default false: they may, unnoticed. */
  readonly tellsOfReaders?: boolean;
  /**
   * Of a storage that does not tell: lasting logs that somebody has written to since it was asked before, however many are read;
   * `null` when they are too many to name. What was deleted is not named. Absent: each log is asked for, as others are anyway.
   * @param since `until` of the answer before; `null` only asks where to begin
   */
  changed?(since: string | null): Promise<{ readonly runs: readonly RunRef[] | null; readonly until: string }>;
  head(run: RunRef): Promise<LogHead | null>;
  /** The heads of many logs in one question, for those who were not told; `null` for what is not kept. */
  heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]>;
  /**
   * Write. One log's share is written whole or not at all: events, head and seal become visible together. It is refused, and
   * nothing of it written, when
   * - the stored `leaseToken` is greater than the writer's: a worker that lost its run cannot add to its successor's events;
   * - the log is sealed: of two that end it one does;
   * - `storedSeq` is a number and the log is not there (it was dropped), or its `nextSeq` is smaller (the storage lost some).
   *
   * A disposable storage may have lost that a writer was fenced off, and have got the log again from him. It refuses events also
   * when `storedSeq` is a number and the log's token is smaller than the writer's; when `storedSeq` is `null`, events replace such
   * a log, if it has any. (Lasting logs: their writers follow one another.)
   *
   * Otherwise a log that is not there is made, and of one that is there `nextSeq`, `leaseToken` and `evicted` become the greater
   * of both; `resumable` stays. An event whose number is taken stays as it was, and is not counted again in `bytes`: a write
   * whose answer was lost is repeated. Runs of one call differ. What is refused of one run does not touch the others.
   * @returns the runs whose share was refused; plain when the write is done on return, a promise otherwise. It must settle
   *   within seconds when nobody answers.
   */
  write(writes: readonly LogWrite[]): Promise<readonly RunRef[]> | readonly RunRef[];
  /**
   * Heads, and with them the events from `fromSeq` on (none when it is `null`), until `maxBytes` of data per log: what `heads` and
   * `read` say, in one question and of one moment. Absent: those are asked.
   */
  look?(
    asked: readonly { readonly run: RunRef; readonly fromSeq: number | null }[],
    maxBytes: number,
  ): Promise<readonly LookedAt[]>;
  /** Events with `fromSeq <= seq < beforeSeq` in order, until `maxBytes` of data are reached; at least one if there is one. */
  read(params: {
    readonly run: RunRef;
    readonly fromSeq: number;
    readonly beforeSeq: number;
    readonly maxBytes: number;
  }): Promise<readonly RunEvent[]>;
  /**
   * Delete the oldest events of a kind before `beforeSeq` until `bytes` are freed; the newest state event of the log stays.
   * @returns bytes freed, and the highest number deleted (-1 for none)
   */
  evict(params: {
    readonly run: RunRef;
    readonly kind: "token" | "state";
    readonly beforeSeq: number;
    readonly bytes: number;
  }): Promise<{ readonly freedBytes: number; readonly evictedToSeq: number }>;
  /**
   * Keep a log at least until `ms` after its seal, which may be still to come. Nothing happens to one that is not there, nor to a
   * lasting one: that is never sealed.
   */
  keep(run: RunRef, ms: number): Promise<void>;
  /** Forget a log and its events; one that is not there is no error. */
  delete(run: RunRef): Promise<void>;
  deleteThread(threadId: string): Promise<void>;
  /**
   * Whether a log that is not there was deleted lately (within a minute), rather than lost. Only of disposable storages: what they lost is
   * written again from memory. Absent: everything that is not there counts as lost.
   */
  wasDeleted?(run: RunRef): Promise<boolean>;
  /**
   * Whether the run is still running under this token, by its row. Only of disposable storages: asked before what they lost is
   * written again, since the token that fenced a writer off may be lost as well. Absent: nobody can tell, and everybody may.
   */
  holdsLease?(run: RunRef, leaseToken: number): Promise<boolean>;
  /**
   * Delete sealed logs whose time is over, at most `limit`; several processes ask at once. Of a lasting log only the events go: its
   * head stays, with `evicted` up to its end, unless it never had an event. @returns those that this call deleted or emptied
   */
  deleteExpired(limit: number): Promise<readonly RunRef[]>;
  /** Logs that were never sealed, and are not lasting, oldest first, at most `limit` after the first `skip` (default 0). */
  unsealed(limit: number, skip?: number): Promise<readonly RunRef[]>;
  /** Lasting logs that do not rest, at most `limit` after the first `skip` (default 0), in an order of the storage's own. */
  restless(limit: number, skip?: number): Promise<readonly RestlessLog[]>;
  /**
   * Lasting logs that ever had an event, by their run ids, at most `limit` after `after`. A storage that forgets heads by itself
   * when nobody writes to them names none.
   */
  lasting(limit: number, after: string | null): Promise<readonly RunRef[]>;
  close(): Promise<void>;
}

/** Who is told by {@link EventStorage.watch}. */
export interface WatchListener {
  readonly onGrown: (run: RunRef) => void;
  readonly onMissed: () => void;
  /** Another process reads a log that was written here just now: what comes next is urgent. */
  readonly onRead: (run: RunRef) => void;
}

/** A subscription to remote growth. No connection is held per log. */
export interface LogWatch {
  /** Hints of this run from now on. Where it takes time until they come, `onMissed` is called when they do. Idempotent. */
  add(run: RunRef): void;
  remove(run: RunRef): void;
  close(): void;
}
