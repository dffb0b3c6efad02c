import type { NewRunEvent } from "../../core/run-event.js";

/** Events between a graph, which does not wait for its readers, and the one reader of a run. */
export class EventQueue {
  #events: NewRunEvent[] = [];
  #wake: (() => void) | null = null;

  /** Where the graph's side adds events. */
  get open(): NewRunEvent[] {
    return this.#events;
  }

  /** All that waits, oldest first. */
  take(): readonly NewRunEvent[] {
    if (this.#events.length === 0) return [];
    const taken = this.#events;
    this.#events = [];
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
    if (this.#events.length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
