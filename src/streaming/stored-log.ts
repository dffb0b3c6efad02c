import type { RunRef } from "../core/run.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import { RunBuffer, eventBytes } from "./run-buffer.js";

/** One run of a stored event log: the part of it that is in memory, and how far the storage has it. */
export class StoredLog {
  readonly buffer: RunBuffer;
  /** A run of this process appends to it. */
  begun = false;
  /** Events before this one are in the storage. */
  storedSeq: number;
  /** The storage has a row of it. */
  known: boolean;
  /** Set by `seal` until the storage has it. */
  sealForMs: number | null = null;
  dropped = false;
  /** A reader that came after its end has given it the long life. */
  prolonged = false;
  /** Its life was extended for an open reader. */
  extended = false;
  /** Its time in memory after the end is over: readers read the storage. */
  cold = false;
  /** The newest writes, in portions: together at least an eighth of `maxBytes`. */
  readonly #recent: { readonly fromSeq: number; bytes: number }[] = [];
  readonly #maxBytes: number;
  readonly #stepBytes: number;
  #storedBytes: number;
  #evictAboveBytes: number;

  constructor(run: RunRef, head: LogHead | null, options: { readonly resumable: boolean; readonly maxBytes: number }) {
    this.buffer = new RunBuffer(run, {
      resumable: head?.resumable ?? options.resumable,
      maxBytes: options.maxBytes,
      nextSeq: head?.nextSeq ?? 0,
    });
    this.known = head !== null;
    this.storedSeq = this.buffer.nextSeq;
    this.#storedBytes = head?.bytes ?? 0;
    this.#evictAboveBytes = options.maxBytes;
    this.#maxBytes = options.maxBytes;
    this.#stepBytes = options.maxBytes / 8;
    if (head !== null) {
      this.buffer.sealed = head.sealed;
      this.buffer.evicted.tokensTo = head.evicted.tokensTo;
      this.buffer.evicted.statesTo = head.evicted.statesTo;
    }
  }

  get needsWrite(): boolean {
    if (this.dropped) return false;
    return this.storedSeq < this.buffer.nextSeq || this.sealForMs !== null || (this.begun && !this.known);
  }

  /** What the storage lacks. */
  toWrite(): LogWrite {
    const events = this.buffer.eventsFrom(this.storedSeq).slice();
    return {
      run: this.buffer.run,
      resumable: this.buffer.resumable,
      leaseToken: 0,
      storedSeq: this.known ? this.storedSeq : null,
      events,
      nextSeq: this.buffer.nextSeq,
      bytes: events.reduce((sum, event) => sum + eventBytes(event), 0),
      evicted: { ...this.buffer.evicted },
      sealForMs: this.sealForMs,
    };
  }

  /** The storage has `write` now. */
  wrote(write: LogWrite, hotBytes: number): void {
    this.known = true;
    this.storedSeq = write.nextSeq;
    this.#storedBytes += write.bytes;
    this.#remember(write);
    if (write.sealForMs !== null) this.sealForMs = null;
    this.buffer.trim({ beforeSeq: this.storedSeq, keepBytes: this.cold ? 0 : hotBytes });
  }

  /** Nothing in memory any more, as far as the storage has it. */
  cool(): void {
    this.cold = true;
    this.buffer.trim({ beforeSeq: this.storedSeq, keepBytes: 0 });
  }

  /** More than `maxBytes` are stored. */
  get hasTooMuch(): boolean {
    return this.#storedBytes > this.#evictAboveBytes && !this.dropped;
  }

  /** Bring the stored bytes below `maxBytes` again: token frames first, then state frames; never the newest eighth. */
  async evictStored(storage: EventStorage): Promise<void> {
    const maxBytes = this.#maxBytes;
    const step = this.#stepBytes;
    // Claimed before the first await, so that the writes meanwhile do not evict as well.
    this.#evictAboveBytes = Number.POSITIVE_INFINITY;
    const { run, evicted } = this.buffer;
    const beforeSeq = this.#recent[0]?.fromSeq ?? 0;
    try {
      for (const kind of ["token", "state"] as const) {
        const bytes = this.#storedBytes - (maxBytes - step);
        if (bytes <= 0) break;
        const { freedBytes, evictedToSeq } = await storage.evict({ run, kind, beforeSeq, bytes });
        this.#storedBytes -= freedBytes;
        if (kind === "token") evicted.tokensTo = Math.max(evicted.tokensTo, evictedToSeq);
        else evicted.statesTo = Math.max(evicted.statesTo, evictedToSeq);
      }
    } finally {
      this.#evictAboveBytes = Math.max(maxBytes, this.#storedBytes + step);
    }
  }

  /** Readers that keep up are within the newest eighth, and lose nothing. */
  #remember(write: LogWrite): void {
    const fromSeq = write.events[0]?.seq;
    if (fromSeq === undefined) return;
    const last = this.#recent.at(-1);
    if (last !== undefined && last.bytes < this.#stepBytes / 16) last.bytes += write.bytes;
    else this.#recent.push({ fromSeq, bytes: write.bytes });
    let total = this.#recent.reduce((sum, portion) => sum + portion.bytes, 0);
    for (let oldest = this.#recent[0]; oldest !== undefined; oldest = this.#recent[0]) {
      if (total - oldest.bytes < this.#stepBytes) return;
      total -= oldest.bytes;
      this.#recent.shift();
    }
  }
}
