import type { StoreClock } from "../core/clock.js";
import type { EpochMs } from "../core/json.js";
import type { HostSelection } from "../core/webhook.js";

/** Failures in a row after which a host rests. */
const FAILURES_BEFORE_REST = 3;
const FIRST_REST_MS = 1_000;
const MAX_REST_MS = 60_000;
/** Hosts that are remembered: of each kind the ones that were heard of last. Each stands in the next question to the store. */
const MAX_REMEMBERED = 500;

interface FailingHost {
  readonly failures: number;
  readonly restsUntil: EpochMs;
}

/**
 * What a sender knows of receivers. Those that answered last time are served first and with all there is; whoever is new or fails gets
 * half of it; and who does not answer at all rests, so that thousands of dead ones cost a probe a minute each.
 */
export class ReceiverHosts {
  readonly #clock: StoreClock;
  readonly #perHost: number;
  readonly #sending = new Map<string, number>();
  /** The last one heard of is the last. */
  readonly #answering = new Set<string>();
  readonly #failing = new Map<string, FailingHost>();

  /** @param perHost how many deliveries go to one host at once */
  constructor(clock: StoreClock, perHost: number) {
    this.#clock = clock;
    this.#perHost = perHost;
  }

  /** How many more may go to a host now. */
  free(host: string): number {
    if ((this.#failing.get(host)?.restsUntil ?? 0) > this.#clock.now()) return 0;
    return this.#perHost - (this.#sending.get(host) ?? 0);
  }

  /** Hosts that answer, and have room. */
  answering(): HostSelection {
    return { kind: "only", hosts: [...this.#answering].filter((host) => this.free(host) > 0) };
  }

  /** All others that may be tried. */
  others(): HostSelection {
    const now = this.#clock.now();
    const resting = [...this.#failing].filter(([, { restsUntil }]) => restsUntil > now).map(([host]) => host);
    const full = [...this.#sending.keys()].filter((host) => this.free(host) <= 0);
    return { kind: "except", hosts: [...new Set([...this.#answering, ...resting, ...full])] };
  }

  isAnswering(host: string): boolean {
    return this.#answering.has(host);
  }

  started(host: string): void {
    this.#sending.set(host, (this.#sending.get(host) ?? 0) + 1);
  }

  /** @param isAlive it answered, whatever it said; `null`: nobody knows */
  ended(host: string, isAlive: boolean | null): void {
    const left = (this.#sending.get(host) ?? 1) - 1;
    if (left > 0) this.#sending.set(host, left);
    else this.#sending.delete(host);
    if (isAlive === null) return;
    const failures = isAlive ? 0 : (this.#failing.get(host)?.failures ?? 0) + 1;
    this.#answering.delete(host);
    this.#failing.delete(host);
    if (isAlive) this.#answering.add(host);
    else {
      const beyond = failures - FAILURES_BEFORE_REST;
      const restMs = beyond < 0 ? 0 : Math.min(FIRST_REST_MS * 2 ** Math.min(beyond, 20), MAX_REST_MS);
      this.#failing.set(host, { failures, restsUntil: this.#clock.now() + restMs });
    }
    for (const remembered of [this.#answering, this.#failing]) {
      const [oldest] = remembered.keys();
      if (remembered.size > MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
    }
  }
}
