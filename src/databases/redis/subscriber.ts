import type { Redis } from "ioredis";

/** A half-open connection is noticed by a question without an answer. */
const CHECK_EVERY_MS = 15_000;

/**
 * One connection for all channels that this application listens to. After it was lost all are subscribed to again; what was
 * published meanwhile is lost, and `onReconnected` says so.
 */
export interface RedisSubscriber {
  /**
   * Hear a channel, from when `ready` resolves on: at once while Redis is away, to be subscribed to with the next connection.
   * Never throws.
   */
  subscribe(
    channel: string,
    onMessage: (message: string) => void,
  ): { readonly ready: Promise<void>; readonly stop: () => void };
  /** Called when the connection is there again after it was lost, with all channels subscribed to. @returns the unsubscriber */
  onReconnected(fn: () => void): () => void;
  close(): void;
}

/** @param client connected, without `autoResubscribe` */
export function createSubscriber(client: Redis, onError: (error: unknown) => void): RedisSubscriber {
  const channels = new Map<string, Set<(message: string) => void>>();
  const reconnected = new Set<() => void>();
  let closed = false;

  const isConnected = (): boolean => client.status === "ready";
  const resubscribe = async (): Promise<void> => {
    if (channels.size > 0) await client.subscribe(...channels.keys());
    for (const fn of reconnected) fn();
  };
  client.on("message", (channel: string, message: string) => {
    for (const listener of channels.get(channel) ?? []) listener(message);
  });
  client.on("ready", () => {
    // A connection that is lost again while it subscribes comes back by the same way.
    resubscribe().catch(onError);
  });
  const check = setInterval(() => {
    if (isConnected()) client.ping().catch(() => client.disconnect(true));
  }, CHECK_EVERY_MS);
  check.unref();

  return {
    subscribe(channel, onMessage) {
      const listener = (message: string): void => onMessage(message);
      const known = channels.get(channel);
      const listeners = known ?? new Set();
      channels.set(channel, listeners);
      listeners.add(listener);
      // A channel that is known may not be subscribed to yet: asked for again, the answer comes after the first one's.
      const ready = isConnected() ? client.subscribe(channel).then(() => undefined, onError) : Promise.resolve();
      return {
        ready,
        stop() {
          listeners.delete(listener);
          if (listeners.size > 0 || channels.get(channel) !== listeners) return;
          channels.delete(channel);
          if (!closed && isConnected()) client.unsubscribe(channel).catch(onError);
        },
      };
    },
    onReconnected(fn) {
      const listener = (): void => fn();
      reconnected.add(listener);
      return () => reconnected.delete(listener);
    },
    close() {
      closed = true;
      clearInterval(check);
      channels.clear();
      reconnected.clear();
    },
  };
}
