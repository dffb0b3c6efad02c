import type { Client } from "pg";

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

/** A connection that is opened again when it was lost. */
export interface KeptConnection {
  /** The current one, or the one that takes its place. Rejects when the first cannot be opened; then the next call tries again. */
  get(): Promise<Client>;
  close(): Promise<void>;
}

/** @param open calls its argument once when what it has opened is lost */
export function keepConnection(
  open: (onLost: (error: Error | undefined) => void) => Promise<Client>,
  events: { readonly onLost: (error: Error | undefined) => void; readonly onBack: () => void },
): KeptConnection {
  let current: Promise<Client> | null = null;
  let closed = false;

  const become = (next: Promise<Client>): Promise<Client> => {
    current = next;
    next.catch(() => {
      if (current === next) current = null;
    });
    return next;
  };

  const onLost = (error: Error | undefined): void => {
    if (closed) return;
    events.onLost(error);
    void become(reconnect());
  };

  const reconnect = async (): Promise<Client> => {
    for (let pauseMs = FIRST_PAUSE_MS; !closed; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      await new Promise((resolve) => void setTimeout(resolve, pauseMs).unref());
      const client = closed ? null : await open(onLost).catch(() => null);
      if (client === null) continue;
      if (!closed) events.onBack();
      return client;
    }
    throw closedError();
  };

  return {
    get: () => (closed ? Promise.reject(closedError()) : (current ?? become(open(onLost)))),
    async close() {
      if (closed) return;
      closed = true;
      await (await current?.catch(() => undefined))?.end().catch(() => undefined);
    },
  };
}

function closedError(): Error {
  return new Error("The listening database connection was closed.");
}
