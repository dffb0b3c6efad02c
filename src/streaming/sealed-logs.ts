import type { Clock, Timer } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import type { RunBuffer } from "./run-buffer.js";

/** setTimeout fires at once beyond this. */
const MAX_TIMER_MS = 2_147_483_647;

interface Kept {
  readonly expiresAt: EpochMs;
  readonly bytes: number;
  /** The one extension for a slow reader is used up. */
  readonly extended: boolean;
}

export interface SealedLogsOptions {
  readonly clock: Clock;
  readonly ttlMs: number;
  readonly unreadTtlMs: number;
  readonly maxSealedBytes: number;
  /** Let go of a buffer. Called once for each. */
  readonly release: (buffer: RunBuffer) => void;
}

/**
 * Buffers of logs that were sealed, and of lasting ones that rest, until their time is over: `ttlMs`, or `unreadTtlMs` when the log is
 * not resumable and no reader left before its end. What that means is `release`'s: a log in memory is gone then or loses its events, a
 * stored one leaves memory. An open reader that has not read all extends it once by `ttlMs`. All together hold `maxSealedBytes`: the oldest
 * go first, those that are being read only above twice that size.
 *
 * Two queues, one per lifetime, each in order of expiry: a look at the heads is all that a check costs.
 */
export class SealedLogs {
  readonly #options: SealedLogsOptions;
  readonly #unread = new Map<RunBuffer, Kept>();
  readonly #kept = new Map<RunBuffer, Kept>();
  #bytes = 0;
  #timer: Timer | null = null;
  #timerDueAt: EpochMs = Number.POSITIVE_INFINITY;

  constructor(options: SealedLogsOptions) {
    this.#options = options;
  }

  add(buffer: RunBuffer): void {
    const { ttlMs, unreadTtlMs } = this.#options;
    if (buffer.resumable || buffer.leftEarly) this.#keep(this.#kept, buffer, { lifeMs: ttlMs, extended: false });
    else this.#keep(this.#unread, buffer, { lifeMs: Math.min(unreadTtlMs, ttlMs), extended: false });
    this.#limitBytes();
  }

  /** Somebody opened it after its end: it gets the long life, from now. */
  wasOpened(buffer: RunBuffer): void {
    if (!this.#unread.has(buffer)) return;
    this.remove(buffer);
    this.#keep(this.#kept, buffer, { lifeMs: this.#options.ttlMs, extended: false });
  }

  /** Stop keeping it, without releasing it. */
  remove(buffer: RunBuffer): void {
    for (const queue of [this.#unread, this.#kept]) {
      this.#bytes -= queue.get(buffer)?.bytes ?? 0;
      queue.delete(buffer);
    }
  }

  /** @returns how many were released. */
  sweep(): number {
    const now = this.#options.clock.now();
    return this.#sweepQueue(this.#unread, now) + this.#sweepQueue(this.#kept, now);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#unread.clear();
    this.#kept.clear();
    this.#bytes = 0;
  }

  #sweepQueue(queue: Map<RunBuffer, Kept>, now: EpochMs): number {
    let released = 0;
    for (const [buffer, kept] of queue) {
      if (kept.expiresAt > now) break;
      if (!kept.extended && buffer.hasUnreadReader()) {
        this.remove(buffer);
        this.#keep(this.#kept, buffer, { lifeMs: this.#options.ttlMs, extended: true });
        continue;
      }
      this.#release(buffer);
      released += 1;
    }
    return released;
  }

  #limitBytes(): void {
    const { maxSealedBytes } = this.#options;
    for (const sparingReaders of [true, false]) {
      const limit = sparingReaders ? maxSealedBytes : maxSealedBytes * 2;
      for (const queue of [this.#unread, this.#kept]) {
        for (const buffer of queue.keys()) {
          if (this.#bytes <= limit) return;
          if (!sparingReaders || !buffer.hasUnreadReader()) this.#release(buffer);
        }
      }
    }
  }

  #release(buffer: RunBuffer): void {
    this.remove(buffer);
    this.#options.release(buffer);
  }

  #keep(queue: Map<RunBuffer, Kept>, buffer: RunBuffer, life: { lifeMs: number; extended: boolean }): void {
    const expiresAt = this.#options.clock.now() + life.lifeMs;
    queue.set(buffer, { expiresAt, bytes: buffer.bytes, extended: life.extended });
    this.#bytes += buffer.bytes;
    this.#arm();
  }

  #arm(): void {
    const headOf = (queue: Map<RunBuffer, Kept>): EpochMs =>
      queue.values().next().value?.expiresAt ?? Number.POSITIVE_INFINITY;
    const dueAt = Math.min(headOf(this.#unread), headOf(this.#kept));
    if (dueAt >= this.#timerDueAt) return;
    const { clock } = this.#options;
    this.#timer?.cancel();
    this.#timerDueAt = dueAt;
    this.#timer = clock.setTimer(
      () => {
        this.#timer = null;
        this.#timerDueAt = Number.POSITIVE_INFINITY;
        this.sweep();
        this.#arm();
      },
      Math.min(Math.max(dueAt - clock.now(), 0), MAX_TIMER_MS),
    );
  }
}
