import type { NewRunEvent, RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import { LogHolders, UNUSED_MS } from "./lasting-logs.js";
import { RunBuffer, eventBytes } from "./run-buffer.js";

/** How long a log that vanished from a disposable storage may take to be written again by whoever writes it. */
const REWRITE_MS = 5_000;

/**
 * One run of a stored event log: the part of it that is in memory, and how far the storage has it. Either this process
 * writes it (`begun`), or others do and it is read here.
 */
export class StoredLog {
  readonly buffer: RunBuffer;
  /** A run of this process may append to it. */
  begun = false;
  /** Under which it was begun here. */
  leaseToken = 0;
  /** Something was appended here since it was begun. */
  appended = false;
  /** Events before this one are in the storage. */
  storedSeq: number;
  /** The storage has a row of it. */
  known: boolean;
  /** Begun while the storage did not answer: what the storage may have of it is of no use. */
  blind = false;
  /** Sealed here, with these last events: nothing is appended any more. */
  closing: { readonly last: readonly NewRunEvent[] } | null = null;
  /** Set by `seal` or `rest` until the storage has it. */
  sealForMs: number | null = null;
  /** Of a lasting log: put to rest here, and nothing was appended since. */
  resting = false;
  /** Of a lasting log: who writes it here. */
  readonly holders = new LogHolders();
  /** Of a lasting log: a run of this process takes it from another one of this process. Until then nothing is written. */
  handover: Promise<void> | null = null;
  dropped = false;
  /** Readers that are about to come: until they are there it must not leave memory, or they would read what nobody fills. */
  arriving = 0;
  /** Another process reads it; or may do so unnoticed, as it has been long enough without a write. */
  readElsewhere = false;
  /** It was given the long life, for a reader that left before its end or came after it. */
  prolonged = false;
  /** Its life was extended for an open reader. */
  extended = false;
  /** Its time in memory after the end is over: readers read the storage. */
  cold = false;
  /** Written, or begun, since the storage was last asked whose it is. */
  active = true;
  /** Since when the storage has not had it (ms); `null` while it has. */
  #missingSince: number | null = null;
  /** The newest writes, in portions: together at least an eighth of `maxBytes`. */
  readonly #recent: { readonly fromSeq: number; bytes: number }[] = [];
  readonly #maxBytes: number;
  readonly #stepBytes: number;
  #storedBytes: number;
  #evictAboveBytes: number;
  /** Of a lasting log: some process has begun it with a token. */
  #isClaimed = false;
  #restForMs = 0;

  constructor(
    run: RunRef,
    head: LogHead | null,
    options: { readonly resumable: boolean; readonly lasting: boolean; readonly maxBytes: number },
  ) {
    this.buffer = new RunBuffer(run, {
      resumable: head?.resumable ?? options.resumable,
      lasting: head?.lasting ?? options.lasting,
      maxBytes: options.maxBytes,
      nextSeq: head?.nextSeq ?? 0,
    });
    this.known = head !== null;
    this.storedSeq = this.buffer.nextSeq;
    this.#storedBytes = head?.bytes ?? 0;
    this.#evictAboveBytes = options.maxBytes;
    this.#maxBytes = options.maxBytes;
    this.#stepBytes = options.maxBytes / 8;
    if (head === null) return;
    this.hear(head);
    this.buffer.sealed = head.sealed;
  }

  /** A run of this process appends to it, as far as is known here; not one that was only made here, for others to execute. */
  get isWriter(): boolean {
    return this.begun && !this.resting && (this.leaseToken > 0 || this.appended);
  }

  /** It was begun for readers only, wherever that was. */
  get isUnused(): boolean {
    return this.buffer.lasting && !this.#isClaimed && !this.appended;
  }

  get needsWrite(): boolean {
    if (this.dropped || !this.begun || this.handover !== null) return false;
    return this.storedSeq < this.buffer.nextSeq || this.sealForMs !== null || !this.known;
  }

  /** Somebody waits for what is written next, or may come back for all of it, after a crash as well. */
  get isUrgent(): boolean {
    const { resumable, hasEagerReader } = this.buffer;
    return resumable || hasEagerReader || this.closing !== null || this.readElsewhere;
  }

  /** A disposable storage has not had it for longer than whoever writes it takes to write it again. */
  isMissing(nowMs: number): boolean {
    this.#missingSince ??= nowMs;
    return nowMs - this.#missingSince >= REWRITE_MS;
  }

  begin(leaseToken: number): void {
    this.begun = true;
    this.leaseToken = leaseToken;
    this.active = true;
    if (!this.buffer.lasting) return;
    this.wakeUp();
    this.cold = false;
    if (leaseToken > 0) {
      this.#isClaimed = true;
      this.holders.begin(leaseToken);
    } else if (!this.known) this.rest(UNUSED_MS);
  }

  /** The numbers of a log that is not there yet begin later than at 0. */
  startAt(seq: number): void {
    if (this.known || seq <= this.buffer.nextSeq) return;
    this.buffer.skipTo(seq);
    this.buffer.evicted.statesTo = seq - 1;
    this.storedSeq = seq;
  }

  /** With its next write it rests: its events expire `forMs` later. */
  rest(forMs: number): void {
    this.resting = true;
    this.sealForMs = forMs;
    this.#restForMs = forMs;
  }

  /** It rests no more. */
  wakeUp(): void {
    if (!this.resting) return;
    this.resting = false;
    this.sealForMs = null;
    this.cold = false;
  }

  append(events: readonly NewRunEvent[]): void {
    this.wakeUp();
    this.buffer.append(events);
    this.appended = true;
  }

  /** Seal it with its next write, and keep it `sealForMs` then. */
  close(last: readonly NewRunEvent[], sealForMs: number): void {
    this.append(last);
    this.closing = { last };
    this.sealForMs = sealForMs;
    this.buffer.ending = true;
    this.buffer.wakeReaders();
  }

  /** What the storage lacks; of the events only the first when they have more than `maxBytes`. */
  toWrite(maxBytes: number): LogWrite {
    const lacking = this.buffer.eventsFrom(this.storedSeq);
    const events: RunEvent[] = [];
    let bytes = 0;
    for (const event of lacking) {
      if (bytes > maxBytes) break;
      events.push(event);
      bytes += eventBytes(event);
    }
    const isAll = events.length === lacking.length;
    return {
      run: this.buffer.run,
      resumable: this.buffer.resumable,
      lasting: this.buffer.lasting,
      leaseToken: this.leaseToken,
      storedSeq: this.known ? this.storedSeq : null,
      events,
      nextSeq: isAll ? this.buffer.nextSeq : (events.at(-1) as RunEvent).seq + 1,
      bytes,
      evicted: { ...this.buffer.evicted },
      sealForMs: isAll ? this.sealForMs : null,
    };
  }

  /** The storage has `write` now, and readers may have it. */
  wrote(write: LogWrite, hotBytes: number): void {
    this.known = true;
    this.active = true;
    this.storedSeq = write.nextSeq;
    this.#storedBytes += write.bytes;
    this.#remember(write);
    if (write.sealForMs !== null && !this.buffer.lasting) {
      this.sealForMs = null;
      this.buffer.sealed = true;
    } else if (write.sealForMs !== null && write.nextSeq === this.buffer.nextSeq) this.sealForMs = null;
    this.buffer.visibleSeq = Math.max(this.buffer.visibleSeq, Math.min(this.storedSeq, this.buffer.nextSeq));
    this.buffer.trim({ beforeSeq: this.storedSeq, keepBytes: this.cold ? 0 : hotBytes });
    this.buffer.wakeReaders();
  }

  /** Readers of this process may have what the storage could not take. */
  showUnstored(): void {
    this.buffer.visibleSeq = this.buffer.nextSeq;
    if (this.closing !== null) this.buffer.sealed = true;
    this.buffer.wakeReaders();
  }

  /** Another process has it, or has ended it: what is not stored never happened. Then {@link follow}. */
  giveUp(): void {
    this.begun = false;
    this.appended = false;
    this.closing = null;
    this.sealForMs = null;
    this.resting = false;
    this.buffer.ending = false;
    this.buffer.sealed = false;
    this.buffer.truncate(this.storedSeq);
  }

  /** The storage has lost it, or part of it: what is in memory is written again, under the same numbers. */
  rewrite(): void {
    const { buffer } = this;
    this.known = false;
    this.storedSeq = buffer.hotFromSeq;
    this.#storedBytes = 0;
    if (this.resting) this.sealForMs = this.#restForMs;
    if (buffer.hotFromSeq > 0) buffer.evicted.statesTo = Math.max(buffer.evicted.statesTo, buffer.hotFromSeq - 1);
  }

  /** Whether what was begun here is no longer this process's, or not in the storage any more. */
  isTakenBy(head: LogHead | null): boolean {
    if (head === null) return this.known;
    if (head.sealed || head.leaseToken > this.leaseToken) return true;
    return !this.appended && head.nextSeq > this.buffer.nextSeq;
  }

  /** What was evicted, by whoever did it. */
  hear(head: LogHead): void {
    const { buffer } = this;
    buffer.resumable = head.resumable;
    buffer.evicted.tokensTo = Math.max(buffer.evicted.tokensTo, head.evicted.tokensTo);
    buffer.evicted.statesTo = Math.max(buffer.evicted.statesTo, head.evicted.statesTo);
    if (head.leaseToken > 0) this.#isClaimed = true;
    if (!this.begun) this.#storedBytes = head.bytes;
  }

  /**
   * Others have written it as far as `head` says.
   * @param read events that followed the ones in memory when they were read, before `head`; the others stay in the storage
   * @returns false when there is more to read
   */
  follow(
    head: LogHead,
    read: { readonly fromSeq: number; readonly events: readonly RunEvent[] } | null,
    hotBytes: number,
  ): boolean {
    const { buffer } = this;
    this.known = true;
    this.#missingSince = null;
    this.hear(head);
    buffer.truncate(this.storedSeq);
    if (read !== null && read.events.length > 0 && read.fromSeq <= buffer.nextSeq) buffer.receive(read.events);
    else buffer.skipTo(head.nextSeq);
    this.storedSeq = buffer.nextSeq;
    this.#storedBytes = head.bytes;
    buffer.trim({ beforeSeq: this.storedSeq, keepBytes: hotBytes });
    const isAll = buffer.nextSeq >= head.nextSeq;
    if (isAll && head.sealed) buffer.sealed = true;
    buffer.wakeReaders();
    return isAll;
  }

  /** Nothing in memory any more, as far as the storage has it. */
  cool(): void {
    this.cold = true;
    if (this.resting && !this.needsWrite) this.begun = false;
    this.buffer.trim({ beforeSeq: this.storedSeq, keepBytes: 0 });
  }

  /** More than `maxBytes` are stored. */
  get hasTooMuch(): boolean {
    return this.#storedBytes > this.#evictAboveBytes && this.begun && !this.dropped;
  }

  /** Bring the stored bytes below `maxBytes` again: token frames first, then state frames; never the newest eighth. */
  async evictStored(storage: EventStorage): Promise<void> {
    const maxBytes = this.#maxBytes;
    const step = this.#stepBytes;
    // Claimed before the first await, so that the writes meanwhile do not evict as well.
    this.#evictAboveBytes = Number.POSITIVE_INFINITY;
    const { run, evicted } = this.buffer;
    const beforeSeq = this.#recent[0]?.fromSeq ?? 0;
    // What is written meanwhile is the next eviction's: it must not cost state frames while there are token frames.
    let bytes = this.#storedBytes - (maxBytes - step);
    try {
      for (const kind of ["token", "state"] as const) {
        if (bytes <= 0) break;
        const { freedBytes, evictedToSeq } = await storage.evict({ run, kind, beforeSeq, bytes });
        bytes -= freedBytes;
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
