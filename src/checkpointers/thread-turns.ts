/** Lets what is done with a thread wait for what was begun before it. */
export class ThreadTurns {
  readonly #last = new Map<string, Promise<void>>();

  /** Whether somebody waits. Without that nobody has to. */
  has(threadId: string): boolean {
    return this.#last.has(threadId);
  }

  /**
   * Wait for all who came before, and for `work`.
   * @throws whatever `work` throws; those who wait behind go on
   */
  async wait(threadId: string, work: readonly Promise<unknown>[]): Promise<void> {
    const turn = Promise.all([this.#last.get(threadId), ...work]);
    const over = turn.then(nothing, nothing);
    this.#last.set(threadId, over);
    try {
      await turn;
    } finally {
      if (this.#last.get(threadId) === over) this.#last.delete(threadId);
    }
  }
}

function nothing(): void {}
