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
import type { EventStorage, LogHead } from "./event-storage.js";
import { RunBuffers } from "./run-buffers.js";
import { SealedLogs } from "./sealed-logs.js";
import { StoredCursor } from "./stored-cursor.js";
import { StoredLog } from "./stored-log.js";
import { StoredLogWriter } from "./stored-log-writer.js";
import { TurnBatch } from "./turn-batch.js";

/** Logs that one statement of a sweep deletes. */
const SWEEP_LOGS = 200;

/** Logs that {@link StoredEventLog.unsealed} names at once. */
const MAX_UNSEALED = 1_000;

export interface StoredEventLogOptions extends EventLogOptions {
  readonly storage: EventStorage;
  readonly logger: Pick<Logger, "warn">;
  /** Bytes of a running run's log that stay in memory for its readers. Default 1 MiB, at most `maxBytes` / 8. */
  readonly hotBytes?: number;
  /** How long a finished run's part in memory is kept for readers that come now. Default 1,000. */
  readonly lingerMs?: number;
}

/**
 * An event log that survives a restart: readers of this process are served from memory, writes go to an
 * {@link EventStorage} in batches: once per turn of the event loop, and while a write is under way the next one gathers.
 * With a storage that writes synchronously (SQLite) no reader sees an event that is not stored.
 *
 * After a restart `open` reads from the storage, `begin` continues after its maximum, and a log that was not sealed
 * waits for its next attempt. `ttlMs` and `unreadTtlMs` are kept by the storage, and `maxBytes` is enforced in it.
 */
export class StoredEventLog implements EventLog {
  readonly #storage: EventStorage;
  readonly #ttlMs: number;
  readonly #unreadTtlMs: number;
  readonly #maxBytes: number;
  readonly #logs = new RunBuffers<StoredLog>();
  readonly #writer: StoredLogWriter;
  readonly #lingering: SealedLogs;
  #grown = new Set<StoredLog>();
  readonly #batch = new TurnBatch(() => this.#publish());
  #closing: Promise<void> | null = null;

  constructor(options: StoredEventLogOptions) {
    const { clock, ttlMs, unreadTtlMs, maxBytes, maxSealedBytes } = { ...EVENT_LOG_DEFAULTS, ...options };
    const lingerMs = options.lingerMs ?? 1_000;
    this.#storage = options.storage;
    this.#ttlMs = ttlMs;
    this.#unreadTtlMs = Math.min(unreadTtlMs, ttlMs);
    this.#maxBytes = maxBytes;
    this.#writer = new StoredLogWriter(options.storage, clock, {
      hotBytes: Math.min(options.hotBytes ?? 1024 * 1024, maxBytes / 8),
      onError: (error) => options.logger.warn({ err: error }, "The event log could not be written; trying again"),
      onWritten: (log) => this.#forgetIfIdle(log),
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
    if (log === undefined || !log.begun || log.buffer.sealed) return -1;
    log.buffer.append(events);
    this.#touch(log);
    return log.buffer.nextSeq - 1;
  }

  async begin(run: RunRef, options: { readonly resumable?: boolean } = {}): Promise<void> {
    if (this.#logs.get(run)?.begun === true) return;
    const head = await this.#storage.head(run);
    if (head?.sealed === true) return;
    const log = this.#logs.get(run) ?? this.#adopt(run, head, options.resumable ?? false);
    if (log.begun) return;
    log.begun = true;
    if (!log.known) this.#touch(log);
  }

  async flush(run: RunRef): Promise<void> {
    const log = this.#logs.get(run);
    if (log !== undefined) await this.#flush(log);
  }

  async seal(run: RunRef, last: readonly NewRunEvent[] = []): Promise<void> {
    const log = this.#logs.get(run) ?? (await this.#load(run));
    if (log === null) return;
    if (!log.buffer.sealed) {
      log.buffer.append(last);
      log.buffer.sealed = true;
      log.sealForMs = log.buffer.resumable || log.buffer.leftEarly ? this.#ttlMs : this.#unreadTtlMs;
      this.#lingering.add(log.buffer);
      this.#touch(log);
    }
    await this.#flush(log);
    this.#forgetIfIdle(log);
  }

  async open(run: RunRef, position: EventPosition): Promise<EventCursor | null> {
    const log = this.#logs.get(run) ?? (await this.#load(run));
    if (log === null) return null;
    const { buffer } = log;
    const cursor = new StoredCursor(buffer, buffer.positionAt(position), {
      storage: this.#storage,
      onClose: () => this.#forgetIfIdle(log),
    });
    this.#lingering.wasOpened(buffer);
    // Only the first late reader prolongs it.
    if (buffer.sealed && !buffer.resumable && !log.prolonged) {
      log.prolonged = true;
      await this.#storage.keep(run, this.#ttlMs);
    }
    return cursor;
  }

  async drop(run: RunRef): Promise<void> {
    const log = this.#logs.get(run);
    if (log !== undefined) this.#discard(log);
    await this.#writer.idle();
    await this.#storage.delete(run);
  }

  async dropThread(threadId: string): Promise<void> {
    for (const log of this.#logs.ofThread(threadId)) this.#discard(log);
    await this.#writer.idle();
    await this.#storage.deleteThread(threadId);
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
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const logs = this.#logs.all();
    for (const log of logs) log.begun = false;
    const flushed = await Promise.allSettled(logs.map((log) => this.#flush(log)));
    this.#lingering.close();
    this.#writer.close();
    await this.#writer.idle();
    for (const log of logs) {
      log.buffer.closeReaders();
      this.#logs.delete(log);
    }
    await this.#storage.close();
    const failed = flushed.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** Bring a stored log into memory, without its events. */
  async #load(run: RunRef): Promise<StoredLog | null> {
    const head = await this.#storage.head(run);
    return this.#logs.get(run) ?? (head === null ? null : this.#adopt(run, head, head.resumable));
  }

  #adopt(run: RunRef, head: LogHead | null, resumable: boolean): StoredLog {
    const log = new StoredLog(run, head, { resumable, maxBytes: this.#maxBytes });
    this.#logs.set(log);
    return log;
  }

  /** Something is to be written and to be shown. */
  #touch(log: StoredLog): void {
    this.#grown.add(log);
    this.#writer.add(log);
    this.#batch.mark();
  }

  async #flush(log: StoredLog): Promise<void> {
    this.#batch.run();
    await this.#writer.flush(log);
  }

  #publish(): void {
    this.#writer.start();
    const grown = this.#grown;
    this.#grown = new Set();
    for (const { buffer } of grown) {
      buffer.visibleSeq = buffer.nextSeq;
      buffer.wakeReaders();
    }
  }

  #discard(log: StoredLog): void {
    log.dropped = true;
    this.#logs.delete(log);
    this.#lingering.remove(log.buffer);
    log.buffer.discard();
  }

  /** Leave memory when nobody writes or reads it here. */
  #forgetIfIdle(log: StoredLog): void {
    const isWritten = log.begun && !log.cold;
    if (isWritten || log.needsWrite || log.buffer.readers.size > 0) return;
    this.#lingering.remove(log.buffer);
    this.#logs.delete(log);
  }
}
