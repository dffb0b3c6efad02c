import type { Clock } from "../core/clock.js";
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
import type { NewRunEvent } from "../core/run-event.js";
import type { EpochMs } from "../core/json.js";
import type { RunRef } from "../core/run.js";
import { LogHolders, UNUSED_MS } from "./lasting-logs.js";
import { MemoryCursor } from "./memory-cursor.js";
import { RunBuffer } from "./run-buffer.js";
import { RunBuffers } from "./run-buffers.js";
import { SealedLogs } from "./sealed-logs.js";
import { TurnBatch } from "./turn-batch.js";

interface Entry {
  readonly buffer: RunBuffer;
  /** Of a lasting log. */
  readonly holders: LogHolders;
  /** Of a lasting log: when it was begun by somebody who does not write, or last read, until something is written. */
  unusedSince: EpochMs | null;
}

/** Lasting logs that {@link MemoryEventLog.lasting} names at once. */
const PAGE_LOGS = 1_000;

/**
 * An event log in this process's memory: a restart forgets it. Any number of readers per run, each at its own position
 * (design §4, EventLog).
 */
export class MemoryEventLog implements EventLog {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #logs = new RunBuffers<Entry>();
  readonly #unused = new Set<Entry>();
  /** And those that rest. */
  readonly #sealed: SealedLogs;
  #grown = new Set<RunBuffer>();
  readonly #wake = new TurnBatch(() => this.#wakeReaders());

  constructor(options: EventLogOptions) {
    const { clock, ttlMs, unreadTtlMs, maxBytes, maxSealedBytes } = { ...EVENT_LOG_DEFAULTS, ...options };
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    this.#sealed = new SealedLogs({
      clock,
      ttlMs,
      unreadTtlMs,
      maxSealedBytes,
      release: (buffer) => this.#expire(buffer),
    });
  }

  /** How many logs are held, sealed ones included. */
  get size(): number {
    return this.#logs.size;
  }

  append(run: RunRef, events: readonly NewRunEvent[]): number {
    const entry = this.#logs.get(run);
    if (entry === undefined || entry.buffer.sealed) return -1;
    const { buffer } = entry;
    if (buffer.lasting) this.#wakeUp(entry);
    buffer.append(events);
    buffer.visibleSeq = buffer.nextSeq;
    if (buffer.readers.size > 0) {
      this.#grown.add(buffer);
      this.#wake.mark();
    }
    return buffer.nextSeq - 1;
  }

  async begin(run: RunRef, options: BeginOptions = {}): Promise<void> {
    const { resumable = false, lasting = false, leaseToken = 0 } = options;
    let entry = this.#logs.get(run);
    if (entry === undefined) {
      const buffer = new RunBuffer(run, { resumable, lasting, maxBytes: this.#maxBytes });
      entry = { buffer, holders: new LogHolders(), unusedSince: null };
      this.#logs.set(entry);
      if (lasting && leaseToken === 0) this.#isUnused(entry);
    }
    if (!entry.buffer.lasting || leaseToken === 0) return;
    entry.holders.begin(leaseToken);
    this.#wakeUp(entry);
  }

  async rest(run: RunRef, options: { readonly leaseToken?: number } = {}): Promise<void> {
    const entry = this.#logs.get(run);
    if (entry?.buffer.lasting !== true || !entry.holders.end(options.leaseToken)) return;
    this.#sealed.remove(entry.buffer);
    this.#sealed.add(entry.buffer);
  }

  async flush(): Promise<void> {
    // Memory is as durable as it gets.
  }

  async seal(run: RunRef, last: readonly NewRunEvent[] = []): Promise<void> {
    const buffer = this.#logs.get(run)?.buffer;
    if (buffer === undefined || buffer.sealed || buffer.lasting) return;
    buffer.append(last);
    buffer.visibleSeq = buffer.nextSeq;
    buffer.sealed = true;
    buffer.wakeReaders();
    this.#sealed.add(buffer);
  }

  async open(run: RunRef, position: EventPosition): Promise<EventCursor | null> {
    const buffer = this.#logs.get(run)?.buffer;
    if (buffer === undefined) return null;
    this.#sealed.wasOpened(buffer);
    return new MemoryCursor(buffer, buffer.positionAt(position));
  }

  async extent(run: RunRef): Promise<LogExtent | null> {
    const buffer = this.#logs.get(run)?.buffer;
    return buffer === undefined ? null : buffer.extent();
  }

  async drop(run: RunRef): Promise<void> {
    this.#forget(run);
  }

  async dropThread(threadId: string): Promise<void> {
    for (const { buffer } of this.#logs.ofThread(threadId)) this.#forget(buffer.run);
  }

  async sweep(): Promise<number> {
    return this.#sealed.sweep() + this.#dropUnused();
  }

  async unsealed(): Promise<readonly RunRef[]> {
    // What was begun here is written here, and nothing else is known.
    return [];
  }

  async restless(): Promise<readonly RestlessLog[]> {
    return [];
  }

  async lasting(after?: RunRef): Promise<readonly RunRef[]> {
    return this.#logs
      .all()
      .filter(({ buffer }) => buffer.lasting && buffer.nextSeq > 0)
      .map(({ buffer }) => buffer.run)
      .filter(({ runId }) => after === undefined || runId > after.runId)
      .sort((a, b) => (a.runId < b.runId ? -1 : 1))
      .slice(0, PAGE_LOGS);
  }

  async close(): Promise<void> {
    this.#sealed.close();
    for (const { buffer } of this.#logs.all()) {
      buffer.closeReaders();
      this.#forget(buffer.run);
    }
  }

  #forget(run: RunRef): void {
    const entry = this.#logs.get(run);
    if (entry === undefined) return;
    this.#logs.delete(entry);
    this.#unused.delete(entry);
    this.#sealed.remove(entry.buffer);
    entry.buffer.discard();
  }

  /** A lasting log rests no more, and is of use. */
  #wakeUp(entry: Entry): void {
    this.#sealed.remove(entry.buffer);
    if (entry.unusedSince === null) return;
    entry.unusedSince = null;
    this.#unused.delete(entry);
  }

  /** The time of a sealed log, or of the events of a lasting one, is over. */
  #expire(buffer: RunBuffer): void {
    const entry = this.#logs.get(buffer.run);
    if (entry === undefined || !buffer.lasting) this.#forget(buffer.run);
    else if (buffer.nextSeq > 0) buffer.clear();
    else this.#isUnused(entry);
  }

  #isUnused(entry: Entry): void {
    entry.unusedSince = this.#clock.now();
    this.#unused.add(entry);
  }

  #dropUnused(): number {
    const now = this.#clock.now();
    let dropped = 0;
    for (const entry of this.#unused) {
      if (entry.buffer.readers.size > 0) entry.unusedSince = now;
      else if (now - (entry.unusedSince ?? now) >= UNUSED_MS) {
        this.#forget(entry.buffer.run);
        dropped += 1;
      }
    }
    return dropped;
  }

  #wakeReaders(): void {
    const grown = this.#grown;
    this.#grown = new Set();
    for (const buffer of grown) buffer.wakeReaders();
  }
}
