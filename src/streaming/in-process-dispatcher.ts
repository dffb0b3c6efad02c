import type { Clock, Timer } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";

/** setTimeout fires at once beyond this. An announcement that comes too early finds nothing due, and does no harm. */
const MAX_DELAY_MS = 2_147_483_647;

/** Delayed announcements held at once; what comes beyond is left to the workers' own look at the next due run. */
const MAX_DELAYED = 10_000;

/**
 * Dispatcher of a single process. Listeners are called after the current microtask, never inside `announce` or `signal`;
 * announcements of one thread in one microtask are one call. A listener that throws is the others' nothing: its error goes to
 * `onError`.
 */
export class InProcessDispatcher implements Dispatcher {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #workListeners = new Set<(threadId: string) => void>();
  readonly #signalListeners = new Set<(run: RunRef, action: CancelAction) => void>();
  readonly #delayed = new Set<Timer>();
  #announced = new Set<string>();
  #closed = false;

  constructor(options: { readonly clock: Clock; readonly onError?: (error: unknown) => void }) {
    this.#clock = options.clock;
    this.#onError = options.onError ?? (() => undefined);
  }

  announce(threadId: string, options: { readonly delayMs?: number } = {}): void {
    if (this.#closed) return;
    const delayMs = options.delayMs ?? 0;
    if (delayMs > 0) this.#announceLater(threadId, delayMs);
    else this.#announceSoon(threadId);
  }

  onWork(fn: (threadId: string) => void): () => void {
    return subscribe(this.#workListeners, fn);
  }

  signal(run: RunRef, action: CancelAction): void {
    if (this.#closed) return;
    queueMicrotask(() => this.#call(this.#signalListeners, (listener) => listener(run, action)));
  }

  onSignal(fn: (run: RunRef, action: CancelAction) => void): () => void {
    return subscribe(this.#signalListeners, fn);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#delayed) timer.cancel();
    this.#delayed.clear();
    this.#announced.clear();
    this.#workListeners.clear();
    this.#signalListeners.clear();
  }

  #announceSoon(threadId: string): void {
    if (this.#announced.size === 0) {
      queueMicrotask(() => {
        const announced = this.#announced;
        this.#announced = new Set();
        for (const id of announced) this.#call(this.#workListeners, (listener) => listener(id));
      });
    }
    this.#announced.add(threadId);
  }

  #announceLater(threadId: string, delayMs: number): void {
    if (this.#delayed.size >= MAX_DELAYED) return;
    const timer = this.#clock.setTimer(
      () => {
        this.#delayed.delete(timer);
        this.announce(threadId);
      },
      Math.min(delayMs, MAX_DELAY_MS),
    );
    this.#delayed.add(timer);
  }

  #call<L>(listeners: ReadonlySet<L>, call: (listener: L) => void): void {
    const current = [...listeners];
    for (const listener of current) {
      if (!listeners.has(listener)) continue;
      try {
        call(listener);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}

/** Each subscription its own, also when one function subscribes twice. */
function subscribe<A extends unknown[]>(listeners: Set<(...args: A) => void>, fn: (...args: A) => void): () => void {
  const listener = (...args: A): void => fn(...args);
  listeners.add(listener);
  return () => listeners.delete(listener);
}
