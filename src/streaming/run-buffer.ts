import { SEALED_JSON_HEAD, SEALED_KEY } from "../core/cipher.js";
import type { CursorRead, EventPosition, LogExtent } from "../core/event-log.js";
import type { NewRunEvent, RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { type Evicted, type ReadPosition, evictedTo, stepOverHole, takeEvents } from "./read-position.js";

/** What an event costs beside its text: object, array slot, string headers. */
const EVENT_OVERHEAD_BYTES = 64;

/** Of a sealed event what it is when it is clear: limits and evictions then count alike in memory and in a storage. */
export function eventBytes(event: NewRunEvent): number {
  return HeldEvent.bytesOf(event) ?? dataBytes(event.data) + event.event.length + EVENT_OVERHEAD_BYTES;
}

/** An event of a buffer: its bytes are asked for when it is appended, written and let go of, and counted once. */
class HeldEvent implements RunEvent {
  readonly seq: number;
  readonly event: string;
  readonly data: RunEvent["data"];
  readonly kind: RunEvent["kind"];
  readonly #bytes: number;

  constructor(seq: number, { event, data, kind }: NewRunEvent) {
    this.seq = seq;
    this.event = event;
    this.data = data;
    this.kind = kind;
    this.#bytes = eventBytes({ event, data, kind });
  }

  static bytesOf(event: object): number | undefined {
    return #bytes in event ? event.#bytes : undefined;
  }
}

const HEAD_BYTES = `{"${SEALED_KEY}":"`.length;
/** Of the envelope, beside the key's id: magic 5, length of the id 1, wrapped key 40, nonce 12, tag 16. */
const ENVELOPE_BYTES = 74;

function dataBytes(data: string): number {
  const bytes = Buffer.byteLength(data);
  if (!data.startsWith(SEALED_JSON_HEAD)) return bytes;
  const idBytes = Buffer.from(data.slice(HEAD_BYTES, HEAD_BYTES + 8), "base64url")[5] ?? 0;
  const sealedBytes = Math.floor(((bytes - HEAD_BYTES - 2) * 3) / 4);
  return Math.max(sealedBytes - ENVELOPE_BYTES - idBytes, 0);
}

const END: CursorRead = Object.freeze({ kind: "end" });

/** Someone who waits for a buffer to grow or to end. */
export interface BufferReader {
  wake(): void;
  close(): void;
  readonly position: ReadPosition;
  /** Waits for the end; the events may come with it. */
  readonly patient: boolean;
}

/**
 * One run's events in memory, by sequence number. Readers hold positions; the buffer holds the events once. Evicted
 * events leave holes in the sequence, not in the array.
 */
export class RunBuffer {
  readonly run: RunRef;
  resumable: boolean;
  /** Of a thread: never sealed, and its events may be gone before it is. */
  lasting: boolean;
  readonly readers = new Set<BufferReader>();
  readonly evicted: Evicted = { tokensTo: -1, statesTo: -1 };
  /** A reader left before it had read to the end: its client may come back. */
  leftEarly = false;
  sealed = false;
  /** The run has ended and nothing will be appended, but the storage does not know yet. */
  ending = false;
  nextSeq: number;
  /** Readers see events before this one. */
  visibleSeq: number;
  /** Events before this one are not held here any more, whatever their kind (they may be in a storage). */
  hotFromSeq: number;
  bytes = 0;
  readonly #maxBytes: number;
  #events: RunEvent[] = [];
  #evictAboveBytes: number;
  #newestStateSeq = -1;

  constructor(
    run: RunRef,
    options: {
      readonly resumable: boolean;
      readonly lasting?: boolean;
      readonly maxBytes: number;
      readonly nextSeq?: number;
    },
  ) {
    this.run = { runId: run.runId, threadId: run.threadId };
    this.lasting = options.lasting ?? false;
    this.resumable = options.resumable || this.lasting;
    this.#maxBytes = options.maxBytes;
    this.#evictAboveBytes = options.maxBytes;
    this.nextSeq = options.nextSeq ?? 0;
    this.visibleSeq = this.nextSeq;
    this.hotFromSeq = this.nextSeq;
  }

  append(events: readonly NewRunEvent[]): void {
    for (const event of events) {
      const stored = new HeldEvent(this.nextSeq, event);
      if (event.kind === "state") this.#newestStateSeq = this.nextSeq;
      this.nextSeq += 1;
      this.#events.push(stored);
      this.bytes += eventBytes(stored);
    }
    if (this.bytes > this.#evictAboveBytes) this.#evict();
  }

  /** Events that others have stored after those that are held: readers see them. */
  receive(events: readonly RunEvent[]): void {
    for (const event of events) {
      if (event.seq < this.nextSeq) continue;
      this.#events.push(event);
      this.bytes += eventBytes(event);
      this.nextSeq = event.seq + 1;
    }
    this.visibleSeq = this.nextSeq;
  }

  /** Others have stored events before `seq`, that are not held here: readers see them in the storage. */
  skipTo(seq: number): void {
    if (seq <= this.nextSeq) return;
    this.#events = [];
    this.bytes = 0;
    this.nextSeq = seq;
    this.visibleSeq = seq;
    this.hotFromSeq = seq;
  }

  /** Take back the events from `seq` on. */
  truncate(seq: number): void {
    if (seq >= this.nextSeq) return;
    for (const event of this.#events.splice(this.#indexOf(seq))) this.bytes -= eventBytes(event);
    this.nextSeq = seq;
    this.visibleSeq = Math.min(this.visibleSeq, seq);
    this.hotFromSeq = Math.min(this.hotFromSeq, seq);
  }

  /** Events at or after `seq`. */
  eventsFrom(seq: number): readonly RunEvent[] {
    const index = this.#indexOf(seq);
    return index === 0 ? this.#events : this.#events.slice(index);
  }

  /** Where a cursor that opens at `position` starts (docs/wire/langgraph-api.md §3.10). */
  positionAt(position: EventPosition): ReadPosition {
    const start = { nextSeq: 0, forgivenSeq: evictedTo(this.evicted) };
    const now = { nextSeq: this.visibleSeq, forgivenSeq: -1 };
    if (position === "start") return start;
    if (position === "now" || !Number.isInteger(position.afterSeq)) return now;
    if (position.afterSeq < 0) return start;
    return position.afterSeq < this.visibleSeq ? { nextSeq: position.afterSeq + 1, forgivenSeq: -1 } : now;
  }

  /** How far readers can see. */
  extent(): LogExtent {
    return {
      nextSeq: this.visibleSeq,
      evictedToSeq: evictedTo(this.evicted),
      statesEvictedToSeq: this.evicted.statesTo,
    };
  }

  /** What waits at a position at or after {@link hotFromSeq}, or `null` for nothing yet. Moves the position. */
  read(position: ReadPosition): CursorRead | null {
    return this.#readUpTo(position, this.visibleSeq, this.sealed);
  }

  /** {@link read} of a log that is {@link ending}, with what is not stored yet. */
  readUnstored(position: ReadPosition): CursorRead | null {
    return this.#readUpTo(position, this.nextSeq, true);
  }

  #readUpTo(position: ReadPosition, limitSeq: number, isOver: boolean): CursorRead | null {
    if (position.nextSeq >= limitSeq) return isOver && limitSeq === this.nextSeq ? END : null;
    const index = this.#indexOf(position.nextSeq);
    const gap = stepOverHole(position, this.#events[index]?.seq ?? this.nextSeq, this.evicted);
    if (gap !== null) return gap;
    const events = takeEvents(this.#events, index, position, limitSeq);
    return events.length === 0 ? this.#readUpTo(position, limitSeq, isOver) : { kind: "events", events };
  }

  /** A cursor was closed. */
  leave(reader: BufferReader): void {
    this.readers.delete(reader);
    if (!this.sealed || reader.position.nextSeq < this.nextSeq) this.leftEarly = true;
  }

  /** True when an open cursor has not read everything. */
  hasUnreadReader(): boolean {
    for (const reader of this.readers) if (reader.position.nextSeq < this.nextSeq) return true;
    return false;
  }

  /** Somebody reads as it grows. */
  get hasEagerReader(): boolean {
    for (const reader of this.readers) if (!reader.patient) return true;
    return false;
  }

  wakeReaders(): void {
    for (const reader of this.readers) reader.wake();
  }

  closeReaders(): void {
    for (const reader of this.readers) reader.close();
  }

  /** Let go of the oldest events, those before `beforeSeq`, while more than `keepBytes` are held. A storage has them. */
  trim(params: { readonly beforeSeq: number; readonly keepBytes: number }): void {
    let count = 0;
    for (const event of this.#events) {
      if (this.bytes <= params.keepBytes || event.seq >= params.beforeSeq) break;
      this.bytes -= eventBytes(event);
      count += 1;
    }
    if (count === 0) return;
    this.#events.splice(0, count);
    this.hotFromSeq = this.#events[0]?.seq ?? Math.min(params.beforeSeq, this.nextSeq);
  }

  /** Let go of all events; the log goes on. Readers that have not read all get a gap. */
  clear(): void {
    this.#events = [];
    this.bytes = 0;
    this.evicted.tokensTo = this.nextSeq - 1;
    this.evicted.statesTo = this.nextSeq - 1;
    this.wakeReaders();
  }

  /** Let go of everything for good: readers get a gap if something was unread, then the end. */
  discard(): void {
    this.#events = [];
    this.bytes = 0;
    this.sealed = true;
    this.visibleSeq = this.nextSeq;
    this.hotFromSeq = 0;
    this.evicted.statesTo = this.nextSeq - 1;
    for (const reader of this.readers) reader.position.forgivenSeq = -1;
    this.wakeReaders();
  }

  /** Index of the first event at or after `seq`. */
  #indexOf(seq: number): number {
    const first = this.#events[0]?.seq ?? seq;
    const guess = seq - first;
    if (guess <= 0) return 0;
    if (this.#events[guess]?.seq === seq) return guess;
    let low = 0;
    let high = Math.min(guess, this.#events.length);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle] as RunEvent).seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Down to seven eighths: one pass then pays for an eighth of the bytes appended, not for each event. */
  #evict(): void {
    const step = this.#maxBytes / 8;
    for (const kind of ["token", "state"] as const) this.#evictKind(kind, this.#maxBytes - step);
    this.#evictAboveBytes = Math.max(this.#maxBytes, this.bytes + step);
  }

  #evictKind(kind: "token" | "state", targetBytes: number): void {
    if (this.bytes <= targetBytes) return;
    const limit = this.#recentIndex(this.#maxBytes / 8);
    const kept: RunEvent[] = [];
    let index = 0;
    let lastEvicted = -1;
    for (; index < limit && this.bytes > targetBytes; index += 1) {
      const event = this.#events[index] as RunEvent;
      if (event.kind === kind && event.seq !== this.#newestStateSeq) {
        this.bytes -= eventBytes(event);
        lastEvicted = event.seq;
      } else {
        kept.push(event);
      }
    }
    this.#events = kept.concat(this.#events.slice(index));
    if (kind === "token") this.evicted.tokensTo = Math.max(this.evicted.tokensTo, lastEvicted);
    else this.evicted.statesTo = Math.max(this.evicted.statesTo, lastEvicted);
  }

  /** Index from which on the newest `bytes` begin: readers that keep up are there, and lose nothing. */
  #recentIndex(bytes: number): number {
    let rest = bytes;
    let index = this.#events.length;
    while (index > 0 && rest > 0) {
      index -= 1;
      rest -= eventBytes(this.#events[index] as RunEvent);
    }
    return index;
  }
}
