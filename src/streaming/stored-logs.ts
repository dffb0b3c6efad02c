import type { Clock } from "../core/clock.js";
import type { Logger } from "../core/logger.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import type { Claim } from "./lasting-logs.js";
import { GatheredWrites } from "./gathered-writes.js";
import { MAX_READ_BYTES } from "./read-position.js";
import { RunBuffers } from "./run-buffers.js";
import { SealedLogs } from "./sealed-logs.js";
import { StoredLog } from "./stored-log.js";
import { isHead, NO_ANSWER, StorageQuestions } from "./stored-log-claims.js";
import { type NewEvents, StoredLogFollower } from "./stored-log-follower.js";
import { StoredLogWriter } from "./stored-log-writer.js";

export interface StoredLogsOptions {
  readonly storage: EventStorage;
  readonly clock: Clock;
  readonly logger: Pick<Logger, "warn">;
  readonly maxBytes: number;
  readonly maxSealedBytes: number;
  readonly hotBytes: number;
  readonly lingerMs: number;
}

/** The logs that this process writes or reads, and what it makes of what the storage says of them: whose they are, how far they go. */
export class StoredLogs {
  readonly questions: StorageQuestions;
  readonly #storage: EventStorage;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #byRun = new RunBuffers<StoredLog>();
  readonly #writer: StoredLogWriter;
  readonly #follower: StoredLogFollower;
  /** Ended here; served from memory a while longer. */
  readonly #lingering: SealedLogs;
  readonly #writes: GatheredWrites;

