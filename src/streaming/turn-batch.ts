/**
 * Calls `work` soon after `mark()`: at once (a microtask) when the event loop's turn has seen no call yet, and otherwise
 * once at the end of the turn. A slow producer gets no delay; a fast one gets one call per turn, however much it appends.
 */
export class TurnBatch {
  readonly #work: () => void;
  #scheduled = false;
  #marked = false;

  constructor(work: () => void) {
    this.#work = work;
  }

  mark(): void {
    this.#marked = true;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#leading);
  }

  /** Do now what was marked. */
  run(): void {
    if (!this.#marked) return;
    this.#marked = false;
    this.#work();
  }

  readonly #leading = (): void => {
    setImmediate(this.#trailing);
    this.run();
  };

  readonly #trailing = (): void => {
    if (!this.#marked) {
      this.#scheduled = false;
      return;
    }
    setImmediate(this.#trailing);
    this.run();
  };
}
