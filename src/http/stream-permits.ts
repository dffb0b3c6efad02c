import { HeddleError } from "../core/errors.js";
import type { ConcurrencyGauge } from "../core/limits.js";

/**
 * The streams of one request or WebSocket. A connection is one stream, on which its first subscription comes along; each further
 * subscription is one more.
 */
export class StreamPermits {
  readonly #gauge: ConcurrencyGauge | null;
  readonly #key: string;
  readonly #held: (() => void)[] = [];
  #subscriptions = 0;
  #isClosed = false;

  /** @param gauge `null`: no limit */
  constructor(gauge: ConcurrencyGauge | null, key: string) {
    this.#gauge = gauge;
    this.#key = key;
  }

  get holds(): boolean {
    return this.#held.length > 0;
  }

  /**
   * Nothing once all were closed: who was still opening it is gone.
   * @throws HeddleError `LIMIT_REACHED`
   */
  open(): void {
    if (this.#gauge === null || this.#isClosed) return;
    const release = this.#gauge.acquire(this.#key);
    if (release === null) {
      throw new HeddleError("LIMIT_REACHED", {
        message: `Too many streams at once: at most ${this.#gauge.max} per caller (limits.streamsPerCaller). Close one of them first.`,
        details: { retryAfterMs: 1_000 },
      });
    }
    this.#held.push(release);
  }

  /**
   * One more subscription on this connection.
   * @returns ends it, once however often it is called
   * @throws HeddleError `LIMIT_REACHED`
   */
  subscribe(): () => void {
    if (this.#subscriptions > 0) this.open();
    this.#subscriptions += 1;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.#subscriptions -= 1;
      if (this.#held.length > Math.max(1, this.#subscriptions)) this.#held.pop()?.();
    };
  }

  /** For good. */
  closeAll(): void {
    this.#isClosed = true;
    for (const release of this.#held.splice(0)) release();
  }
}

/**
 * A body that says when it has ended, failed or been cancelled; read only as it is read itself. It fails also while nobody reads: a
 * stream whose client has stalled ends by itself.
 * @param onEnd called once
 */
export function releasedBody(body: ReadableStream<Uint8Array>, onEnd: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        reader.closed.then(onEnd, (error: unknown) => {
          onEnd();
          controller.error(error);
        });
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
