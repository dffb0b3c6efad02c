import type pgModule from "pg";
import type { Client } from "pg";
import type { Logger } from "../../core/logger.js";

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
/** A half-open connection is noticed by a question without an answer. */
const CHECK_EVERY_MS = 15_000;
const CHECK_TIMEOUT_MS = 5_000;

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

export function createListener(options: {
  readonly pg: typeof pgModule;
  readonly connectionString: string;
  readonly name: string;
  readonly logger?: Pick<Logger, "info" | "warn">;
}): PostgresListener {
  const { pg, connectionString, name, logger } = options;
  const channels = new Map<string, Set<(payload: string) => void>>();
  const reconnected = new Set<() => void>();
  const sessions = new Set<(client: Client) => Promise<void>>();
  let client: Promise<Client> | null = null;
  let closed = false;
  let check: NodeJS.Timeout | undefined;

  const connectOnce = async (): Promise<Client> => {
    const connection = new pg.Client({
      connectionString,
      keepAlive: true,
      connectionTimeoutMillis: CHECK_TIMEOUT_MS,
      query_timeout: CHECK_TIMEOUT_MS,
      application_name: "heddle-listen",
    });
    let isLost = false;
    const lost = (error?: Error): void => {
      if (isLost) return;
      isLost = true;
      connection.end().catch(() => undefined);
      if (client === null || closed) return;
      logger?.warn({ ...(error && { err: error }), database: name }, "The listening database connection was lost");
      client = reconnect();
      client.catch(() => undefined);
    };
    connection.on("notification", ({ channel, payload }) => {
      for (const listener of channels.get(channel) ?? []) listener(payload ?? "");
    });
    try {
      // Without a listener its error would end the process.
      connection.on("error", () => undefined);
      await connection.connect();
      for (const channel of channels.keys()) await connection.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
      for (const session of sessions) await session(connection);
    } catch (error) {
      isLost = true;
      connection.end().catch(() => undefined);
      throw error;
    }
    connection.on("error", lost);
    connection.on("end", () => lost());
    clearInterval(check);
    check = setInterval(() => void connection.query("SELECT 1").catch(lost), CHECK_EVERY_MS);
    check.unref();
    return connection;
  };

  const reconnect = async (): Promise<Client> => {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      await new Promise((resolve) => void setTimeout(resolve, pauseMs).unref());
      if (closed) throw new Error("closed");
      try {
        const connection = await connectOnce();
        logger?.info({ database: name }, "The listening database connection is back");
        for (const fn of reconnected) fn();
        return connection;
      } catch {
        // Tried again: the database is away.
      }
    }
  };

  const connected = (): Promise<Client> => {
    client ??= connectOnce();
    client.catch(() => undefined);
    return client;
  };

  return {
    async listen(channel, onPayload) {
      const listeners = channels.get(channel) ?? new Set();
      const isNew = !channels.has(channel);
      channels.set(channel, listeners);
      const listener = (payload: string): void => onPayload(payload);
      listeners.add(listener);
      const connection = await connected();
      if (isNew) await connection.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
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
      const connection = await connected();
      sessions.add(fn);
      await fn(connection);
      return () => sessions.delete(fn);
    },
    async close() {
      if (closed) return;
      closed = true;
      clearInterval(check);
      const current = client;
      client = null;
      await (await current?.catch(() => undefined))?.end().catch(() => undefined);
    },
  };
}
