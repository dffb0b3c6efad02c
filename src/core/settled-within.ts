import type { Clock } from "./clock.js";

/**
 * Wait for something to settle, but not for ever: a stop must not hang on a storage that is away.
 * @returns whether it has settled within `ms`; its error is not reported here
 */
export async function settledWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(() => resolve(false), ms);
    const settled = (): void => {
      timer.cancel();
      resolve(true);
    };
    work.then(settled, settled);
  });
}
