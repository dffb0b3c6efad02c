import { HeddleError } from "../core/errors.js";
import type { RunLease } from "../core/run.js";
import type { PostgresDatabase } from "../databases/postgres/open.js";

/**
 * Whether the run rows are in this database, so that a put's own statement can ask for the lease: another driver of this
 * application has it open, and it has the metadata store's table. A table alone proves nothing: it may be of former times.
 * All stores are opened before the first run starts, the metadata store first.
 */
export async function knowsRuns(database: PostgresDatabase): Promise<boolean> {
  if (!database.isShared()) return false;
  const rows = await database.query<{ attname: string }>({
    name: "heddle_checkpoint_runs",
    text: `SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('heddle_runs') AND attnum > 0 AND NOT attisdropped
      AND attname IN ('run_id', 'lease_token', 'status')`,
    idempotent: true,
  });
  return rows.length === 3;
}

/**
 * A table expression `lease` of one row while a run's lease holds. Its lock keeps others from taking the run over until the
 * statement has ended; a takeover that is being committed is waited for and then seen, because READ COMMITTED looks again
 * at a row that it had to wait for.
 * @param first number of the parameter with the run's id; the token is the next
 */
export const leaseTable = (first: number): string =>
  `lease AS (SELECT 1 FROM heddle_runs WHERE run_id = $${first} AND lease_token = $${first + 1} AND status = 'running' FOR SHARE)`;

/**
 * {@link leaseTable} of many: a row `place` for each lease that holds. In the order of their ids, so that no two statements
 * wait for one another.
 * @param first number of the parameter with the runs' ids; their tokens are the next
 */
export const leaseTables = (first: number): string =>
  `lease AS MATERIALIZED (
    SELECT l.place FROM unnest((SELECT $${first}::text[]), (SELECT $${first + 1}::int[])) WITH ORDINALITY AS l (run_id, lease_token, place)
    JOIN heddle_runs r ON r.run_id = l.run_id AND r.lease_token = l.lease_token AND r.status = 'running'
    ORDER BY r.run_id FOR SHARE OF r)`;

export function leaseLost(lease: RunLease | undefined, what: string): HeddleError {
  return new HeddleError("LEASE_LOST", {
    message: `This worker no longer holds run ${lease?.runId}: ${what} not saved.`,
    details: { runId: lease?.runId },
  });
}
