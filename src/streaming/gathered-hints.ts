import type { NoticeListeners } from "./notice-listeners.js";
import { MAX_PAYLOAD_BYTES, noticePayload } from "./notice-payload.js";

/** Topics that wait to be sent; more are told as "everything". */
const MAX_WAITING = 1_000;

/** In place of topics: too many, or too long, to name. */
const EVERYTHING = "*";

/** So that no topic is {@link EVERYTHING}. */
const TOPIC = ":";

/** Hints of one process: heard in it after the current microtask, each topic once, and gathered for the others until they are sent. */
export class GatheredHints {
  readonly #listeners: NoticeListeners;
  readonly #onGathered: (() => void) | null;
  #due = new Set<string>();
  #waiting = new Set<string>();

  /** @param onGathered something waits for {@link GatheredHints.take}; absent: nobody sends it */
  constructor(listeners: NoticeListeners, onGathered?: () => void) {
    this.#listeners = listeners;
    this.#onGathered = onGathered ?? null;
  }

  add(topic: string): void {
    if (this.#due.size === 0) queueMicrotask(() => this.#tell());
    this.#due.add(topic);
  }

  /** What others are to be told, and forget it. @returns the payload of one notification; `null`: nothing */
  take(origin: string): string | null {
    if (this.#waiting.size === 0) return null;
    const payload = noticePayload([origin, ...Array.from(this.#waiting, (topic) => TOPIC + topic)]);
    const fits = this.#waiting.size <= MAX_WAITING && Buffer.byteLength(payload) <= MAX_PAYLOAD_BYTES;
    this.#waiting = new Set();
    return fits ? payload : noticePayload([origin, EVERYTHING]);
  }

  /** @param values of a notification of another process, without its origin */
  heard(values: readonly string[]): void {
    for (const value of values) {
      if (value === EVERYTHING) this.#listeners.hint(null);
      else if (value.startsWith(TOPIC)) this.#listeners.hint(value.slice(TOPIC.length));
    }
  }

  #tell(): void {
    const due = this.#due;
    this.#due = new Set();
    for (const topic of due) {
      this.#listeners.hint(topic);
      // One more than fits says that there are more.
      if (this.#onGathered !== null && this.#waiting.size <= MAX_WAITING) this.#waiting.add(topic);
    }
    this.#onGathered?.();
  }
}
