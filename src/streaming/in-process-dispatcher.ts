import type { Clock } from "../core/clock.js";
import type { Dispatcher, HintListener, SignalListener, WorkListener } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";
import { Announcements } from "./announcements.js";
import { GatheredHints } from "./gathered-hints.js";
import { NoticeListeners } from "./notice-listeners.js";

/**
 * Dispatcher of a single process. Listeners are called after the current microtask, never inside `announce` or `signal`;
 * announcements of one thread in one microtask are one call. A listener that throws is the others' nothing: its error goes to
 * `onError`.
 */
export class InProcessDispatcher implements Dispatcher {
  readonly #listeners: NoticeListeners;
  readonly #announcements: Announcements;
  readonly #hints: GatheredHints;
  readonly hearsOthers = false;
  #closed = false;

  constructor(options: { readonly clock: Clock; readonly onError?: (error: unknown) => void }) {
    this.#listeners = new NoticeListeners(options.onError ?? (() => undefined));
    this.#announcements = new Announcements(options.clock, (threadIds) => {
      for (const threadId of threadIds) void this.#listeners.work(threadId);
    });
    this.#hints = new GatheredHints(this.#listeners);
  }

  announce(threadId: string, options: { readonly delayMs?: number } = {}): void {
    this.#announcements.add(threadId, options.delayMs);
  }

  onWork(fn: WorkListener): () => void {
    return this.#listeners.onWork(fn);
  }

  signal(run: RunRef, action: CancelAction): void {
    if (this.#closed) return;
    queueMicrotask(() => this.#listeners.signal(run, action));
  }

  onSignal(fn: SignalListener): () => void {
    return this.#listeners.onSignal(fn);
  }

  hint(topic: string): void {
    if (!this.#closed) this.#hints.add(topic);
  }

  onHint(fn: HintListener): () => void {
    return this.#listeners.onHint(fn);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#announcements.close();
    this.#listeners.clear();
  }
}
