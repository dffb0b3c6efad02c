import type pgModule from "pg";
import type { Client } from "pg";

/** A half-open connection is noticed by a question without an answer. */
const CHECK_EVERY_MS = 15_000;
const CHECK_TIMEOUT_MS = 5_000;

/** What becomes of one connection. */
export interface Listening {
  /** Before it is handed out. When it fails there is no connection. */
  prepare(client: Client): Promise<void>;
  onNotification(channel: string, payload: string): void;
  /** Called once, and only after it was handed out and before it was ended by us. */
  onLost(error: Error | undefined): void;
}

/** Connect, prepare, and watch the connection from then on. */
export async function openListening(
  options: { readonly pg: typeof pgModule; readonly connectionString: string },
  { prepare, onNotification, onLost }: Listening,
): Promise<Client> {
  const client = new options.pg.Client({
    connectionString: options.connectionString,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: CHECK_TIMEOUT_MS,
    query_timeout: CHECK_TIMEOUT_MS,
    application_name: "heddle-listen",
  });
  let isOpen = false;
  let check: NodeJS.Timeout | undefined;
  const lost = (error?: Error): void => {
    clearInterval(check);
    if (!isOpen) return;
    isOpen = false;
    end(client);
    onLost(error);
  };
  // Without a listener its error would end the process.
  client.on("error", lost);
  client.on("end", () => lost());
  client.on("notification", ({ channel, payload }) => onNotification(channel, payload ?? ""));
  try {
    await client.connect();
    await prepare(client);
  } catch (error) {
    end(client);
    throw error;
  }
  isOpen = true;
  check = setInterval(() => void client.query("SELECT 1").catch(lost), CHECK_EVERY_MS);
  check.unref();
  return client;
}

function end(client: Client): void {
  client.end().catch(() => undefined);
}
