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
  /** Highest that a `begin` has brought: writes with a smaller one are refused. */
  readonly leaseToken: number;
  readonly evicted: Readonly<Evicted>;
}

/** One log's share of a write. */
export interface LogWrite {
  readonly run: RunRef;
  readonly resumable: boolean;
  /** The writer's; becomes the log's when it is greater. */
  readonly leaseToken: number;
  /** In order. May be empty: the log is made known, or sealed. */
  readonly events: readonly RunEvent[];
  /** One past the last event handed out, so that evicted ones are not handed out again. */
  readonly nextSeq: number;
  /** Bytes of `events`, as the log counts them. */
  readonly bytes: number;
  /** Evicted in memory before they could be written. */
  readonly evicted: Readonly<Evicted>;
  /** Seal the log, and keep it this long. `null`: it goes on. */
  readonly sealForMs: number | null;
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
   * Be told when logs grow, are sealed or are dropped by other processes: a hint, late or lost at times. `onMissed` says that
   * any number of hints may have been lost (a connection was): look at the head of everything that is read.
   * `null`: this storage cannot tell; the log looks by itself.
   */
  readonly watch:
    ((listener: { readonly onGrown: (run: RunRef) => void; readonly onMissed: () => void }) => LogWatch) | null;
  head(run: RunRef): Promise<LogHead | null>;
  /** The heads of many logs in one question, for those who were not told; `null` for what is not kept. */
  heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]>;
  /**
   * Write; logs that are not there are made. One log's share is written whole or not at all, and refused when the stored
   * `leaseToken` is greater than the writer's: a worker that lost its run cannot add to its successor's events. An event whose
   * number is taken stays as it was.
   * @returns the runs whose share was refused; plain when the write is done on return, a promise otherwise.
   */
  write(writes: readonly LogWrite[]): Promise<readonly RunRef[]> | readonly RunRef[];
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
  /** Keep a sealed log at least until `ms` after it was sealed. */
  keep(run: RunRef, ms: number): Promise<void>;
  delete(run: RunRef): Promise<void>;
  deleteThread(threadId: string): Promise<void>;
  /** Delete logs whose time is over, at most `limit`. @returns them. */
  deleteExpired(limit: number): Promise<readonly RunRef[]>;
  /** Logs that were never sealed, oldest first, at most `limit`. */
  unsealed(limit: number): Promise<readonly RunRef[]>;
  close(): Promise<void>;
}

/** A subscription to remote growth. No connection is held per log. */
export interface LogWatch {
  add(run: RunRef): void;
  remove(run: RunRef): void;
  close(): void;
}
