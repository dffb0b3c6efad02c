import type { Clock, Timer } from "../core/clock.js";
import type { EventStorage, LogWrite } from "./event-storage.js";
import type { StoredLog } from "./stored-log.js";

/** Pause before a failed write is tried again. */
const RETRY_MS = 1_000;

export interface WriterOptions {
  /** Bytes of a run that stay in memory when they are stored. */
  readonly hotBytes: number;
  /** The storage has all that `log` had when the write began. */
  readonly onWritten: (log: StoredLog) => void;
  /** A write or an eviction failed; it will be tried again. */
  readonly onError: (error: unknown) => void;
}

/** Writes what stored logs lack, one write at a time; what comes meanwhile is the next write. */
export class StoredLogWriter {
  readonly #storage: EventStorage;
  readonly #clock: Clock;
  readonly #options: WriterOptions;
  readonly #dirty = new Set<StoredLog>();
  #inFlight: Promise<void> | null = null;
  readonly #evictions = new Set<Promise<void>>();
  #retry: Timer | null = null;

  constructor(storage: EventStorage, clock: Clock, options: WriterOptions) {
    this.#storage = storage;
    this.#clock = clock;
    this.#options = options;
  }

  add(log: StoredLog): void {
    this.#dirty.add(log);
  }

  /** Start writing what is there, unless a write is under way. With a synchronous storage it is done on return. */
  start(): void {
    if (this.#inFlight !== null || this.#dirty.size === 0) return;
    this.#attempt().catch((error: unknown) => this.#retryLater(error));
  }

  /**
   * Resolves when the storage has everything that `log` has now.
   * @throws what the storage threw
   */
  async flush(log: StoredLog): Promise<void> {
    const target = log.buffer.nextSeq;
    const isDone = (): boolean => !log.needsWrite || (log.storedSeq >= target && log.known && log.sealForMs === null);
    while (!isDone()) {
      this.#dirty.add(log);
      await (this.#inFlight ?? this.#attempt());
    }
  }

  /** Resolves when nothing is under way: neither a write nor an eviction. */
  async idle(): Promise<void> {
    while (this.#inFlight !== null || this.#evictions.size > 0) {
      await Promise.allSettled([this.#inFlight, ...this.#evictions]);
    }
  }

  /** No more retries. */
  close(): void {
    this.#retry?.cancel();
    this.#retry = null;
    this.#dirty.clear();
  }

  /** One write of all that is dirty. Rejects when the storage fails; everything is then dirty again. */
  #attempt(): Promise<void> {
    const logs = [...this.#dirty].filter((log) => log.needsWrite);
    this.#dirty.clear();
    if (logs.length === 0) return Promise.resolve();
    const writes = logs.map((log) => log.toWrite());
    const succeeded = (): void => {
      this.#inFlight = null;
      logs.forEach((log, index) => this.#wrote(log, writes[index] as LogWrite));
      this.start();
    };
    const failed = async (error: unknown): Promise<never> => {
      this.#inFlight = null;
      for (const log of logs) this.#dirty.add(log);
      throw error;
    };
    try {
      const writing = this.#storage.write(writes);
      if (!(writing instanceof Promise)) {
        succeeded();
        return Promise.resolve();
      }
      this.#inFlight = writing.then(succeeded, failed);
      return this.#inFlight;
    } catch (error) {
      return failed(error);
    }
  }

  #wrote(log: StoredLog, write: LogWrite): void {
    log.wrote(write, this.#options.hotBytes);
    this.#options.onWritten(log);
    if (!log.hasTooMuch) return;
    const eviction = log
      .evictStored(this.#storage)
      .catch(this.#options.onError)
      .finally(() => this.#evictions.delete(eviction));
    this.#evictions.add(eviction);
  }

  /** A storage that fails is tried again each second; what it lacks stays in memory, within `maxBytes` per run. */
  #retryLater(error: unknown): void {
    this.#options.onError(error);
    this.#retry ??= this.#clock.setTimer(() => {
      this.#retry = null;
      this.start();
    }, RETRY_MS);
  }
}
