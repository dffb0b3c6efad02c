import type { Clock, Timer } from "../core/clock.js";
import type { EventStorage, LogWrite } from "./event-storage.js";
import type { StoredLog } from "./stored-log.js";

/** Pause before a failed write is tried again. */
const RETRY_MS = 1_000;

/** How long a disposable storage may keep readers and runs waiting. */
export const PATIENCE_MS = 1_000;

/** Bytes of events in one write, more or less. Clients of databases keep buffers as large as their largest message. */
const MAX_WRITE_BYTES = 1024 * 1024;

export interface WriterOptions {
  /** Bytes of a run that stay in memory when they are stored. */
  readonly hotBytes: number;
  /** The storage has all that `log` had when the write began. */
  readonly onWritten: (log: StoredLog) => void;
  /**
   * The storage refused a log's share. Afterwards the log is given up, or there is another reason to write it again.
   * Rejects when that could not be found out.
   */
  readonly onRefused: (log: StoredLog, write: LogWrite) => Promise<void>;
  /** A write or an eviction failed; it will be tried again. */
  readonly onError: (error: unknown) => void;
}

/**
 * Writes what stored logs lack, one write at a time; what comes meanwhile is the next write. Readers see what is written.
 * What a disposable storage does not take within {@link PATIENCE_MS} they see all the same, and so they do when a storage that
 * writes synchronously fails: only this process reads it.
 */
export class StoredLogWriter {
  readonly #storage: EventStorage;
  readonly #clock: Clock;
  readonly #options: WriterOptions;
  readonly #dirty = new Set<StoredLog>();
  #inFlight: { readonly logs: ReadonlySet<StoredLog>; readonly done: Promise<void> } | null = null;
  /** The write that is under way takes too long. */
  #isLate = false;
  readonly #evictions = new Set<Promise<void>>();
  #retry: Timer | null = null;
  #isClosed = false;
  /** Those who do not wait for a disposable storage that fails. */
  readonly #impatient = new Set<() => void>();

  constructor(storage: EventStorage, clock: Clock, options: WriterOptions) {
    this.#storage = storage;
    this.#clock = clock;
    this.#options = options;
  }

  /** Waiting for the storage is of no use. */
  get isStuck(): boolean {
    return this.#storage.disposable && (this.#isLate || this.#retry !== null || this.#isClosed);
  }

  add(log: StoredLog): void {
    this.#dirty.add(log);
  }

