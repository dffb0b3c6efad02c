import type { Clock, Timer } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import type { RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage, LogHead, LogWatch } from "./event-storage.js";
import { MAX_READ_BYTES } from "./read-position.js";
import type { RunBuffers } from "./run-buffers.js";
import type { StoredLog } from "./stored-log.js";

/** How often logs that others write are looked at when the storage tells of nothing. */
const POLL_MS = 150;
/** How often they are looked at although it tells: hints get lost. */
const SAFETY_MS = 15_000;
/** The same, where what is stored may vanish. */
const DISPOSABLE_SAFETY_MS = 2_000;
/** How often logs that were begun here, and are not written just now, are asked whose they are. */
const OWNER_MS = 2_000;
/** Beyond every sequence number. Those of lasting logs in a disposable storage are greater than 32 bits hold. */
const MAX_SEQ = 2_147_483_647;
/** Logs that are looked at in one go: where many are read the event loop turns in between. */
const LOOK_LOGS = 250;
/** Pause after a look that failed. */
const RETRY_MS = 1_000;

export interface NewEvents {
  readonly fromSeq: number;
  readonly events: readonly RunEvent[];
}

export interface FollowerOptions {
  readonly storage: EventStorage;
  readonly clock: Clock;
  readonly logs: RunBuffers<StoredLog>;
  /**
   * What the storage has of a log; `read`: what followed the ones in memory, because somebody waits for them.
   * @returns false when there is more to read
   */
  readonly onLooked: (log: StoredLog, head: LogHead | null, read: NewEvents | null) => boolean | Promise<boolean>;
  /** Another process reads what is written here. */
  readonly onReadElsewhere: (log: StoredLog) => void;
  /** Somebody else writes a log of which nobody waits here. */
  readonly onUnread: (log: StoredLog) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Brings what other processes write to the logs that are read here: one question for all of them, one read per log
 * however many readers it has. Told by the storage's hints, or by asking every {@link POLL_MS} what has changed, or each log; hints
 * may be lost. One timer in all, and only while something is in memory.
 */
export class StoredLogFollower {
  readonly #options: FollowerOptions;
  readonly #watch: LogWatch | null;
  readonly #safetyMs: number;
  /** Subscribed to: logs that are followed, and those that are about to be. */
  readonly #held = new Map<string, { readonly run: RunRef; count: number; hinted: boolean }>();
  readonly #followed = new Set<StoredLog>();
  readonly #stale = new Set<StoredLog>();
  #looking: Promise<void> | null = null;
  /** Up to where the storage has said what has changed; `null`: each log is to be asked. */
  #changedUntil: string | null = null;
  #isAsking = false;
  /** After a look that failed. */
  #pause: Timer | null = null;
  #timer: Timer | null = null;
  #timerDueAt: EpochMs = Number.POSITIVE_INFINITY;
  #safetyDueAt: EpochMs = Number.POSITIVE_INFINITY;
  #ownersDueAt: EpochMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#safetyMs = options.storage.disposable ? DISPOSABLE_SAFETY_MS : SAFETY_MS;
    this.#watch =
      options.storage.watch?.({
        onGrown: (run) => this.#hint(run),
        onMissed: () => this.#lookAtAll(),
        onRead: (run) => {
          const log = options.logs.get(run);
          if (log !== undefined) options.onReadElsewhere(log);
        },
      }) ?? null;
  }

