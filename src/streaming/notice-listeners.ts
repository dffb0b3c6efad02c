import type { HintListener, SignalListener, WorkListener, WorkOutcome } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";

/** Who listens to a dispatcher in this process. A listener that fails is the others' nothing: its error goes to `onError`. */
export class NoticeListeners {
  readonly #onError: (error: unknown) => void;
  readonly #work = new Set<WorkListener>();
  readonly #signals = new Set<SignalListener>();
  readonly #hints = new Set<HintListener>();

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  // Each subscription is its own, also when one function subscribes twice.

  onWork(fn: WorkListener): () => void {
    const listener: WorkListener = (threadId) => fn(threadId);
    this.#work.add(listener);
    return () => this.#work.delete(listener);
  }

  onSignal(fn: SignalListener): () => void {
    const listener: SignalListener = (run, action) => fn(run, action);
    this.#signals.add(listener);
    return () => this.#signals.delete(listener);
  }

  onHint(fn: HintListener): () => void {
    const listener: HintListener = (topic) => fn(topic);
    this.#hints.add(listener);
    return () => this.#hints.delete(listener);
  }

  /** Call the listeners now. @returns when all have settled; false when nobody looked, for want of a slot */
  async work(threadId: string | null): Promise<boolean> {
    const outcomes: Promise<WorkOutcome>[] = [];
    // A copy: who subscribes meanwhile is not called.
    for (const listener of Array.from(this.#work)) {
      if (!this.#work.has(listener)) continue;
      try {
        outcomes.push(Promise.resolve(listener(threadId)));
      } catch (error) {
        this.#onError(error);
      }
    }
    let looked = false;
    for (const outcome of await Promise.allSettled(outcomes)) {
      if (outcome.status === "rejected") this.#onError(outcome.reason);
      else if (outcome.value !== "no-slot") looked = true;
    }
    return looked;
  }

  signal(run: RunRef, action: CancelAction): void {
    this.#each(this.#signals, (listener) => listener(run, action));
  }

  hint(topic: string | null): void {
    this.#each(this.#hints, (listener) => listener(topic));
  }

  clear(): void {
    this.#work.clear();
    this.#signals.clear();
    this.#hints.clear();
  }

  #each<T>(listeners: ReadonlySet<T>, call: (listener: T) => void): void {
    for (const listener of Array.from(listeners)) {
      if (!listeners.has(listener)) continue;
      try {
        call(listener);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
