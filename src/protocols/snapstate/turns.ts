/** Work that is done one after the other for each key, within this process. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** @returns what `work` returns, once all that came before it for this key has settled */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => undefined);
    this.#last.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
