import {
  EVENT_LOG_DEFAULTS,
  type EventCursor,
  type EventLog,
  type EventLogOptions,
  type EventPosition,
  type LogExtent,
} from "../core/event-log.js";
import type { NewRunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { MemoryCursor } from "./memory-cursor.js";
import { RunBuffer } from "./run-buffer.js";
import { RunBuffers } from "./run-buffers.js";
import { SealedLogs } from "./sealed-logs.js";
import { TurnBatch } from "./turn-batch.js";

interface Entry {
  readonly buffer: RunBuffer;
}

/**
 * An event log in this process's memory: a restart forgets it. Any number of readers per run, each at its own position
 * (design §4, EventLog).
 */
export class MemoryEventLog implements EventLog {
  readonly #maxBytes: number;
  readonly #logs = new RunBuffers<Entry>();
  readonly #sealed: SealedLogs;
  #grown = new Set<RunBuffer>();
  readonly #wake = new TurnBatch(() => this.#wakeReaders());

  constructor(options: EventLogOptions) {
    const { clock, ttlMs, unreadTtlMs, maxBytes, maxSealedBytes } = { ...EVENT_LOG_DEFAULTS, ...options };
    this.#maxBytes = maxBytes;
    this.#sealed = new SealedLogs({
      clock,
      ttlMs,
      unreadTtlMs,
      maxSealedBytes,
      release: (buffer) => this.#forget(buffer.run),
    });
  }

  /** How many logs are held, sealed ones included. */
  get size(): number {
    return this.#logs.size;
  }

  append(run: RunRef, events: readonly NewRunEvent[]): number {
    const buffer = this.#logs.get(run)?.buffer;
    if (buffer === undefined || buffer.sealed) return -1;
    buffer.append(events);
    buffer.visibleSeq = buffer.nextSeq;
    if (buffer.readers.size > 0) {
      this.#grown.add(buffer);
      this.#wake.mark();
    }
    return buffer.nextSeq - 1;
  }

  async begin(run: RunRef, options: { readonly resumable?: boolean } = {}): Promise<void> {
    if (this.#logs.get(run) !== undefined) return;
    this.#logs.set({
      buffer: new RunBuffer(run, { resumable: options.resumable ?? false, maxBytes: this.#maxBytes }),
    });
  }

  async flush(): Promise<void> {
    // Memory is as durable as it gets.
  }

  async seal(run: RunRef, last: readonly NewRunEvent[] = []): Promise<void> {
    const buffer = this.#logs.get(run)?.buffer;
    if (buffer === undefined || buffer.sealed) return;
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
    return this.#sealed.sweep();
  }

  async unsealed(): Promise<readonly RunRef[]> {
    // What was begun here is written here, and nothing else is known.
    return [];
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
    this.#sealed.remove(entry.buffer);
    entry.buffer.discard();
  }

  #wakeReaders(): void {
    const grown = this.#grown;
    this.#grown = new Set();
    for (const buffer of grown) buffer.wakeReaders();
  }
}
