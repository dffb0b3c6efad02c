import type { Logger } from "../../core/logger.js";

/** Says once that Redis is away and once that it is back, however many connections and commands notice. */
export class Outage {
  readonly #name: string;
  readonly #logger: Pick<Logger, "info" | "warn"> | undefined;
  #since: number | null = null;
  #failures = 0;
  #ended = false;

  constructor(name: string, logger: Pick<Logger, "info" | "warn"> | undefined) {
    this.#name = name;
    this.#logger = logger;
  }

  /** A connection or a command failed. */
  failed(error: unknown): void {
    if (this.#ended) return;
    this.#failures += 1;
    if (this.#since !== null) return;
    this.#since = Date.now();
    this.#logger?.warn({ err: error, redis: this.#name }, "Redis does not answer; going on without it until it does");
  }

  /** The connections are closed on purpose: what fails by that is none. */
  end(): void {
    this.#ended = true;
  }

  /** The connection for commands is there. */
  recovered(): void {
    if (this.#since === null) return;
    const awayMs = Date.now() - this.#since;
    this.#logger?.info({ redis: this.#name, awayMs, failures: this.#failures }, "Redis answers again");
    this.#since = null;
    this.#failures = 0;
  }
}
