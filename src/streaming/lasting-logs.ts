import type { EpochMs } from "../core/json.js";

/** How long a lasting log is kept that was begun for a reader, that nobody has written to, and that nobody reads. */
export const UNUSED_MS = 3_600_000;

/** When the head of a lasting log without events expires, in storages that keep such heads. */
export const NEVER = Number.MAX_SAFE_INTEGER;

const NUMBERS_SINCE_MS = 1_600_000_000_000;

/**
 * Where the numbers of a lasting log begin in a storage that may forget it: at the milliseconds since a day in 2020, so that the
 * next log of the thread goes on with greater ones. No thread has a thousand events per second in its whole life.
 */
export function firstSeq(now: EpochMs): number {
  return Math.max(Math.floor(now) - NUMBERS_SINCE_MS, 0);
}

/** What whoever begins a log says of it. */
export interface Claim {
  readonly leaseToken: number;
  readonly resumable: boolean;
  readonly lasting: boolean;
}

/** Which of a thread's runs write its log here: the last ones begin while the one before still ends. */
export class LogHolders {
  #leaseToken = 0;
  #count = 0;

  /** A run begins to write. One of a smaller token than the greatest so far does not count: it has been superseded. */
  begin(leaseToken: number): void {
    if (leaseToken < this.#leaseToken) return;
    this.#count = leaseToken === this.#leaseToken ? this.#count + 1 : 1;
    this.#leaseToken = leaseToken;
  }

  /**
   * A run is over.
   * @param leaseToken absent: so are all
   * @returns whether nobody writes any more
   */
  end(leaseToken: number | undefined): boolean {
    if (leaseToken !== undefined && leaseToken < this.#leaseToken) return false;
    // Claims of the same millisecond have the same token.
    this.#count = leaseToken === this.#leaseToken ? Math.max(this.#count - 1, 0) : 0;
    return this.#count === 0;
  }
}
