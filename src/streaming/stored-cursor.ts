import type { CursorRead, EventCursor } from "../core/event-log.js";
import type { EventStorage } from "./event-storage.js";
import { MAX_READ_BYTES, type ReadPosition, stepOverHole, takeEvents } from "./read-position.js";
import type { BufferReader, RunBuffer } from "./run-buffer.js";
import { Wakeup } from "./wakeup.js";

/** What may wait for a patient reader: then it reads along, from memory. */
const PATIENT_EVENTS = 1_000;

const END: CursorRead = Object.freeze({ kind: "end" });

/**
 * A cursor that reads the storage up to what is in memory, and memory from there. It is subscribed to the buffer before its
 * first read, and both sides are read by sequence number, so that there is neither hole nor duplicate between them.
 */
export class StoredCursor implements EventCursor, BufferReader {
  readonly position: ReadPosition;
  readonly patient: boolean;
  readonly #buffer: RunBuffer;
  readonly #storage: EventStorage;
  readonly #onHole: () => Promise<void>;
  readonly #onClose: () => void;
  readonly #wakeup = new Wakeup();
  #closed = false;

  constructor(
    buffer: RunBuffer,
    position: ReadPosition,
    options: {
      readonly storage: EventStorage;
      /** Events are missing: learn why, if another process knows. */
      readonly onHole: () => Promise<void>;
      readonly onClose: () => void;
      readonly patient: boolean;
    },
  ) {
    this.#buffer = buffer;
    this.position = position;
    this.patient = options.patient;
    this.#storage = options.storage;
    this.#onHole = options.onHole;
    this.#onClose = options.onClose;
    buffer.readers.add(this);
  }

  next(signal?: AbortSignal): Promise<CursorRead> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const read = this.#readMemory();
    return read === null ? this.#next(signal) : Promise.resolve(read);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#buffer.leave(this);
    this.#wakeup.wake();
    this.#onClose();
  }

  wake(): void {
    if (!this.#mayWait()) this.#wakeup.wake();
  }

  async #next(signal: AbortSignal | undefined): Promise<CursorRead> {
    for (;;) {
      const isStored = this.position.nextSeq < this.#buffer.hotFromSeq;
      if (isStored && !this.#mayWait()) {
        const read = await this.#readStorage();
        signal?.throwIfAborted();
        if (read !== null) return read;
      } else {
        await this.#wakeup.wait(signal);
      }
      const read = this.#readMemory();
      if (read !== null) return read;
    }
  }

  #readMemory(): CursorRead | null {
    if (this.#closed) return END;
    if (this.position.nextSeq < this.#buffer.hotFromSeq || this.#mayWait()) return null;
    // The row has ended: no other attempt can tell another story.
    if (this.patient && this.#buffer.ending) return this.#buffer.readUnstored(this.position);
    return this.#buffer.read(this.position);
  }

  #mayWait(): boolean {
    if (!this.patient || this.#closed || this.#buffer.ending || this.#buffer.sealed) return false;
    return this.#buffer.visibleSeq - this.position.nextSeq < PATIENT_EVENTS;
  }

  /** `null` when the position moved over a forgiven hole, or the log was dropped meanwhile: look again. */
  async #readStorage(): Promise<CursorRead | null> {
    const beforeSeq = this.#buffer.hotFromSeq;
    const fromSeq = this.position.nextSeq;
    const { run, evicted } = this.#buffer;
    const events = await this.#storage.read({ run, fromSeq, beforeSeq, maxBytes: MAX_READ_BYTES });
    const foundSeq = events[0]?.seq ?? beforeSeq;
    if (foundSeq > fromSeq && foundSeq - 1 > this.position.forgivenSeq) await this.#onHole();
    if (this.#closed) return END;
    if (this.#buffer.hotFromSeq < beforeSeq) return null;
    const gap = stepOverHole(this.position, foundSeq, evicted);
    if (gap !== null) return gap;
    const taken = takeEvents(events, 0, this.position, beforeSeq);
    return taken.length === 0 ? null : { kind: "events", events: taken };
  }
}
