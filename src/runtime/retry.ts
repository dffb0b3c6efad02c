import type { Clock } from "../core/clock.js";
import type { Logger } from "../core/logger.js";

const MAX_TRIES = 5;
const FIRST_DELAY_MS = 50;

/**
 * Repeat a store call that must not be lost while the database is away: five tries, 50 ms apart, doubling. The last
 * error is thrown; the caller's lease then expires and another worker takes over.
 */
export async function retry<T>(
  deps: { readonly clock: Clock; readonly logger: Logger },
  call: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (tries >= MAX_TRIES) throw error;
      deps.logger.warn({ err: error, tries }, "storage call failed; trying again");
      await new Promise<void>((resolve) => deps.clock.setTimer(resolve, FIRST_DELAY_MS * 2 ** (tries - 1)));
    }
  }
}
