import type { StoreClock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";

/** Addresses that are remembered at once; beyond, the one that was refused longest ago is forgotten. */
const MAX_ADDRESSES = 10_000;

/** Addresses whose authentication has failed too often: until when nobody there is asked who they are. */
export class RefusedAddresses {
  readonly #clock: StoreClock;
  readonly #maxAddresses: number;
  readonly #blocked = new Map<string, { readonly sinceMs: EpochMs; readonly untilMs: EpochMs }>();

  constructor(clock: StoreClock, maxAddresses = MAX_ADDRESSES) {
    this.#clock = clock;
    this.#maxAddresses = maxAddresses;
  }

  /** @param key as `addressKey` makes it */
  block(key: string, forMs: number): void {
    const sinceMs = this.#clock.now();
    this.#blocked.delete(key);
    const [oldest] = this.#blocked.keys();
    if (this.#blocked.size >= this.#maxAddresses && oldest !== undefined) this.#blocked.delete(oldest);
    this.#blocked.set(key, { sinceMs, untilMs: sinceMs + forMs });
  }

  /** @returns for how many ms it is still blocked; 0: it is not */
  blockedForMs(key: string): number {
    const blocked = this.#blocked.get(key);
    if (blocked === undefined) return 0;
    const now = this.#clock.now();
    // The clock may be set back.
    if (now >= blocked.sinceMs && now < blocked.untilMs) return blocked.untilMs - now;
    this.#blocked.delete(key);
    return 0;
  }
}
