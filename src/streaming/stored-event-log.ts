import {
  EVENT_LOG_DEFAULTS,
  type EventCursor,
  type EventLog,
  type EventLogOptions,
  type EventPosition,
} from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { NewRunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import { MAX_READ_BYTES } from "./read-position.js";
import { RunBuffers } from "./run-buffers.js";
import { SealedLogs } from "./sealed-logs.js";
import { StoredCursor } from "./stored-cursor.js";
import { StoredLog } from "./stored-log.js";
import { NO_ANSWER, StorageQuestions } from "./stored-log-claims.js";
import { type NewEvents, StoredLogFollower } from "./stored-log-follower.js";
import { StoredLogWriter } from "./stored-log-writer.js";
import { TurnBatch } from "./turn-batch.js";

/** Logs that one statement of a sweep deletes. */
const SWEEP_LOGS = 200;

/** Logs that {@link StoredEventLog.unsealed} names at once. */
const MAX_UNSEALED = 1_000;

/** How long a log that vanished from a disposable storage may take to be written again by whoever writes it. */
const REWRITE_MS = 5_000;

export interface StoredEventLogOptions extends EventLogOptions {
  readonly storage: EventStorage;
  readonly logger: Pick<Logger, "warn">;
  /**
   * Bytes of a running run's log that stay in memory for its readers. Default 1 MiB, at most `maxBytes` / 8, which is the
   * default with a disposable storage: what it loses is written again from memory.
   */
  readonly hotBytes?: number;
  /** How long a finished run's part in memory is kept for readers that come now. Default 1,000. */
  readonly lingerMs?: number;
}

/**
 * An event log that any number of processes share by an {@link EventStorage}, and that survives them. Each run is written by
 * one process, in batches: at once, and while a write is under way the next one gathers. Its readers there are served from
 * memory, those elsewhere follow the storage. All see only what is stored: whoever resumes after a crash, anywhere, finds
 * what he has seen. (A disposable storage that fails is the exception, and one that writes synchronously.)
 *
 * Writes carry the lease token that `begin` brought. Once another process has begun with a greater one, what this one appends
 * is refused, and its readers go on with what the successor writes. A process that ends a run it does not write outbids
 * every token ({@link StorageQuestions.seal}). `ttlMs` and `unreadTtlMs` are kept by the storage, `maxBytes` is enforced in it.
 */
export class StoredEventLog implements EventLog {
  readonly #storage: EventStorage;
  readonly #clock: EventLogOptions["clock"];
  readonly #ttlMs: number;
  readonly #unreadTtlMs: number;
  readonly #maxBytes: number;
  readonly #onError: (error: unknown) => void;
  readonly #logs = new RunBuffers<StoredLog>();
  readonly #questions: StorageQuestions;
  readonly #writer: StoredLogWriter;
  readonly #follower: StoredLogFollower;
  readonly #lingering: SealedLogs;
  readonly #batch = new TurnBatch(() => this.#writer.start());
  /** Logs that live longer for a reader that left. */
  readonly #leftEarly = new Set<StoredLog>();
  #keeping: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: StoredEventLogOptions) {
    const { clock, ttlMs, unreadTtlMs, maxBytes, maxSealedBytes } = { ...EVENT_LOG_DEFAULTS, ...options };
    const { storage, logger } = options;
    const lingerMs = options.lingerMs ?? 1_000;
    const hotBytes = options.hotBytes ?? (storage.disposable ? maxBytes : 1024 * 1024);
    this.#storage = storage;
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#unreadTtlMs = Math.min(unreadTtlMs, ttlMs);
    this.#maxBytes = maxBytes;
    this.#onError = (error) => logger.warn({ err: error }, "The event log could not be read; trying again");
    this.#questions = new StorageQuestions(storage, clock, this.#onError);
    this.#writer = new StoredLogWriter(storage, clock, {
      hotBytes: Math.min(hotBytes, maxBytes / 8),
      onError: (error) => logger.warn({ err: error }, "The event log could not be written; trying again"),
      onWritten: (log) => {
        if (log.buffer.sealed) this.#follower.unfollow(log);
        this.#forgetIfIdle(log);
      },
      onRefused: (log, write) => this.#refused(log, write),
    });
    this.#follower = new StoredLogFollower({
      storage,
      clock,
      logs: this.#logs,
      onLooked: (log, head, read) => this.#looked(log, head, read),
      onUnread: (log) => {
        if (log.needsWrite) return;
        log.begun = false;
        this.#forgetIfIdle(log);
      },
      onError: this.#onError,
    });
    this.#lingering = new SealedLogs({
      clock,
      ttlMs: lingerMs,
      unreadTtlMs: lingerMs,
      maxSealedBytes,
      release: (buffer) => {
        const log = this.#logs.get(buffer.run);
        log?.cool();
        if (log !== undefined) this.#forgetIfIdle(log);
      },
    });
  }

  /** How many logs are in memory. */
  get size(): number {
    return this.#logs.size;
  }

  append(run: RunRef, events: readonly NewRunEvent[]): number {
    const log = this.#logs.get(run);
    if (log === undefined || !log.begun || log.closing !== null || this.#closing !== null) return -1;
    log.append(events);
    this.#touch(log);
    return log.buffer.nextSeq - 1;
  }

  async begin(
    run: RunRef,
    options: { readonly resumable?: boolean; readonly leaseToken?: number; readonly isNew?: boolean } = {},
  ): Promise<void> {
    const { resumable = false, leaseToken = 0, isNew = false } = options;
    const log = this.#logs.get(run);
    if (log?.buffer.sealed === true || log?.closing != null) return;
    if (log?.begun === true && leaseToken <= log.leaseToken) return;
    // Nobody can have appended before the first claim: the token travels with the first write.
    const isFirst = leaseToken === 1 || (isNew && leaseToken === 0);
    if (isFirst && (log === undefined || log.buffer.nextSeq === 0)) {
      this.#begin(log ?? this.#adopt(run, null, resumable), leaseToken);
    } else if (leaseToken === 0) {
      const head = await this.#questions.ask(() => this.#storage.head(run));
      this.#beginAfter(run, { head, resumable, leaseToken });
    } else await this.#takeOver(run, { resumable, leaseToken });
  }

  async flush(run: RunRef): Promise<void> {
    const log = this.#logs.get(run);
    if (log !== undefined) await this.#flush(log);
  }

  async seal(run: RunRef, last: readonly NewRunEvent[] = []): Promise<void> {
    const log = this.#logs.get(run);
    let own = last;
    if (log?.begun === true) {
      if (log.closing === null) this.#close(log, last);
      own = log.closing?.last ?? last;
      await this.#flush(log);
      if (log.begun || log.dropped || log.buffer.sealed) return this.#forgetIfIdle(log);
    }
    if (log?.buffer.sealed === true) return;
    // Another process writes it, or did before it crashed; what this one appended beside `last` was refused.
    await this.#questions.ask(() =>
      this.#questions.seal(run, { last: own, ttlMs: this.#ttlMs, unreadTtlMs: this.#unreadTtlMs }),
    );
    if (log !== undefined) await this.#look(log);
  }

  async open(run: RunRef, position: EventPosition): Promise<EventCursor | null> {
    const unhold = this.#follower.hold(run);
    try {
      const inMemory = this.#logs.get(run);
      const log = inMemory !== undefined && isFresh(inMemory, position) ? inMemory : await this.#find(run);
      if (log === null) return null;
      const { buffer } = log;
      const cursor = new StoredCursor(buffer, buffer.positionAt(position), {
        storage: this.#storage,
        onHole: () => this.#look(log),
        onClose: () => this.#left(log),
      });
      if (!buffer.sealed) this.#follower.follow(log);
      this.#lingering.wasOpened(buffer);
      // Only the first late reader prolongs it.
      if (buffer.sealed && !buffer.resumable) await this.#prolong(log);
      return cursor;
    } finally {
      unhold();
    }
  }

  async drop(run: RunRef): Promise<void> {
    const log = this.#logs.get(run);
    if (log !== undefined) {
      this.#discard(log);
      await this.#writer.settled(log);
    }
    await this.#questions.ask(() => this.#storage.delete(run));
  }

  async dropThread(threadId: string): Promise<void> {
    const logs = this.#logs.ofThread(threadId);
    for (const log of logs) this.#discard(log);
    for (const log of logs) await this.#writer.settled(log);
    await this.#questions.ask(() => this.#storage.deleteThread(threadId));
  }

  async sweep(): Promise<number> {
    this.#lingering.sweep();
    for (const log of this.#logs.all()) {
      if (log.extended || !log.buffer.sealed || !log.buffer.hasUnreadReader()) continue;
      log.extended = true;
      await this.#storage.keep(log.buffer.run, this.#ttlMs * 2);
    }
    let dropped = 0;
    for (;;) {
      const expired = await this.#storage.deleteExpired(SWEEP_LOGS);
      for (const run of expired) {
        const log = this.#logs.get(run);
        if (log !== undefined) this.#discard(log);
      }
      dropped += expired.length;
      if (expired.length < SWEEP_LOGS) return dropped;
    }
  }

  async unsealed(): Promise<readonly RunRef[]> {
    const runs = await this.#storage.unsealed(MAX_UNSEALED);
    return runs.filter((run) => this.#logs.get(run)?.begun !== true);
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#follower.close();
    const flushed = await Promise.allSettled(this.#logs.all().map((log) => this.#flush(log)));
    this.#lingering.close();
    this.#writer.close();
    await this.#writer.idle();
    await this.#keeping;
    for (const log of this.#logs.all()) {
      log.buffer.closeReaders();
      this.#logs.delete(log);
    }
    await this.#questions.ask(() => this.#storage.close());
    const failed = flushed.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #adopt(run: RunRef, head: LogHead | null, resumable: boolean): StoredLog {
    const log = new StoredLog(run, head, { resumable, maxBytes: this.#maxBytes });
    this.#logs.set(log);
    this.#follower.watchOver();
    return log;
  }

  #begin(log: StoredLog, leaseToken: number): void {
    log.begin(leaseToken);
    // Whoever made a run waits for what others write.
    if (leaseToken === 0) this.#follower.follow(log);
    if (!log.known) this.#touch(log);
  }

  /** @param params.head `NO_ANSWER`: of a disposable storage */
  #beginAfter(
    run: RunRef,
    params: {
      readonly head: LogHead | null | typeof NO_ANSWER;
      readonly resumable: boolean;
      readonly leaseToken: number;
    },
  ): void {
    const { head, resumable, leaseToken } = params;
    let log = this.#logs.get(run);
    if (log?.begun === true || log?.buffer.sealed === true) return;
    if (head === NO_ANSWER) {
      if (log === undefined) {
        log = this.#adopt(run, null, resumable);
        log.blind = true;
      }
      return this.#begin(log, leaseToken);
    }
    if (head !== null && (head.sealed || head.leaseToken > leaseToken)) return;
    if (head === null && log !== undefined) {
      this.#discard(log);
      log = undefined;
    }
    if (log === undefined) log = this.#adopt(run, head, resumable);
    else if (head !== null && head.nextSeq !== log.storedSeq) {
      log.giveUp();
      log.follow(head, null, MAX_READ_BYTES);
    }
    this.#begin(log, leaseToken);
  }

  /** Fence off whoever writes it, durably; only then look how far he came. */
  async #takeOver(run: RunRef, options: { readonly resumable: boolean; readonly leaseToken: number }): Promise<void> {
    const log = this.#logs.get(run);
    if (log !== undefined) {
      log.begun = false;
      await this.#writer.settled(log);
      // Of an attempt that is over; others may have had the run since. Readers may have seen what a disposable storage failed to take.
      if (!this.#writer.isStuck) log.giveUp();
    }
    const head = await this.#questions.ask(() => this.#questions.raise(run, options));
    if (head === null && log !== undefined) await this.#look(log);
    else if (head !== null) this.#beginAfter(run, { head, ...options });
  }

  #close(log: StoredLog, last: readonly NewRunEvent[]): void {
    log.append(last);
    log.closing = { last };
    log.sealForMs = log.buffer.resumable || log.buffer.leftEarly ? this.#ttlMs : this.#unreadTtlMs;
    this.#lingering.add(log.buffer);
    this.#touch(log);
  }

  /** The log as the storage has it now, in memory; `null` when it has none. */
  async #find(run: RunRef): Promise<StoredLog | null> {
    const head = await this.#questions.ask(() => this.#storage.head(run));
    const log = this.#logs.get(run);
    if (head === NO_ANSWER) return log ?? null;
    if (log === undefined) return head === null ? null : this.#adopt(run, head, head.resumable);
    await this.#looked(log, head, null);
    return log.dropped ? null : log;
  }

  async #look(log: StoredLog): Promise<void> {
    const { run } = log.buffer;
    const head = await this.#questions.ask(() => this.#storage.head(run));
    if (head !== NO_ANSWER && this.#logs.get(run) === log) await this.#looked(log, head, null);
  }

  /** @returns false when there is more to read */
  async #looked(log: StoredLog, head: LogHead | null, read: NewEvents | null): Promise<boolean> {
    if (log.begun && !isTakenFrom(log, head)) {
      if (head !== null) log.hear(head);
      return true;
    }
    // What is on its way may be what the storage has.
    await this.#writer.settled(log);
    const isLost = head === null && (await this.#mayBeLost(log.buffer.run));
    if (log.dropped || (log.begun && (log.buffer.sealed || !isTakenFrom(log, head)))) return true;
    if (log.begun && isLost) {
      log.rewrite();
      this.#touch(log);
      return true;
    }
    if (log.begun && head !== null) {
      log.giveUp();
      this.#lingering.remove(log.buffer);
    }
    if (head === null) {
      if (isLost && this.#mayComeBack(log)) return true;
      this.#discard(log);
      return true;
    }
    const isAll = log.follow(head, read, MAX_READ_BYTES);
    if (log.buffer.sealed) this.#follower.unfollow(log);
    else if (log.buffer.readers.size > 0) this.#follower.follow(log);
    this.#forgetIfIdle(log);
    return isAll;
  }

  /** A log that is not there was lost by a disposable storage, not dropped by anybody. */
  async #mayBeLost(run: RunRef): Promise<boolean> {
    if (!this.#storage.disposable) return false;
    const wasDeleted = await this.#questions.ask(async () => (await this.#storage.wasDeleted?.(run)) ?? false);
    return wasDeleted !== true;
  }

  #mayComeBack(log: StoredLog): boolean {
    const now = this.#clock.now();
    log.missingSince ??= now;
    return now - log.missingSince < REWRITE_MS;
  }

  async #refused(log: StoredLog, write: LogWrite): Promise<void> {
    if (log.dropped || !log.begun) return;
    const head = await this.#storage.head(log.buffer.run);
    const isMissing = head === null && !(await this.#mayBeLost(log.buffer.run));
    if (log.dropped) return;
    const isLost = head === null || head.nextSeq < (write.storedSeq ?? 0);
    if (head !== null && (head.sealed || head.leaseToken > log.leaseToken)) {
      log.giveUp();
      this.#lingering.remove(log.buffer);
      const isAll = log.follow(head, null, MAX_READ_BYTES);
      if (log.buffer.readers.size > 0 && !log.buffer.sealed) this.#follower.follow(log);
      if (!isAll) this.#follower.look(log);
      this.#forgetIfIdle(log);
    } else if (isLost && !isMissing) log.rewrite();
    else if (isLost) this.#discard(log);
    else throw new Error(`The events of run ${log.buffer.run.runId} were refused by their storage`);
  }

  /** Something is to be written. */
  #touch(log: StoredLog): void {
    this.#writer.add(log);
    this.#batch.mark();
  }

  async #flush(log: StoredLog): Promise<void> {
    this.#batch.run();
    await this.#writer.flush(log);
  }

  /** A cursor was closed. */
  #left(log: StoredLog): void {
    // Whoever writes it does not know that the client may come back.
    if (log.buffer.leftEarly && !log.isWriter && !log.buffer.resumable && !log.dropped && this.#closing === null) {
      this.#leftEarly.add(log);
      this.#keeping ??= this.#keepLeft().finally(() => {
        this.#keeping = null;
      });
    }
    this.#forgetIfIdle(log);
  }

  /** One after the other: when a proxy restarts, all of its clients leave at once. */
  async #keepLeft(): Promise<void> {
    for (const log of this.#leftEarly) {
      this.#leftEarly.delete(log);
      if (this.#closing !== null) return;
      await this.#prolong(log).catch(this.#onError);
    }
  }

  async #prolong(log: StoredLog): Promise<void> {
    if (log.prolonged) return;
    log.prolonged = true;
    await this.#questions.ask(() => this.#storage.keep(log.buffer.run, this.#ttlMs));
  }

  /** It is gone for good. */
  #discard(log: StoredLog): void {
    log.dropped = true;
    this.#logs.delete(log);
    this.#follower.unfollow(log);
    this.#lingering.remove(log.buffer);
    log.buffer.discard();
  }

  /** Leave memory when nobody writes or reads it here. */
  #forgetIfIdle(log: StoredLog): void {
    const isWritten = log.begun && !log.cold;
    if (log.buffer.readers.size > 0) return;
    if (!isWritten) this.#follower.unfollow(log);
    if (isWritten || log.needsWrite) return;
    this.#lingering.remove(log.buffer);
    this.#logs.delete(log);
  }
}

/** What is in memory tells where a reader starts. */
function isFresh(log: StoredLog, position: EventPosition): boolean {
  if (log.buffer.sealed) return true;
  if (!log.begun) return false;
  if (position === "start") return true;
  if (position === "now") return log.isWriter;
  return position.afterSeq < log.buffer.visibleSeq;
}

/** Whether a log that was begun here is no longer this process's, or not in the storage any more. */
function isTakenFrom(log: StoredLog, head: LogHead | null): boolean {
  if (head === null) return log.known;
  if (head.sealed || head.leaseToken > log.leaseToken) return true;
  return !log.appended && head.nextSeq > log.buffer.nextSeq;
}
