import type { EventCursor } from "../core/event-log.js";
import { watchCredentials } from "./credentials-watch.js";
import type { Exchange } from "./exchange.js";
import type { HttpDeps, SseOptions } from "./http-deps.js";

export interface EventStreamOptions extends Pick<SseOptions, "withIds" | "filter" | "encode" | "tokenGap"> {
  /** Of the answer, beside those that every one carries. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whose events they are, for the log. */
  readonly subject: Readonly<Record<string, string>>;
  /** Called once when the client leaves before the end; the cursor is closed by then. */
  readonly onLeft?: () => void;
}

/** Events as server-sent ones, until the cursor ends, the client leaves or the server closes. Owns the cursor and closes it. */
export function eventStream(
  exchange: Exchange,
  deps: HttpDeps,
  cursor: EventCursor,
  { headers, subject, onLeft, ...options }: EventStreamOptions,
): Response {
  const { streaming, clock, settings, closing, logger } = deps;
  const cut = new AbortController();
  let isCut = false;
  const credentials = watchCredentials(exchange, deps, {
    subject,
    onEnd() {
      isCut = true;
      if (exchange.disconnect === null) cut.abort();
      else exchange.disconnect();
    },
  });
  const watched: EventCursor = {
    next: () => cursor.next(),
    close() {
      credentials?.close();
      cursor.close();
    },
  };
  const left = whenLeft(exchange.request, () => {
    watched.close();
    // Cut off by us, it is to come again: its run goes on.
    if (!isCut) onLeft?.();
  });
  const body = streaming.sseStream(watched, {
    ...options,
    clock,
    heartbeatMs: settings.heartbeatMs,
    stalledMs: settings.stalledMs,
    ...(closing === undefined ? {} : { signal: closing }),
    ...(credentials !== null && { cut: cut.signal }),
    onCancel: left,
    onError: (error) => logger.error({ requestId: exchange.requestId, ...subject, err: error }, "stream failed"),
  });
  return new Response(body, { headers: { ...exchange.headers, ...streaming.sseHeaders, ...headers } });
}

/**
 * What happens once when the client leaves before the end: its socket ends, or it aborts a request inside the process, which has no
 * socket whose end would cancel the body. At once, when it has left already.
 * @returns the same, for a body that is cancelled
 */
export function whenLeft({ signal }: Request, leave: () => void): () => void {
  let isDone = false;
  const left = (): void => {
    if (isDone) return;
    isDone = true;
    leave();
  };
  if (signal.aborted) left();
  else signal.addEventListener("abort", left, { once: true });
  return left;
}
