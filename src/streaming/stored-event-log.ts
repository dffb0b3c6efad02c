import {
  type BeginOptions,
  EVENT_LOG_DEFAULTS,
  type EventCursor,
  type EventLog,
  type EventLogOptions,
  type EventPosition,
  type LogExtent,
  type RestlessLog,
} from "../core/event-log.js";
import type { Clock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { NewRunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage } from "./event-storage.js";
import { UNUSED_MS } from "./lasting-logs.js";
import { evictedTo } from "./read-position.js";
import { StoredCursor } from "./stored-cursor.js";
import type { StoredLog } from "./stored-log.js";
import { isHead } from "./stored-log-claims.js";
import { StoredLogs } from "./stored-logs.js";

/** Logs that one statement of a sweep deletes. */
const SWEEP_LOGS = 200;

/** Logs that {@link StoredEventLog.unsealed} and others name at once. */
const MAX_UNSEALED = 1_000;

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
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #unreadTtlMs: number;
  readonly #logs: StoredLogs;
  readonly #logger: Pick<Logger, "warn">;
  /** Logs that live longer for a reader that left. */
  readonly #leftEarly = new Set<StoredLog>();
  #keeping: Promise<void> | null = null;
  /** Where {@link unsealed} goes on. */
  #unsealedSeen = 0;
  #restlessSeen = 0;
  /** Since when lasting logs that are read here have not been kept for their readers. */
  readonly #unusedSince = new WeakMap<StoredLog, EpochMs>();
  #closing: Promise<void> | null = null;

  constructor(options: StoredEventLogOptions) {
    const { clock, ttlMs, unreadTtlMs, maxBytes, maxSealedBytes } = { ...EVENT_LOG_DEFAULTS, ...options };
    const { storage, logger } = options;
    const hotBytes = Math.min(options.hotBytes ?? (storage.disposable ? maxBytes : 1024 * 1024), maxBytes / 8);
    const lingerMs = options.lingerMs ?? 1_000;
    this.#storage = storage;
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#unreadTtlMs = Math.min(unreadTtlMs, ttlMs);
    this.#logger = logger;
    this.#logs = new StoredLogs({ storage, clock, logger, maxBytes, maxSealedBytes, hotBytes, lingerMs });
  }

  /** How many logs are in memory. */
  get size(): number {
    return this.#logs.all().length;
  }

  append(run: RunRef, events: readonly NewRunEvent[]): number {
    const log = this.#logs.get(run);
    if (log === undefined || !log.begun || log.closing !== null || this.#closing !== null) return -1;
    if (log.resting) this.#logs.wakeUp(log);
    log.append(events);
    this.#logs.touch(log);
    return log.buffer.nextSeq - 1;
  }

  async begin(run: RunRef, options: BeginOptions = {}): Promise<void> {
    const { leaseToken = 0, isNew = false, lasting = false } = options;
    const claim = { leaseToken, lasting, resumable: options.resumable === true || lasting };
    const log = this.#logs.get(run);
    if (log !== undefined && (log.buffer.sealed || log.closing !== null)) return;
    if (log?.begun === true && leaseToken <= log.leaseToken) {
      if (lasting && leaseToken > 0 && leaseToken === log.leaseToken) log.begin(leaseToken);
      return;
    }
    // Nobody can have appended before the first claim: the token travels with the first write.
    const isFirst = !lasting && (leaseToken === 1 || (isNew && leaseToken === 0));
    if (isFirst && (log === undefined || log.buffer.nextSeq === 0)) this.#logs.beginFirst(run, claim);
    else if (leaseToken === 0) await this.#logs.beginUnclaimed(run, claim);
    else await this.#logs.takeOver(run, claim);
  }

  async rest(run: RunRef, options: { readonly leaseToken?: number } = {}): Promise<void> {
    const log = this.#logs.get(run);
    while (log?.handover) await log.handover;
    if (log?.begun === true && log.leaseToken > 0) {
      if (log.buffer.lasting && log.holders.end(options.leaseToken)) this.#logs.resting(log, this.#ttlMs);
      return this.#logs.flush(log);
    }
    const params = { leaseToken: options.leaseToken, forMs: this.#ttlMs };
    await this.#logs.questions.ask(() => this.#logs.questions.rest(run, params));
    if (log !== undefined) await this.#logs.look(log);
  }

  async flush(run: RunRef): Promise<void> {
    const log = this.#logs.get(run);
    if (log !== undefined) await this.#logs.flush(log);
  }

  async seal(run: RunRef, last: readonly NewRunEvent[] = []): Promise<void> {
    const log = this.#logs.get(run);
    if (log?.buffer.lasting === true) return;
    let own = last;
    if (log?.begun === true) {
      if (log.closing === null) {
        log.close(last, log.buffer.resumable || log.buffer.leftEarly ? this.#ttlMs : this.#unreadTtlMs);
        this.#logs.ending(log);
      }
      own = log.closing?.last ?? last;
      await this.#logs.flush(log);
      if (log.begun || log.dropped || log.buffer.sealed) {
        this.#logs.forgetIfIdle(log);
        return;
      }
    }
    if (log?.buffer.sealed === true) return;
    // Another process writes it, or did before it crashed; what this one appended beside `last` was refused.
    const { questions } = this.#logs;
    const lives = { ttlMs: this.#ttlMs, unreadTtlMs: this.#unreadTtlMs };
    await questions.ask(() => questions.seal(run, { last: own, ...lives }));
    if (log !== undefined) await this.#logs.look(log);
  }

  async open(
    run: RunRef,
    position: EventPosition,
    { patient = false }: { readonly patient?: boolean } = {},
  ): Promise<EventCursor | null> {
    const unhold = this.#logs.hold(run);
    try {
      const inMemory = this.#logs.get(run);
      const isThere = inMemory !== undefined && isFresh(inMemory, position);
      const log = isThere ? inMemory : await this.#logs.find(run);
      if (log === null) return null;
      const { buffer } = log;
      const cursor = new StoredCursor(buffer, buffer.positionAt(position), {
        storage: this.#storage,
        onHole: () => this.#logs.look(log),
        onClose: () => this.#left(log),
        patient,
      });
      this.#logs.opened(log, !isThere);
      // Only the first late reader prolongs it.
      if (buffer.sealed && !buffer.resumable) await this.#prolong(log);
      return cursor;
    } finally {
      unhold();
    }
  }

  async extent(run: RunRef): Promise<LogExtent | null> {
    const log = this.#logs.get(run);
    if (log !== undefined) {
      if (!log.isWriter && !log.buffer.sealed) await this.#logs.look(log);
      return log.dropped ? null : log.buffer.extent();
    }
    const head = await this.#logs.questions.ask(() => this.#storage.head(run));
    if (!isHead(head)) return null;
    const { nextSeq, evicted } = head;
    return { nextSeq, evictedToSeq: evictedTo(evicted), statesEvictedToSeq: evicted.statesTo };
  }

  async drop(run: RunRef): Promise<void> {
    const log = this.#logs.get(run);
    await this.#logs.discard(log === undefined ? [] : [log]);
    await this.#logs.questions.ask(() => this.#storage.delete(run));
  }

  async dropThread(threadId: string): Promise<void> {
    await this.#logs.discard(this.#logs.ofThread(threadId));
    await this.#logs.questions.ask(() => this.#storage.deleteThread(threadId));
  }

  async sweep(): Promise<number> {
    this.#logs.sweep();
    for (const log of this.#logs.all()) {
      if (log.isUnused && log.buffer.readers.size > 0) await this.#keepUnused(log);
      if (log.extended || !log.buffer.sealed || !log.buffer.hasUnreadReader()) continue;
      log.extended = true;
      await this.#storage.keep(log.buffer.run, this.#ttlMs * 2);
    }
    let dropped = 0;
    for (;;) {
      const expired = await this.#storage.deleteExpired(SWEEP_LOGS);
      const inMemory = expired.flatMap((run) => this.#logs.get(run) ?? []);
      await this.#logs.discard(inMemory.filter(({ buffer }) => !buffer.lasting));
      for (const log of inMemory) if (log.buffer.lasting) await this.#logs.look(log);
      dropped += expired.length;
      if (expired.length < SWEEP_LOGS) return dropped;
    }
  }

  async unsealed(): Promise<readonly RunRef[]> {
    const runs = await this.#storage.unsealed(MAX_UNSEALED, this.#unsealedSeen);
    // The oldest may be runs that wait for long: those behind them have their turn as well.
    this.#unsealedSeen = runs.length < MAX_UNSEALED ? 0 : this.#unsealedSeen + runs.length;
    return runs.filter((run) => this.#logs.get(run)?.begun !== true);
  }

  async restless(): Promise<readonly RestlessLog[]> {
    const logs = await this.#storage.restless(MAX_UNSEALED, this.#restlessSeen);
    this.#restlessSeen = logs.length < MAX_UNSEALED ? 0 : this.#restlessSeen + logs.length;
    return logs.filter((log) => this.#logs.get(log)?.begun !== true);
  }

  lasting(after?: RunRef): Promise<readonly RunRef[]> {
    return this.#storage.lasting(MAX_UNSEALED, after?.runId ?? null);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#logs.close();
    } finally {
      await this.#keeping;
      await this.#logs.questions.ask(() => this.#storage.close());
    }
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
    this.#logs.forgetIfIdle(log);
  }

  /** One after the other: when a proxy restarts, all of its clients leave at once. */
  async #keepLeft(): Promise<void> {
    for (const log of this.#leftEarly) {
      this.#leftEarly.delete(log);
      if (this.#closing !== null) return;
      await this.#prolong(log).catch((error: unknown) => {
        this.#logger.warn({ err: error, runId: log.buffer.run.runId }, "An event log could not be kept for its reader");
      });
    }
  }

  /** A reader waits for the first run of his thread. */
  async #keepUnused(log: StoredLog): Promise<void> {
    const now = this.#clock.now();
    const since = this.#unusedSince.get(log) ?? now;
    const isDue = now - since >= UNUSED_MS / 2;
    this.#unusedSince.set(log, isDue ? now : since);
    if (isDue) await this.#logs.questions.ask(() => this.#logs.questions.keepUnused(log.buffer.run, UNUSED_MS));
  }

  async #prolong(log: StoredLog): Promise<void> {
    if (log.prolonged) return;
    log.prolonged = true;
    await this.#logs.questions.ask(() => this.#storage.keep(log.buffer.run, this.#ttlMs));
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
