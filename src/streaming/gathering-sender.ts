import { TurnBatch } from "./turn-batch.js";

/** How long `close` waits for what is being sent. */
const CLOSE_MS = 1_000;

/** Sends what has been gathered (a dispatcher's announcements, hints of events), one request at a time: what comes meanwhile is the next one. */
export class GatheringSender {
  readonly #send: () => Promise<unknown> | null;
  readonly #batch = new TurnBatch(() => this.#start());
  readonly #underWay = new Set<Promise<unknown>>();
  #sending = false;
  #closed = false;

  /** @param send sends all that waits; `null`: nothing does. Must not reject. */
  constructor(send: () => Promise<unknown> | null) {
    this.#send = send;
  }

  /** Something waits: it goes at the end of this turn of the event loop, or when what is under way has gone. */
  mark(): void {
    this.#batch.mark();
  }

  /** Something is sent beside it, which `close` waits for as well. @param work must not reject */
  track(work: Promise<unknown>): void {
    const tracked = work.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  /** Send what waits, for a second at most; nothing afterwards. */
  async close(): Promise<void> {
    this.#batch.run();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
    await Promise.race([this.#sent(), timeout]);
    clearTimeout(timer);
    this.#closed = true;
  }

  async #sent(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #start(): void {
    if (this.#sending || this.#closed) return;
    const sent = this.#send();
    if (sent === null) return;
    this.#sending = true;
    this.track(
      sent.then(() => {
        this.#sending = false;
        this.#start();
      }),
    );
  }
}