  constructor(options: StoredLogsOptions) {
    const { storage, clock, logger, lingerMs } = options;
    const onReadError = (error: unknown): void =>
      logger.warn({ err: error }, "The event log could not be read; trying again");
    this.#storage = storage;
    this.#clock = clock;
    this.#maxBytes = options.maxBytes;
    this.questions = new StorageQuestions(storage, clock, onReadError);
    this.#writer = new StoredLogWriter(storage, clock, {
      hotBytes: options.hotBytes,
      onError: (error) => logger.warn({ err: error }, "The event log could not be written; trying again"),
      onWritten: (log) => {
        if (log.buffer.sealed) this.#follower.unfollow(log);
        this.forgetIfIdle(log);
      },
      onRefused: (log, write) => this.#refused(log, write),
    });
    this.#writes = new GatheredWrites(this.#writer, { storage, clock });
    this.#follower = new StoredLogFollower({
      storage,
      clock,
      logs: this.#byRun,
      onLooked: (log, head, read) => this.#looked(log, head, read),
      onReadElsewhere: (log) => {
        log.readElsewhere = true;
        if (log.needsWrite) this.touch(log);
      },
      onUnread: (log) => {
        if (log.needsWrite) return;
        log.begun = false;
        this.forgetIfIdle(log);
      },
      onError: onReadError,
    });
    this.#lingering = new SealedLogs({
      clock,
      ttlMs: lingerMs,
      unreadTtlMs: lingerMs,
      maxSealedBytes: options.maxSealedBytes,
      release: (buffer) => {
        const log = this.#byRun.get(buffer.run);
        if (log === undefined) return;
        log.cool();
        this.forgetIfIdle(log);
      },
    });
  }

  get(run: RunRef): StoredLog | undefined {
    return this.#byRun.get(run);
  }

  all(): readonly StoredLog[] {
    return this.#byRun.all();
  }

  ofThread(threadId: string): readonly StoredLog[] {
    return this.#byRun.ofThread(threadId);
  }

  /**
   * The log as the storage has it now, in memory; `null` when it has none. It stays there until the caller, who is about to read it,
   * says {@link opened}.
   */
  async find(run: RunRef): Promise<StoredLog | null> {
    const head = await this.questions.ask(() => this.#storage.head(run));
    const log = this.#byRun.get(run) ?? (isHead(head) ? this.#adopt(run, head, head) : null);
    if (log === null) return null;
    log.arriving += 1;
    try {
      if (head !== NO_ANSWER) await this.#looked(log, head, null);
    } catch (error) {
      log.arriving -= 1;
      throw error;
    }
    return log.dropped ? null : log;
  }

  /** Look at what the storage has of a log now. */
  async look(log: StoredLog): Promise<void> {
    const { run } = log.buffer;
    const head = await this.questions.ask(() => this.#storage.head(run));
    if (head !== NO_ANSWER && this.#byRun.get(run) === log) await this.#looked(log, head, null);
  }

  /** Nothing of the run goes unnoticed until it is followed. @returns the end of it */
  hold(run: RunRef): () => void {
    return this.#follower.hold(run);
  }

  /** Somebody reads it. @param arrived it was found for him */
  opened(log: StoredLog, arrived: boolean): void {
    if (arrived) log.arriving -= 1;
    if (!log.buffer.sealed) this.#follower.follow(log);
    this.#lingering.wasOpened(log.buffer);
    if (log.isUrgent && log.needsWrite) this.touch(log);
  }

  /** Begin a log that nobody else has written, so that the storage need not be asked. */
  beginFirst(run: RunRef, params: Claim): void {
    const log = this.#byRun.get(run) ?? this.#adopt(run, null, params);
    this.#begin(log, params.leaseToken);
  }

  /** Begin a log that may be there already, unless others have begun it with a token. */
  async beginUnclaimed(run: RunRef, params: Claim): Promise<void> {
    const head = await this.questions.ask(() => this.#storage.head(run));
    this.#beginAfter(run, { head, ...params });
  }

  /** Fence off whoever writes it, durably; only then look how far he came, and begin there. */
  async takeOver(run: RunRef, params: Claim): Promise<void> {
    let log = this.#byRun.get(run);
    for (; log?.handover; log = this.#byRun.get(run)) await log.handover;
    if (log?.begun === true && log.buffer.lasting) {
      // Whoever begins next finds the end of the one before.
      await this.flush(log);
      return this.#handOver(log, params);
    }
    if (log !== undefined) {
      log.begun = false;
      await this.#writer.settled(log);
      // Of an attempt that is over; others may have had the run since. Readers may have seen what a disposable storage failed to take.
      if (!this.#writer.isStuck) log.giveUp();
    }
    const head = await this.questions.ask(() => this.questions.raise(run, params));
    // A reader here may have begun it meanwhile, with a token that is fenced off now.
    const meanwhile = this.#byRun.get(run);
    if (head !== null && meanwhile?.begun === true && meanwhile.leaseToken < params.leaseToken)
      return this.takeOver(run, params);
    if (head !== null) this.#beginAfter(run, { head, ...params });
    else if (log !== undefined) await this.look(log);
  }

  /** A lasting log goes from one run of this process to the next, with all that the first one has appended. */
  async #handOver(log: StoredLog, params: Claim): Promise<void> {
    const { leaseToken } = params;
    if (leaseToken <= log.leaseToken) {
      if (leaseToken === log.leaseToken) log.begin(leaseToken);
      return;
    }
    if (!log.begun || log.handover !== null) return this.takeOver(log.buffer.run, params);
    const { promise, resolve } = Promise.withResolvers<void>();
    const { run } = log.buffer;
    let isTaken = false;
    log.handover = promise;
    try {
      await this.#writer.settled(log);
      const head = await this.questions.ask(() => this.questions.raise(run, params));
      isTaken = head === null;
      if (head === null) return;
      const isMine = log.begun && !log.dropped;
      if (isMine && (!isHead(head) || head.nextSeq === log.storedSeq)) {
        if (isHead(head)) log.known = true;
        this.#lingering.remove(log.buffer);
        log.begin(leaseToken);
        return;
      }
      // Another process had it in between.
      if (isMine) log.giveUp();
      this.#beginAfter(run, { head, ...params });
    } finally {
      log.handover = null;
      resolve();
      this.touch(log);
      if (isTaken) await this.look(log);
    }
  }

  /** Something is to be written. */
  touch(log: StoredLog): void {
    this.#writes.add(log);
  }

  /** @throws what the storage threw */
  async flush(log: StoredLog): Promise<void> {
    while (log.handover !== null) await log.handover;
    this.#writes.run();
    await this.#writer.flush(log);
  }

  /** What is to be written ends with its seal. */
  ending(log: StoredLog): void {
    this.#lingering.add(log.buffer);
    this.touch(log);
  }

  /** What is to be written ends with a rest, of `forMs`. */
  resting(log: StoredLog, forMs: number): void {
    log.rest(forMs);
    this.#lingering.remove(log.buffer);
    this.ending(log);
    // From here on others may write it.
    if (log.buffer.readers.size > 0) this.#follower.follow(log);
  }

  /** What was put to rest here is appended to. */
  wakeUp(log: StoredLog): void {
    this.#lingering.remove(log.buffer);
    log.wakeUp();
  }

  /** Let go of what has lingered long enough. */
  sweep(): void {
    this.#lingering.sweep();
  }

  /** They are gone for good; resolves when no write of them is under way. */
  async discard(logs: readonly StoredLog[]): Promise<void> {
    for (const log of logs) this.#discard(log);
    for (const log of logs) await this.#writer.settled(log);
  }

  /** Leave memory when nobody writes or reads it here. */
  forgetIfIdle(log: StoredLog): void {
    if (log.buffer.readers.size > 0 || log.arriving > 0) return;
    const isWritten = log.begun && !log.cold;
    if (!isWritten) this.#follower.unfollow(log);
    if (isWritten || log.needsWrite) return;
    this.#lingering.remove(log.buffer);
    this.#byRun.delete(log);
  }

  /** Write what is there, end all readers. @throws what the storage threw */
  async close(): Promise<void> {
    this.#follower.close();
    this.#writes.close();
    const flushed = await Promise.allSettled(this.all().map((log) => this.flush(log)));
    this.#lingering.close();
    this.#writer.close();
    await this.#writer.idle();
    for (const log of this.all()) {
      log.buffer.closeReaders();
      this.#byRun.delete(log);
    }
    const failed = flushed.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #adopt(run: RunRef, head: LogHead | null, params: Pick<Claim, "resumable" | "lasting">): StoredLog {
    const { resumable, lasting } = params;
    const log = new StoredLog(run, head, { resumable, lasting, maxBytes: this.#maxBytes });
    if (head === null) log.startAt(this.questions.startSeq(lasting));
    this.#byRun.set(log);
    this.#follower.watchOver();
    return log;
  }

  #begin(log: StoredLog, leaseToken: number): void {
    this.#lingering.remove(log.buffer);
    log.begin(leaseToken);
    // Whoever made a run waits for what others write.
    if (leaseToken === 0) this.#follower.follow(log);
    if (!log.known) this.touch(log);
  }

  /** @param params.head `NO_ANSWER`: of a disposable storage */
  #beginAfter(run: RunRef, params: Claim & { readonly head: LogHead | null | typeof NO_ANSWER }): void {
    const { head, leaseToken } = params;
    let log = this.#byRun.get(run);
    if (log?.begun === true || log?.buffer.sealed === true) return;
    if (head === NO_ANSWER) {
      if (log === undefined) {
        log = this.#adopt(run, null, params);
        log.blind = true;
      }
      this.#begin(log, leaseToken);
      return;
    }
    if (head !== null && (head.sealed || head.leaseToken > leaseToken)) return;
    if (head === null && log !== undefined) {
      if (log.buffer.lasting) log.rewrite();
      else {
        this.#discard(log);
        log = undefined;
      }
    }
    if (log === undefined) log = this.#adopt(run, head, params);
    else if (head !== null && head.nextSeq === log.storedSeq) log.hear(head);
    else if (head !== null) {
      log.giveUp();
      log.follow(head, null, MAX_READ_BYTES);
    }
    this.#begin(log, leaseToken);
  }

  /** @returns false when there is more to read */
  async #looked(log: StoredLog, head: LogHead | null, read: NewEvents | null): Promise<boolean> {
    // The token that it has found may be that of the next run here.
    while (log.handover !== null) await log.handover;
    if (log.begun && !log.isTakenBy(head)) {
      if (head !== null) log.hear(head);
      return true;
    }
    // What is on its way may be what the storage has.
    await this.#writer.settled(log);
    if (log.dropped || (log.begun && (log.buffer.sealed || !log.isTakenBy(head)))) return true;
    if (head !== null) return this.#leaveToOthers(log, head, read);
    // The answer may be older than the log.
    const again = await this.questions.ask(() => this.#storage.head(log.buffer.run));
    if (again === null && this.#byRun.get(log.buffer.run) === log) await this.#vanished(log);
    return true;
  }

  async #vanished(log: StoredLog): Promise<void> {
    if (await this.questions.isLost(log.buffer.run)) {
      if (log.begun) {
        await this.#restore(log);
        if (log.begun) this.touch(log);
        return;
      }
      if (!log.isMissing(this.#clock.now())) return;
    }
    this.#discard(log);
  }

  /** Write again what a disposable storage has lost, unless another worker has the run. @throws when nobody can tell */
  async #restore(log: StoredLog): Promise<void> {
    const { leaseToken } = log;
    const isMine = log.closing !== null || (await this.questions.mayRestore(log.buffer, leaseToken));
    if (log.dropped || !log.begun || log.leaseToken !== leaseToken) return;
    if (isMine) log.rewrite();
    else this.#leaveToOthers(log, null, null);
  }

  /** Others have written it, or ended it: from here on it is only read here. @returns false when there is more to read */
  #leaveToOthers(log: StoredLog, head: LogHead | null, read: NewEvents | null): boolean {
    if (log.begun) {
      log.giveUp();
      this.#lingering.remove(log.buffer);
    }
    const isAll = head === null || log.follow(head, read, MAX_READ_BYTES);
    if (log.buffer.sealed) this.#follower.unfollow(log);
    else if (log.buffer.readers.size > 0) this.#follower.follow(log);
    this.forgetIfIdle(log);
    return isAll;
  }

  async #refused(log: StoredLog, write: LogWrite): Promise<void> {
    if (log.dropped || !log.begun) return;
    const { run } = log.buffer;
    const head = await this.#storage.head(run);
    if (log.dropped || !log.begun) return;
    if (head !== null && (head.sealed || head.leaseToken > log.leaseToken)) this.#leaveToOthers(log, head, null);
    else if (head === null) {
      if (await this.questions.isLost(run)) await this.#restore(log);
      else this.#discard(log);
    } else if (head.nextSeq < (write.storedSeq ?? 0)) await this.#restore(log);
    // The storage has lost that its writer was fenced off, and he has written it again.
    else if (this.#storage.disposable && head.leaseToken < log.leaseToken) log.rewrite();
    else throw new Error(`The events of run ${run.runId} were refused by their storage`);
  }

  #discard(log: StoredLog): void {
    log.dropped = true;
    this.#byRun.delete(log);
    this.#follower.unfollow(log);
    this.#lingering.remove(log.buffer);
    log.buffer.discard();
  }
}
