/** Lets one reader sleep until it is woken: one promise per sleep, however many events come meanwhile. */
export class Wakeup {
  #resolve: (() => void) | null = null;

  /**
   * Resolves at the next {@link wake}.
   * @throws the signal's reason when it is aborted first
   */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        this.#resolve = null;
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#resolve = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
    });
  }

  wake(): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    resolve();
  }
}
