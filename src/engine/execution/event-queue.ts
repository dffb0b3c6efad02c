import type { ExecutionEvents } from "../../core/engine.js";
import type { NewRunEvent } from "../../core/run-event.js";

/** Events between a graph, which does not wait for its readers, and the one reader of a run. */
export class EventQueue {
  #run: NewRunEvent[] = [];
  #thread: NewRunEvent[] = [];
  #wake: (() => void) | null = null;

  /** Where the graph's side adds events of the run. */
  get open(): NewRunEvent[] {
    return this.#run;
  }

  /** The same for events of the thread. */
  get openThread(): NewRunEvent[] {
    return this.#thread;
  }

  /** All that waits, oldest first; `null` when nothing does. */
  take(): ExecutionEvents | null {
    if (this.#isEmpty()) return null;
    const taken = { run: this.#run, thread: this.#thread };
    this.#run = [];
    this.#thread = [];
    return taken;
  }

  /** Let {@link wait} return. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** Until something was added or {@link wake} called. One caller at a time. */
  wait(): Promise<void> {
    if (!this.#isEmpty()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #isEmpty(): boolean {
    return this.#run.length === 0 && this.#thread.length === 0;
  }
}
