import type { CursorRead, EventCursor } from "../core/event-log.js";
import type { ReadPosition } from "./read-position.js";
import type { BufferReader, RunBuffer } from "./run-buffer.js";
import { Wakeup } from "./wakeup.js";

/** A cursor over a buffer that holds everything there is. */
export class MemoryCursor implements EventCursor, BufferReader {
  readonly patient = false;
  readonly position: ReadPosition;
  readonly #buffer: RunBuffer;
  readonly #wakeup = new Wakeup();
  #closed = false;

  constructor(buffer: RunBuffer, position: ReadPosition) {
    this.#buffer = buffer;
    this.position = position;
    buffer.readers.add(this);
  }

  next(signal?: AbortSignal): Promise<CursorRead> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const read = this.#read();
    return read === null ? this.#wait(signal) : Promise.resolve(read);
  }

  close(): void {
    if (!this.#closed) this.#buffer.leave(this);
    this.#closed = true;
    this.#wakeup.wake();
  }

  wake(): void {
    this.#wakeup.wake();
  }

  #read(): CursorRead | null {
    return this.#closed ? { kind: "end" } : this.#buffer.read(this.position);
  }

  async #wait(signal: AbortSignal | undefined): Promise<CursorRead> {
    for (;;) {
      await this.#wakeup.wait(signal);
      const read = this.#read();
      if (read !== null) return read;
    }
  }
}
