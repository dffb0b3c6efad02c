import type { Clock, Timer } from "../core/clock.js";
import type { EventStorage } from "./event-storage.js";
import type { StoredLog } from "./stored-log.js";
import type { StoredLogWriter } from "./stored-log-writer.js";
import { TurnBatch } from "./turn-batch.js";

/** How long what nobody reads is gathered before it is written. */
const GATHER_MS = 50;

/**
 * When stored logs are written: at once, batched by turns of the event loop, where somebody reads along or may come back for all of it; otherwise 50 ms
 * later, or with the run's end. Most runs are shorter, so that they cost one write.
 */
export class GatheredWrites {
  readonly #writer: StoredLogWriter;
  readonly #clock: Clock;
  readonly #batch: TurnBatch;
  /** Whoever would see a write at once is known here: a storage tells of readers elsewhere, or those get no hints and look by themselves. */
  readonly #knowsReaders: boolean;
  #unread = new Set<StoredLog>();
  #timer: Timer | null = null;

  constructor(writer: StoredLogWriter, options: { readonly storage: EventStorage; readonly clock: Clock }) {
    const { storage, clock } = options;
    this.#writer = writer;
    this.#clock = clock;
    this.#batch = new TurnBatch(() => writer.start());
    this.#knowsReaders = storage.tellsOfReaders ?? storage.watch === null;
  }

  /** Something is to be written. */
  add(log: StoredLog): void {
    this.#writer.add(log);
    if (log.isUrgent) {
      this.#batch.mark();
      return;
    }
    this.#unread.add(log);
    this.#timer ??= this.#clock.setTimer(() => this.#writeUnread(), GATHER_MS);
  }

  /** Do now what was to be done in this turn. */
  run(): void {
    this.#batch.run();
  }

  close(): void {
    this.#timer?.cancel();
    this.#unread.clear();
  }

  #writeUnread(): void {
    const unread = this.#unread;
    this.#timer = null;
    this.#unread = new Set();
    // They may be read elsewhere already.
    if (!this.#knowsReaders) for (const log of unread) log.readElsewhere ||= log.needsWrite;
    this.#batch.mark();
  }
}