  /** Be told of a run from now on, so that nothing comes unnoticed between a look and {@link follow}. @returns the end of it */
  hold(run: RunRef): () => void {
    const held = this.#held.get(run.runId);
    if (held === undefined) {
      this.#held.set(run.runId, { run, count: 1, hinted: false });
      this.#watch?.add(run);
    } else held.count += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#release(run);
    };
  }

  /** Keep a log up to date while it is read here. Idempotent. */
  follow(log: StoredLog): void {
    if (this.#closed) return;
    if (!this.#followed.has(log)) {
      this.#followed.add(log);
      const { run } = log.buffer;
      this.hold(run);
      if (this.#held.get(run.runId)?.hinted === true) this.look(log);
    }
    if (this.#watch === null && !log.isWriter) this.#wakeAt(this.#options.clock.now() + POLL_MS);
  }

  unfollow(log: StoredLog): void {
    this.#stale.delete(log);
    if (this.#followed.delete(log)) this.#release(log.buffer.run);
  }

  /** Look at a log soon. */
  look(log: StoredLog): void {
    this.#stale.add(log);
    this.#startLooking();
  }

  /** There is something in memory to look after now and then. */
  watchOver(): void {
    if (this.#closed) return;
    const now = this.#options.clock.now();
    if (this.#safetyDueAt === Number.POSITIVE_INFINITY) this.#safetyDueAt = now + this.#safetyMs;
    if (this.#ownersDueAt === Number.POSITIVE_INFINITY) this.#ownersDueAt = now + OWNER_MS;
    this.#wakeAt(Math.min(this.#safetyDueAt, this.#ownersDueAt));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#pause?.cancel();
    this.#watch?.close();
    this.#followed.clear();
    this.#stale.clear();
    this.#held.clear();
  }

  #startLooking(): void {
    if (this.#looking !== null || this.#pause !== null || this.#stale.size === 0 || this.#closed) return;
    this.#looking = this.#lookAtStale().finally(() => {
      this.#looking = null;
      this.#startLooking();
    });
  }

  #wakeAt(dueAt: EpochMs): void {
    if (dueAt >= this.#timerDueAt) return;
    const { clock } = this.#options;
    this.#timer?.cancel();
    this.#timerDueAt = dueAt;
    this.#timer = clock.setTimer(
      () => {
        this.#timerDueAt = Number.POSITIVE_INFINITY;
        this.#tick();
      },
      Math.max(dueAt - clock.now(), 0),
    );
  }

  #tick(): void {
    const { clock, logs } = this.#options;
    const now = clock.now();
    const isSafety = now >= this.#safetyDueAt;
    if (isSafety) this.#safetyDueAt = Number.POSITIVE_INFINITY;
    if (now >= this.#ownersDueAt) {
      this.#ownersDueAt = Number.POSITIVE_INFINITY;
      for (const log of logs.all()) this.#checkOwner(log);
    }
    if (this.#watch === null) this.#poll(now, isSafety);
    else if (isSafety) this.#lookAtOthers();
    if (logs.size > 0) this.watchOver();
  }

  #poll(now: EpochMs, isSafety: boolean): void {
    const { storage } = this.#options;
    let isPolling = false;
    for (const log of this.#followed) {
      if (log.isWriter) continue;
      isPolling = true;
      if (isSafety || storage.changed === undefined || !log.buffer.lasting) this.look(log);
    }
    if (!isPolling) return;
    if (storage.changed !== undefined) void this.#lookAtChanged(storage.changed.bind(storage));
    this.#wakeAt(now + POLL_MS);
  }

  /** At all that is followed, but for what is written here. */
  #lookAtOthers(): void {
    for (const log of this.#followed) if (!log.isWriter) this.look(log);
  }

  async #lookAtChanged(changed: NonNullable<EventStorage["changed"]>): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const since = this.#changedUntil;
      const { runs, until } = await changed(since);
      this.#changedUntil = until;
      if (since === null || runs === null) this.#lookAtAll();
      else for (const run of runs) if (this.#options.logs.get(run)?.isWriter !== true) this.#hint(run);
    } catch (error) {
      this.#changedUntil = null;
      if (!this.#closed) this.#options.onError(error);
    } finally {
      this.#isAsking = false;
    }
  }

  /** Who writes it, if nothing was heard of it for a while. */
  #checkOwner(log: StoredLog): void {
    if (!log.begun || log.buffer.sealed) return;
    const wasActive = log.active;
    log.active = false;
    if (wasActive) return;
    if (log.isWriter || log.buffer.readers.size > 0) this.look(log);
    else this.#options.onUnread(log);
  }

  #hint(run: RunRef): void {
    const held = this.#held.get(run.runId);
    if (held === undefined) return;
    held.hinted = true;
    const log = this.#options.logs.get(held.run);
    if (log === undefined || !this.#followed.has(log)) return;
    if (log.isWriter || log.buffer.readers.size > 0) this.look(log);
    else this.#options.onUnread(log);
  }

  #lookAtAll(): void {
    for (const held of this.#held.values()) held.hinted = true;
    for (const log of this.#options.logs.all()) {
      if (this.#followed.has(log) || (log.begun && !log.buffer.sealed)) this.look(log);
    }
  }

  #release(run: RunRef): void {
    const held = this.#held.get(run.runId);
    if (held === undefined) return;
    held.count -= 1;
    if (held.count > 0) return;
    this.#held.delete(run.runId);
    this.#watch?.remove(held.run);
  }

  async #lookAtStale(): Promise<void> {
    // What one message of the storage names is one question.
    await Promise.resolve();
    const logs = [...this.#stale].slice(0, LOOK_LOGS);
    for (const log of logs) this.#stale.delete(log);
    try {
      await this.#lookAt(logs);
      if (this.#stale.size > 0) await new Promise((resolve) => setImmediate(resolve));
    } catch (error) {
      if (this.#closed) return;
      this.#options.onError(error);
      for (const log of logs) if (!log.dropped) this.#stale.add(log);
      this.#pause = this.#options.clock.setTimer(() => {
        this.#pause = null;
        this.#startLooking();
      }, RETRY_MS);
    }
  }

  async #lookAt(logs: readonly StoredLog[]): Promise<void> {
    for (const { buffer } of logs) {
      const held = this.#held.get(buffer.run.runId);
      if (held !== undefined) held.hinted = false;
    }
    const looked = await this.#ask(logs.map((log) => ({ run: log.buffer.run, fromSeq: awaitedSeq(log) })));
    await Promise.all(
      logs.map(async (log, index) => {
        if (this.#options.logs.get(log.buffer.run) !== log) return;
        const { head, read } = looked[index] ?? { head: null, read: null };
        if (!(await this.#options.onLooked(log, head, read))) this.look(log);
      }),
    );
  }

  async #ask(
    asked: readonly { readonly run: RunRef; readonly fromSeq: number | null }[],
  ): Promise<readonly { readonly head: LogHead | null; readonly read: NewEvents | null }[]> {
    const { storage } = this.#options;
    if (storage.look !== undefined) {
      const looked = await storage.look(asked, MAX_READ_BYTES);
      return looked.map(({ head, events }, index) => {
        const fromSeq = asked[index]?.fromSeq ?? null;
        return { head, read: fromSeq === null ? null : { fromSeq, events } };
      });
    }
    const runs = asked.map(({ run }) => run);
    const [heads, reads] = await Promise.all([
      storage.heads(runs),
      // At the same time where growth was told of; else only those that have grown.
      this.#watch === null ? [] : Promise.all(asked.map((each) => this.#read(each))),
    ]);
    return Promise.all(
      asked.map(async (each, index) => {
        const head = heads[index] ?? null;
        const hasGrown = head !== null && each.fromSeq !== null && head.nextSeq > each.fromSeq;
        const read = this.#watch === null && hasGrown ? await this.#read(each) : (reads[index] ?? null);
        // What is missing was evicted, and the head may be older than that.
        if (read !== null && hasHole(read)) return { head: await storage.head(each.run), read };
        return { head, read };
      }),
    );
  }

  async #read(asked: { readonly run: RunRef; readonly fromSeq: number | null }): Promise<NewEvents | null> {
    const { run, fromSeq } = asked;
    if (fromSeq === null) return null;
    const { storage } = this.#options;
    const beforeSeq = storage.disposable ? Number.MAX_SAFE_INTEGER : MAX_SEQ;
    return { fromSeq, events: await storage.read({ run, fromSeq, beforeSeq, maxBytes: MAX_READ_BYTES }) };
  }
}

/** What follows the events in memory, if there is a reader that has read those. */
function awaitedSeq({ isWriter, buffer }: StoredLog): number | null {
  if (isWriter) return null;
  for (const { position } of buffer.readers) if (position.nextSeq >= buffer.nextSeq) return buffer.nextSeq;
  return null;
}

function hasHole({ fromSeq, events }: NewEvents): boolean {
  return events.some(({ seq }, index) => seq !== fromSeq + index);
}
