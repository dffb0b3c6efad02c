/**
 * What one run has handed to its saver without waiting for it (`durability: "async"`). A superstep may go on while the
 * checkpoint before it is being stored, but not further: LangGraph's own `async` waits for nothing (langgraph 1.7.3,
 * `_checkpointerPutAfterPrevious`), so that a crash costs as many supersteps as the saver is behind.
 */
export class WriteBehind {
  readonly #inOrder: boolean;
  /** By namespace: the last checkpoint, and when it is stored. */
  readonly #last = new Map<string, { readonly stored: Promise<unknown>; readonly isInput: boolean }>();
  readonly #pending = new Set<Promise<unknown>>();
  #failure: { readonly error: unknown } | null = null;

  /** @param options.inOrder the saver itself stores in the order of its calls: they need not wait for one another */
  constructor(options: { readonly inOrder: boolean }) {
    this.#inOrder = options.inOrder;
  }

  /**
   * Hand over a checkpoint. Resolves when the one before it in its namespace is stored; at once when that was the run's input,
   * because no node has run for it.
   * @throws what an earlier call failed with
   */
  async put(namespace: string, store: () => Promise<unknown>, isInput: boolean): Promise<void> {
    const before = this.#last.get(namespace);
    const isFree = before === undefined || this.#inOrder;
    const work = isFree ? store() : before.stored.then(() => this.#throwFailure()).then(store);
    this.#last.set(namespace, { stored: this.#track(work), isInput });
    if (before !== undefined && !before.isInput) await before.stored;
    this.#throwFailure();
  }

  /** Hand over pending writes. @throws what an earlier call failed with */
  add(work: Promise<unknown>): void {
    // First: it has begun, and what it may fail with is nobody else's to handle.
    void this.#track(work);
    this.#throwFailure();
  }

  /** Resolves when everything that was handed over is stored. @throws what failed first */
  async drained(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
    this.#throwFailure();
  }

  #track(work: Promise<unknown>): Promise<unknown> {
    this.#pending.add(work);
    const done = work.then(
      () => this.#pending.delete(work),
      (error: unknown) => {
        this.#pending.delete(work);
        this.#failure ??= { error };
      },
    );
    return done;
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
