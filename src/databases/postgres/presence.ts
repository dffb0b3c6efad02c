import { createHash } from "node:crypto";
import type { Client } from "pg";
import type { Presence } from "../../core/presence.js";
import { type Component, migrate } from "./migrate.js";
import type { PostgresDatabase, Statement } from "./open.js";

/** Workers that have joined, whether they live or not. `lock_key`: of the session lock that each holds while it lives. */
export const PRESENCE_COMPONENT: Component = {
  name: "presence",
  migrations: [
    `CREATE TABLE heddle_workers (
      worker_id text PRIMARY KEY,
      lock_key bigint NOT NULL,
      joined_at bigint NOT NULL
    )`,
  ],
};

/** Tells those who look seldom that somebody has come. */
const CHANNEL = "heddle_presence";
/** Between the two looks that must both find a worker absent: a lost connection is opened again in less. */
const LOOK_AGAIN_MS = 300;
/** After a start of the server, or a new connection of ours, the others may still be reconnecting. */
const SETTLE_MS = 5_000;
/** Rows of workers that nobody has seen for so long are removed, once no run names them. */
const FORGET_AFTER_MS = 600_000;

/** Locks held in this database, as the bigint that took them (`objsubid` 1: the form with one key). */
const HELD = `SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

const NOW_MS = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";

interface Look {
  readonly [column: string]: unknown;
  readonly up_ms: number;
  readonly present: boolean;
  readonly absent: readonly string[];
  readonly living: number;
}

export interface PresenceOptions {
  /**
   * A SELECT of the ids of workers that hold running runs, one text column: `SELECT worker_id FROM runs WHERE …`. Default: every
   * worker that has joined is asked after.
   */
  readonly holders?: string;
}

/**
 * Presence by a session advisory lock on the listening connection: the server drops it with the dead process's socket, and a
 * paused process keeps it. The lock is a shared one, so that a worker whose old connection is half-open can take it again.
 *
 * A look is one statement. Nobody is named within 5 s of the server's start or of a reconnection of this process (after a crash
 * of the server its start time stays), nor while this process's own lock is missing: everybody reconnects then.
 */
export function createPresence(database: PostgresDatabase, options: PresenceOptions = {}): Presence {
  const { look, forget } = statements(options.holders);
  const absentSince = new Map<string, number>();
  const closing = new AbortController();
  let ownKey: string | null = null;
  let session: Client | null = null;
  let leave: (() => void) | null = null;
  let sessions = 0;
  let settledAt = 0;
  let others: number | null = null;
  let arrivals = 0;
  let stopListening: (() => void) | null = null;

  let migrating: Promise<void> | null = null;
  const migrated = (): Promise<void> =>
    (migrating ??= migrate(database, [PRESENCE_COMPONENT]).catch((error: unknown) => {
      migrating = null;
      throw error;
    }));

  /** Who is absent now; `null`: nobody can tell. */
  const lookOnce = async (): Promise<readonly string[] | null> => {
    const arrivalsBefore = arrivals;
    const [row] = await database.query<Look>(look, [ownKey]);
    others = null;
    if (row === undefined || row.up_ms < SETTLE_MS || performance.now() < settledAt || !row.present) return null;
    if (arrivals === arrivalsBefore) others = row.living + row.absent.length;
    return row.absent;
  };

  /** @returns those who were absent at a look at least {@link LOOK_AGAIN_MS} ago and at every one since */
  const update = (absent: readonly string[] | null): ReadonlySet<string> => {
    const now = performance.now();
    const missing = new Set(absent);
    for (const workerId of absentSince.keys()) if (!missing.has(workerId)) absentSince.delete(workerId);
    for (const workerId of missing) if (!absentSince.has(workerId)) absentSince.set(workerId, now);
    return new Set([...missing].filter((workerId) => now - (absentSince.get(workerId) ?? now) >= LOOK_AGAIN_MS));
  };

  const presence: Presence = {
    async join(workerId) {
      const key = presenceKey(workerId);
      await migrated();
      await database.query(forget, [FORGET_AFTER_MS]);
      stopListening ??= await database.listener().listen(CHANNEL, () => {
        arrivals += 1;
        others = null;
      });
      leave = await database.listener().onSession(async (client) => {
        await client.query("SELECT pg_advisory_lock_shared($1::bigint)", [key]);
        await client.query(
          `INSERT INTO heddle_workers (worker_id, lock_key, joined_at) VALUES ($1, $2::bigint, ${NOW_MS})
            ON CONFLICT (worker_id) DO UPDATE SET lock_key = excluded.lock_key, joined_at = excluded.joined_at`,
          [workerId, key],
        );
        await client.query("SELECT pg_notify($1, '')", [CHANNEL]);
        session = client;
        sessions += 1;
        if (sessions > 1) settledAt = performance.now() + SETTLE_MS;
      });
      ownKey = key;
    },

    async gone() {
      if (closing.signal.aborted) return new Set();
      await migrated();
      const found = update(await lookOnce());
      if (found.size > 0 || absentSince.size === 0) return found;
      const lookAgainAt = Math.min(...absentSince.values()) + LOOK_AGAIN_MS;
      // Timers take whole milliseconds, and count from the beginning of their turn.
      await pause(Math.ceil(lookAgainAt - performance.now()) + 1, closing.signal);
      return closing.signal.aborted ? new Set() : update(await lookOnce());
    },

    get others() {
      return others;
    },

    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      leave?.();
      stopListening?.();
      // The row stays: runs that could not be handed back are found by it.
      await session?.query("SELECT pg_advisory_unlock_shared($1::bigint)", [ownKey]).catch(() => undefined);
    },
  };
  return presence;
}

/**
 * A worker's key as a decimal bigint: negative, so that it meets neither the migrations' lock nor other people's small numbers.
 */
export function presenceKey(workerId: string): string {
  const hash = createHash("sha256").update(workerId).digest().readBigInt64BE();
  return String(BigInt.asIntN(64, hash | (1n << 63n)));
}

function statements(holders: string | undefined): { readonly look: Statement; readonly forget: Statement } {
  const holds = `EXISTS (SELECT FROM (${holders}) AS holder (id) WHERE holder.id = w.worker_id)`;
  const holding = holders === undefined ? "" : `AND ${holds}`;
  const notHolding = holders === undefined ? "" : `AND NOT ${holds}`;
  return {
    look: {
      name: holders === undefined ? "heddle_presence_look" : "heddle_presence_look_holders",
      idempotent: true,
      text: `WITH held (lock_key) AS MATERIALIZED (${HELD})
        SELECT (EXTRACT(EPOCH FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::float8 AS up_ms,
          $1::bigint IS NULL OR $1::bigint IN (SELECT lock_key FROM held) AS present,
          ARRAY(SELECT w.worker_id FROM heddle_workers w
            WHERE w.lock_key NOT IN (SELECT lock_key FROM held) ${holding}) AS absent,
          (SELECT count(*)::int FROM heddle_workers w
            WHERE w.lock_key IN (SELECT lock_key FROM held) AND w.lock_key IS DISTINCT FROM $1::bigint) AS living`,
    },
    forget: {
      name: "",
      idempotent: true,
      text: `WITH held (lock_key) AS MATERIALIZED (${HELD})
        DELETE FROM heddle_workers w WHERE w.lock_key NOT IN (SELECT lock_key FROM held)
          AND w.joined_at < ${NOW_MS} - $1 ${notHolding}`,
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
