import type { Clock, Timer } from "../core/clock.js";

/** setTimeout fires at once beyond this. An announcement that comes too early finds nothing due, and does no harm. */
const MAX_DELAY_MS = 2_147_483_647;

/** Delayed announcements held at once; what comes beyond is left to the workers' own look at the next due run. */
const MAX_DELAYED = 10_000;

/** Gathers announcements: those of one thread in one microtask are one, and delayed ones wait for their time here. */
export class Announcements {
  readonly #clock: Clock;
  readonly #onDue: (threadIds: ReadonlySet<string>) => void;
  readonly #delayed = new Set<Timer>();
  #due = new Set<string>();
  #closed = false;

  /** @param onDue called after the microtask, never inside `add` */
  constructor(clock: Clock, onDue: (threadIds: ReadonlySet<string>) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  add(threadId: string, delayMs = 0): void {
    if (this.#closed) return;
    if (delayMs > 0) this.#addLater(threadId, delayMs);
    else this.#addNow(threadId);
  }

  /** Forget what waits. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#delayed) timer.cancel();
    this.#delayed.clear();
    this.#due.clear();
  }

  #addNow(threadId: string): void {
    if (this.#due.size === 0) {
      queueMicrotask(() => {
        const due = this.#due;
        this.#due = new Set();
        if (due.size > 0) this.#onDue(due);
      });
    }
    this.#due.add(threadId);
  }

  #addLater(threadId: string, delayMs: number): void {
    if (this.#delayed.size >= MAX_DELAYED) return;
    const timer = this.#clock.setTimer(
      () => {
        this.#delayed.delete(timer);
        this.add(threadId);
      },
      Math.min(delayMs, MAX_DELAY_MS),
    );
    this.#delayed.add(timer);
  }
}