  /** Start writing what is there, unless a write is under way. With a synchronous storage it is done on return. */
  start(): void {
    if (this.isStuck) {
      for (const log of this.#dirty) log.showUnstored();
      return;
    }
    if (this.#inFlight !== null || this.#dirty.size === 0) return;
    this.#attempt().catch(() => undefined);
  }

  /**
   * Resolves when the storage has everything that `log` has now, or when it is not written here any more. Does not wait for a
   * disposable storage that fails.
   * @throws what the storage threw, unless it is disposable
   */
  async flush(log: StoredLog): Promise<void> {
    if (!this.#storage.disposable) return this.#flush(log);
    await this.#unlessStuck(this.#flush(log).catch(() => undefined));
  }

  async #flush(log: StoredLog): Promise<void> {
    const target = log.buffer.nextSeq;
    const isDone = (): boolean => !log.needsWrite || (log.storedSeq >= target && log.known && log.sealForMs === null);
    while (!isDone()) {
      this.#dirty.add(log);
      await (this.#inFlight?.done ?? this.#attempt());
    }
  }

  /** Resolves when the write of `log` that is under way has ended, whatever became of it. Does not wait for a storage that is stuck. */
  async settled(log: StoredLog): Promise<void> {
    if (this.#inFlight?.logs.has(log) !== true) return;
    await this.#unlessStuck(this.#inFlight.done.catch(() => undefined));
  }

  /** Resolves when nothing is under way: neither a write nor an eviction. Call {@link close} first. */
  async idle(): Promise<void> {
    while (this.#inFlight !== null && !this.isStuck) {
      await this.#unlessStuck(this.#inFlight.done.catch(() => undefined));
    }
    // These end by themselves soon: without them `isStuck` would turn this loop for ever.
    while (this.#evictions.size > 0) await Promise.allSettled(this.#evictions);
  }

  /** No more retries. */
  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#retry = null;
    this.#dirty.clear();
  }

  async #unlessStuck(work: Promise<unknown>): Promise<void> {
    if (this.isStuck) return;
    let leave = (): void => {};
    const stuck = new Promise<void>((resolve) => (leave = resolve));
    this.#impatient.add(leave);
    try {
      await Promise.race([work, stuck]);
    } finally {
      this.#impatient.delete(leave);
    }
  }

  /** One write of what is dirty. Rejects when the storage fails; everything is then dirty again, and tried again later. */
  #attempt(): Promise<void> {
    const logs: StoredLog[] = [];
    const writes: LogWrite[] = [];
    let bytes = 0;
    for (const log of this.#dirty) {
      if (bytes > MAX_WRITE_BYTES) break;
      this.#dirty.delete(log);
      if (!log.needsWrite) continue;
      const write = log.toWrite(MAX_WRITE_BYTES);
      logs.push(log);
      writes.push(write);
      bytes += write.bytes;
    }
    if (logs.length === 0) return Promise.resolve();
    try {
      const writing = logs.some((log) => log.blind) ? this.#writeBlind(logs, writes) : this.#storage.write(writes);
      if (!(writing instanceof Promise) && writing.length === 0) {
        this.#wrote(logs, writes, new Set());
        return Promise.resolve();
      }
      const done = this.#finish(logs, writes, Promise.resolve(writing));
      this.#inFlight = { logs: new Set(logs), done };
      return done;
    } catch (error) {
      for (const log of logs) {
        this.#dirty.add(log);
        log.showUnstored();
      }
      this.#retryLater(error);
      return rejected(error);
    }
  }

  async #finish(
    logs: readonly StoredLog[],
    writes: readonly LogWrite[],
    writing: Promise<readonly { readonly runId: string }[]>,
  ): Promise<void> {
    const patience = this.#storage.disposable ? this.#clock.setTimer(() => this.#lose(logs), PATIENCE_MS) : null;
    try {
      const refused = new Set((await writing).map(({ runId }) => runId));
      this.#wrote(logs, writes, refused);
      if (refused.size > 0) await this.#resolveRefused(logs, writes, refused);
    } catch (error) {
      for (const log of logs) this.#dirty.add(log);
      this.#retryLater(error);
      throw error;
    } finally {
      patience?.cancel();
      this.#isLate = false;
      this.#inFlight = null;
    }
    this.start();
  }

  /** What a storage has of logs that were begun while it did not answer contradicts what their readers have seen. */
  async #writeBlind(
    logs: readonly StoredLog[],
    writes: readonly LogWrite[],
  ): Promise<readonly { readonly runId: string }[]> {
    for (const log of logs) {
      if (!log.blind) continue;
      await this.#storage.delete(log.buffer.run);
      log.blind = false;
    }
    return this.#storage.write(writes);
  }

  #wrote(logs: readonly StoredLog[], writes: readonly LogWrite[], refused: ReadonlySet<string>): void {
    logs.forEach((log, index) => {
      const write = writes[index] as LogWrite;
      if (refused.has(write.run.runId)) return;
      log.wrote(write, this.#options.hotBytes);
      if (log.needsWrite) this.#dirty.add(log);
      this.#options.onWritten(log);
      if (!log.hasTooMuch) return;
      const eviction = log
        .evictStored(this.#storage)
        .catch(this.#options.onError)
        .finally(() => this.#evictions.delete(eviction));
      this.#evictions.add(eviction);
    });
  }

  async #resolveRefused(
    logs: readonly StoredLog[],
    writes: readonly LogWrite[],
    refused: ReadonlySet<string>,
  ): Promise<void> {
    const resolutions = logs.map(async (log, index) => {
      const write = writes[index] as LogWrite;
      if (!refused.has(write.run.runId)) return;
      await this.#options.onRefused(log, write);
      if (log.needsWrite) this.#dirty.add(log);
    });
    const failed = (await Promise.allSettled(resolutions)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** A disposable storage does not answer. */
  #lose(logs: readonly StoredLog[]): void {
    this.#isLate = true;
    for (const log of [...logs, ...this.#dirty]) log.showUnstored();
    this.#leaveImpatient();
  }

  #leaveImpatient(): void {
    for (const leave of this.#impatient) leave();
  }

  /** A storage that fails is tried again each second; what it lacks stays in memory, within `maxBytes` per run. */
  #retryLater(error: unknown): void {
    this.#options.onError(error);
    if (this.#isClosed) return;
    this.#retry ??= this.#clock.setTimer(() => {
      this.#retry = null;
      this.start();
    }, RETRY_MS);
    if (!this.isStuck) return;
    for (const log of this.#dirty) log.showUnstored();
    this.#leaveImpatient();
  }
}

async function rejected(error: unknown): Promise<never> {
  throw error;
}
