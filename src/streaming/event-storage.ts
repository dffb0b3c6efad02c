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
  readonly evicted: Readonly<Evicted>;
}

/** One log's share of a write. */
export interface LogWrite {
  readonly run: RunRef;
  readonly resumable: boolean;
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
 * One process writes a run at a time (the one that holds its lease), and here it is also the one that serves its readers. A storage
 * that other processes append to will add a subscription to remote appends; the log then subscribes, reads by sequence
 * number, and drops what it has (design §7.8), which `read` already allows.
 */
export interface EventStorage {
  head(run: RunRef): Promise<LogHead | null>;
  /**
   * Write all or nothing; logs that are not there are made. An event whose number is taken stays as it was: a worker that
   * lost its run cannot write over its successor.
   * @returns `undefined` when the write is done on return, and a promise otherwise.
   */
  write(writes: readonly LogWrite[]): Promise<void> | undefined;
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
