import type { Pool, PoolClient } from "pg";
import { HeddleError } from "../../core/errors.js";
import { isConnectionLost, isNotCarried, isNotSent, isSqlState, isStalePlan, storageUnavailable } from "./failures.js";

/** How patient statements are, in milliseconds. */
export interface Patience {
  /** Together: how long a restart of the server may take. Default 20,000. */
  readonly waitMs: number;
  /** How long a statement without a `timeoutMs` waits for its answer: how a half-open connection is noticed. Default 15,000. */
  readonly queryTimeoutMs: number;
}

export const PATIENCE: Patience = { waitMs: 20_000, queryTimeoutMs: 15_000 };

const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;
/** Deadlocks, and plans that a migration made stale, are repeated this often. */
const MAX_CONFLICTS = 10;

/** Something that needs a connection. `again`: it may have been carried out before. */
export type Work<T> = (client: PoolClient, again: boolean) => Promise<T>;

export interface Attempts {
  /**
   * Do `work` on a connection of the pool, and again while the server is away, as far as that is safe.
   * @param mayRepeat also when its connection was lost in the middle of it
   * @throws HeddleError `STORAGE_UNAVAILABLE` for a server that stays away; what the server refuses as it is
   */
  run<T>(work: Work<T>, mayRepeat: boolean): Promise<T>;
  /** What waits is not tried again. */
  close(): void;
}

/** Thrown by work that has not begun: its first statement found the connection dead. */
export class NotBegun extends Error {}

/** @param params.onNotCarried a pooler does not carry prepared statements: from now on work must send its statements without names */
export function createAttempts(params: {
  readonly pool: Pool;
  readonly name: string;
  readonly waitMs: number;
  readonly onNotCarried: () => void;
}): Attempts {
  const { pool, name, waitMs, onNotCarried } = params;
  const openedAt = new WeakMap<PoolClient, number>();
  let lostAt = -1;
  let closed = false;
  pool.on("connect", (client) => {
    openedAt.set(client, performance.now());
    // Whoever uses the connection gets the error from its query.
    client.on("error", () => undefined);
  });

  /** A connection that was opened after the last one was lost: what took that one away took older ones as well. */
  const checkOut = async (): Promise<PoolClient> => {
    for (;;) {
      const client = await pool.connect();
      if ((openedAt.get(client) ?? 0) > lostAt) return client;
      client.release(true);
    }
  };

  const attempt = async <T>(work: Work<T>, again: boolean): Promise<Outcome<T>> => {
    let client: PoolClient | undefined;
    try {
      client = await checkOut();
      const result = await work(client, again);
      client.release();
      return { kind: "done", result };
    } catch (thrown) {
      const error: unknown = thrown instanceof NotBegun ? thrown.cause : thrown;
      if (client === undefined) return { kind: "failed", error, isSafe: isConnectionLost(error), isLost: false };
      const isLost = isConnectionLost(error);
      if (isLost) lostAt = performance.now();
      const isForeign = isNotCarried(error);
      if (isForeign) onNotCarried();
      const isStale = isForeign || isStalePlan(error);
      client.release(isLost || isStale || thrown instanceof NotBegun);
      if (isStale || isSqlState(error, "40P01", "40001")) return { kind: "conflict", error };
      return { kind: "failed", error, isSafe: isNotSent(error) || thrown instanceof NotBegun, isLost };
    }
  };

  return {
    async run<T>(work: Work<T>, mayRepeat: boolean): Promise<T> {
      const deadline = performance.now() + waitMs;
      let conflicts = 0;
      let again = false;
      for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
        const outcome: Outcome<T> = await attempt(work, again);
        if (outcome.kind === "done") return outcome.result;
        if (closed) throw closedError(name, outcome.error);
        if (outcome.kind === "conflict") {
          conflicts += 1;
          if (conflicts > MAX_CONFLICTS) throw outcome.error;
          await pause(Math.random() * FIRST_PAUSE_MS);
          continue;
        }
        const { error, isSafe, isLost } = outcome;
        if (!isSafe && !(isLost && mayRepeat)) throw storageUnavailable(error, name);
        if (performance.now() >= deadline) throw storageUnavailable(error, name);
        if (!isSafe) again = true;
        await pause(pauseMs);
      }
    },
    close() {
      closed = true;
    },
  };
}

type Outcome<T> =
  | { readonly kind: "done"; readonly result: T }
  /** Undone by the server, which is well. */
  | { readonly kind: "conflict"; readonly error: unknown }
  /** `isSafe`: it was not carried out, and the server may come back. `isLost`: whether it was carried out is not known. */
  | { readonly kind: "failed"; readonly error: unknown; readonly isSafe: boolean; readonly isLost: boolean };

function closedError(name: string, cause: unknown): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", { message: `The Postgres database ${name} was closed.`, cause });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
