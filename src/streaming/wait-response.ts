import type { Clock } from "../core/clock.js";
import type { JsonText } from "../core/json.js";

export interface WaitOptions {
  readonly clock: Clock;
  /** A newline after this long without any byte: JSON parsers skip it, proxies see life. Default 5,000. */
  readonly keepAliveMs?: number;
  /**
   * How long the head of the response waits for the document: then a failure still has a status of its own, and a short
   * run is answered in one piece. Default 50.
   */
  readonly graceMs?: number;
  /** Added to `content-type: application/json`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The request's own: aborted when the client leaves. */
  readonly signal?: AbortSignal;
  /** The client left before the document was there. Called at most once. */
  readonly onCancel?: () => void;
  /** The document of a failure that comes after the head was sent. */
  readonly onError: (error: unknown) => JsonText;
}

/**
 * Answer of `wait` and `join` (docs/wire/langgraph-api.md §2.6.2): zero or more newlines, then one JSON document.
 * @throws what `document` rejects with during `graceMs`
 */
export async function waitResponse(document: Promise<JsonText>, options: WaitOptions): Promise<Response> {
  let open = true;
  const left = (): void => {
    if (open) options.onCancel?.();
    open = false;
  };
  const waiting = new Outcome(document, options.clock);
  options.signal?.addEventListener("abort", left, { once: true });
  if (options.signal?.aborted) left();
  void waiting.settled.then(() => {
    open = false;
    options.signal?.removeEventListener("abort", left);
  });
  const headers = { "content-type": "application/json", ...options.headers };
  const early = await waiting.within(options.graceMs ?? 50);
  if (early === null) return new Response(bodyOf(waiting, { ...options, onCancel: left }), { headers });
  if (early.ok) return new Response(early.value, { headers });
  throw early.error;
}

/** The body alone: a newline every `keepAliveMs`, then the document, or `onError`'s. */
export function waitBody(
  document: Promise<JsonText>,
  options: Pick<WaitOptions, "clock" | "keepAliveMs" | "onCancel" | "onError">,
): ReadableStream<Uint8Array> {
  return bodyOf(new Outcome(document, options.clock), options);
}

function bodyOf(
  document: Outcome<JsonText>,
  options: Pick<WaitOptions, "keepAliveMs" | "onCancel" | "onError">,
): ReadableStream<Uint8Array> {
  let cancelled = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const result = await document.within(options.keepAliveMs ?? 5_000);
        if (cancelled) return;
        if (result === null) {
          controller.enqueue(Buffer.from("\n"));
          return;
        }
        controller.enqueue(Buffer.from(result.ok ? result.value : options.onError(result.error)));
        controller.close();
      },
      cancel() {
        cancelled = true;
        options.onCancel?.();
      },
    },
    { highWaterMark: 0 },
  );
}

type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/** A promise that can be waited on many times, for a while each, at the price of one handler. */
class Outcome<T> {
  /** Resolves when the promise has settled either way. */
  readonly settled: Promise<void>;
  readonly #clock: Clock;
  #result: Result<T> | null = null;
  #wake: (() => void) | null = null;

  constructor(promise: Promise<T>, clock: Clock) {
    this.#clock = clock;
    const settle = (result: Result<T>): void => {
      this.#result = result;
      this.#wake?.();
    };
    this.settled = promise.then(
      (value) => settle({ ok: true, value }),
      (error: unknown) => settle({ ok: false, error }),
    );
  }

  /** What it settled with, or `null` when `ms` are over first. */
  async within(ms: number): Promise<Result<T> | null> {
    if (this.#result === null) {
      await new Promise<void>((resolve) => {
        const timer = this.#clock.setTimer(resolve, ms);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
      this.#wake = null;
    }
    return this.#result;
  }
}
