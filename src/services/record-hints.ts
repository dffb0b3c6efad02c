import { createHash } from "node:crypto";
import type { Clock, Timer } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { RecordKey } from "../core/record.js";

/** What one waits for: changes of any record of a collection, or of the one with this key. */
export type RecordTopic = Pick<RecordKey, "space" | "owner" | "collection"> & Partial<Pick<RecordKey, "key">>;

/**
 * Tells who waits for changes of records that there may be some: of this process and, where the storage carries messages, of the
 * others. The records are the truth: subscribe first, then read, and read again at each hint. One that is lost costs time only.
 */
export interface RecordHints {
  /** Something in the collection has changed, and is stored: with a `key` that record, which those who wait for the collection hear, too. */
  touched(topic: RecordTopic): void;
  /**
   * Call `fn` at each hint of the collection, and now and then without one: every `pollMs` where other processes cannot be heard, and
   * every {@link LATE_MS} where they can. Returns the unsubscriber.
   */
  subscribe(topic: RecordTopic, fn: () => void): () => void;
  /**
   * Wait for the next call of a subscriber. Begin to wait before reading what one waits for.
   * @param options.timeoutMs resolve then at the latest
   * @param options.signal resolve when it is aborted
   */
  wait(topic: RecordTopic, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /** How many subscribe or wait, in this process. */
  readonly listenerCount: number;
}

/** How late a change may be seen whose notification was lost. */
export const LATE_MS = 10_000;

/** @param options.pollMs how often to look for changes of other processes that cannot be heard */
export function createRecordHints(
  deps: { readonly dispatcher: Pick<Dispatcher, "hint" | "onHint" | "hearsOthers">; readonly clock: Clock },
  options: { readonly pollMs: number },
): RecordHints {
  const { dispatcher, clock } = deps;
  const everyMs = dispatcher.hearsOthers ? LATE_MS : options.pollMs;
  const topics = new Map<string, Set<() => void>>();
  let listenerCount = 0;
  let timer: Timer | null = null;

  const tell = (listeners: ReadonlySet<() => void> | undefined): void => {
    // A copy: who subscribes meanwhile is not called.
    for (const fn of Array.from(listeners ?? [])) if (listeners?.has(fn) === true) fn();
  };
  const tellAll = (): void => {
    for (const listeners of Array.from(topics.values())) tell(listeners);
  };
  const pollLater = (): void => {
    timer ??= clock.setTimer(() => {
      timer = null;
      tellAll();
      if (listenerCount > 0) pollLater();
    }, everyMs);
  };
  dispatcher.onHint((topic) => (topic === null ? tellAll() : tell(topics.get(topic))));

  const subscribe = (topic: RecordTopic, fn: () => void): (() => void) => {
    const name = topicName(topic);
    const listener = (): void => fn();
    const listeners = topics.get(name) ?? new Set();
    topics.set(name, listeners.add(listener));
    listenerCount += 1;
    pollLater();
    return () => {
      if (!listeners.delete(listener)) return;
      listenerCount -= 1;
      if (listeners.size === 0 && topics.get(name) === listeners) topics.delete(name);
      if (listenerCount > 0) return;
      timer?.cancel();
      timer = null;
    };
  };

  return {
    touched({ key, ...collection }) {
      dispatcher.hint(topicName(collection));
      if (key !== undefined) dispatcher.hint(topicName({ ...collection, key }));
    },
    subscribe,
    wait: (topic, { timeoutMs, signal }) =>
      new Promise((resolve) => {
        if (signal?.aborted === true || timeoutMs <= 0) {
          resolve();
          return;
        }
        const done = (): void => {
          stop();
          limit.cancel();
          signal?.removeEventListener("abort", done);
          resolve();
        };
        const stop = subscribe(topic, done);
        const limit = clock.setTimer(done, timeoutMs);
        signal?.addEventListener("abort", done);
      }),
    get listenerCount() {
      return listenerCount;
    },
  };
}

/** Short, however long the owner's name, and saying nothing of it to whoever else listens: 132 bits. */
function topicName({ space, owner, collection, key }: RecordTopic): string {
  const parts = key === undefined ? [space, owner, collection] : [space, owner, collection, key];
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url").slice(0, 22);
}
