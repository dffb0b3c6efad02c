import { errorOf, StateStoreError } from "./error.js";
import { readEvents } from "./sse.js";

/** What became of a value. */
export interface StateChange<T = unknown> {
  /** `null`: there was none, or it is not known after a lost connection. */
  readonly oldValue: T | null;
  /** `null`: deleted, expired, or the value null. */
  readonly newValue: T | null;
  readonly version: number;
}

/** A connection that fails is made again after so long, twice as long each time, until one is made. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 10_000;

export async function* subscription<T>(options: {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal;
  readonly onOpen?: () => void;
  readonly afterVersion?: number;
}): AsyncGenerator<StateChange<T>, undefined> {
  const { url, signal, onOpen } = options;
  let last = options.afterVersion;
  let pauseMs = FIRST_PAUSE_MS;
  // Ended also when the loop is left, which aborts nothing by itself.
  const left = new AbortController();
  const ended = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  try {
    while (!ended.aborted) {
      try {
        const response = await options.fetch(url, {
          headers: {
            ...options.headers,
            accept: "text/event-stream",
            ...(last !== undefined && { "last-event-id": String(last) }),
          },
          signal: ended,
        });
        if (!response.ok) throw await errorOf(response);
        if (response.body === null) throw new TypeError("The answer has no body");
        pauseMs = FIRST_PAUSE_MS;
        // What is lost before anything was heard is to be noticed, too.
        last ??= versionOf(response.headers.get("x-state-version"));
        onOpen?.();
        for await (const data of readEvents(response.body)) {
          const change = JSON.parse(data) as StateChange<T>;
          last = change.version;
          yield change;
        }
      } catch (error) {
        if (ended.aborted) return;
        if (error instanceof StateStoreError && !mayPass(error.status)) throw error;
      }
      await pause(pauseMs, ended);
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  } finally {
    left.abort();
  }
}

function versionOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** Whether asking again may be answered otherwise. */
function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
