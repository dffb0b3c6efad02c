import type { Clock } from "./clock.js";
import { isHeddleError } from "./errors.js";
import type { Logger } from "./logger.js";

/** About 26 seconds: a database that is restarted is back by then. */
const MAX_TRIES = 30;
/** Less than a second. */
const MAX_TRIES_HURRIED = 5;
const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 1_000;

/**
 * Repeat a storage call that must not be lost while the database is away: 30 tries, first 50 ms apart, then doubling up
 * to 1 s. The last error is thrown; the caller's lease then expires and another worker takes over.
 * @param isHurried true: somebody waits, or it does not matter any more; five tries are enough
 */
export async function retry<T>(
  deps: { readonly clock: Clock; readonly logger: Logger },
  call: () => Promise<T>,
  isHurried: () => boolean = () => false,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (isFinal(error) || tries >= MAX_TRIES || (tries >= MAX_TRIES_HURRIED && isHurried())) throw error;
      deps.logger.warn({ err: error, tries }, "storage call failed; trying again");
      const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), MAX_DELAY_MS);
      await new Promise<void>((resolve) => deps.clock.setTimer(resolve, delayMs));
    }
  }
}

/** An answer that the same call would get again: the storage is there, and refuses. */
function isFinal(error: unknown): boolean {
  return isHeddleError(error) && error.code !== "STORAGE_UNAVAILABLE" && error.code !== "INTERNAL";
}
