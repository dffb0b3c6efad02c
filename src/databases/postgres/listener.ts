import type pgModule from "pg";
import type { Client } from "pg";
import type { Logger } from "../../core/logger.js";
import { isConnectionLost } from "./failures.js";
import { keepConnection } from "./kept-connection.js";
import { openListening } from "./listening-connection.js";

/**
 * One connection that listens, and that holds session locks. It is opened again after it was lost; what was notified
 * meanwhile is lost, and `onReconnected` says so.
 */
export interface PostgresListener {
  /** Resolves when the server listens. @returns the unsubscriber */
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => void>;
  /** Called whenever the connection is there again after it was lost, with all channels listened to. @returns the unsubscriber */
  onReconnected(fn: () => void): () => void;
  /**
   * Run at once and again after each reconnection, on the listening connection, before `onReconnected`: takes session locks.
   * It must not hold the connection.
   */
  onSession(fn: (client: Client) => Promise<void>): Promise<() => void>;
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly pg: typeof pgModule;
  readonly connectionString: string;
  readonly name: string;
  readonly logger?: Pick<Logger, "info" | "warn">;
}

export function createListener(options: ListenerOptions): PostgresListener {
  const { pg, name: database, logger } = options;
  const channels = new Map<string, Set<(payload: string) => void>>();
  const reconnected = new Set<() => void>();
  const sessions = new Set<(client: Client) => Promise<void>>();

  const open = (onLost: (error: Error | undefined) => void): Promise<Client> =>
    openListening(options, {
      async prepare(client) {
        for (const channel of channels.keys()) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
        for (const session of sessions) await session(client);
      },
      onNotification(channel, payload) {
        for (const listener of channels.get(channel) ?? []) listener(payload);
      },
      onLost,
    });
  const connection = keepConnection(open, {
    onLost: (error) =>
      logger?.warn({ ...(error && { err: error }), database }, "The listening database connection was lost"),
    onBack() {
      logger?.info({ database }, "The listening database connection is back");
      for (const fn of reconnected) fn();
    },
  });

  /** On the current connection; the one that takes its place when it is lost has prepared itself. */
  const now = async (step: (client: Client) => Promise<unknown>): Promise<void> => {
    const client = await connection.get();
    try {
      await step(client);
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
      await connection.get();
    }
  };

  return {
    async listen(channel, onPayload) {
      const listeners = channels.get(channel) ?? new Set();
      const isNew = !channels.has(channel);
      channels.set(channel, listeners);
      const listener = (payload: string): void => onPayload(payload);
      listeners.add(listener);
      try {
        await (isNew ? now((client) => client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)) : connection.get());
      } catch (error) {
        listeners.delete(listener);
        if (listeners.size === 0) channels.delete(channel);
        throw error;
      }
      return () => {
        listeners.delete(listener);
      };
    },
    onReconnected(fn) {
      const listener = (): void => fn();
      reconnected.add(listener);
      return () => reconnected.delete(listener);
    },
    async onSession(fn) {
      const session = (client: Client): Promise<void> => fn(client);
      await connection.get();
      sessions.add(session);
      try {
        await now(session);
      } catch (error) {
        sessions.delete(session);
        throw error;
      }
      return () => sessions.delete(session);
    },
    close: () => connection.close(),
  };
}
