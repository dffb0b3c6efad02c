import type { CancelAction, RunLease } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toText } from "../../databases/postgres/storable.js";

/** A lease that still holds. */
export type RenewedColumns = {
  readonly run_id: string;
  readonly lease_token: number;
  readonly cancel_action: CancelAction | null;
};

/**
 * Extends the leases that still hold. Rows are locked in the order of their ids, because the main thread and the one that
 * renews leases may do it at once.
 */
export const RENEW: Statement = {
  name: "heddle_renew_leases",
  idempotent: true,
  // A half-open connection has to be noticed before the leases end.
  timeoutMs: 4_000,
  text: `WITH wanted AS MATERIALIZED (SELECT * FROM unnest($3::text[], $4::bigint[]) AS w (run_id, lease_token)),
    clock AS MATERIALIZED (SELECT heddle_now($1) AS now),
    held AS MATERIALIZED (
      SELECT r.run_id, r.lease_token FROM heddle_runs r JOIN wanted w ON w.run_id = r.run_id AND w.lease_token = r.lease_token
      WHERE r.status = 'running' ORDER BY r.run_id FOR UPDATE OF r
    )
    UPDATE heddle_runs r SET lease_until = clock.now + $2::bigint, heartbeat_at = clock.now FROM held, clock
    WHERE r.run_id = held.run_id AND r.status = 'running' AND r.lease_token = held.lease_token
    RETURNING r.run_id, r.lease_token, r.cancel_action`,
};

/** {@link RENEW} with its parameters. */
export function renewStatement(
  now: number | null,
  leases: readonly RunLease[],
  leaseMs: number,
): [Statement, readonly unknown[]] {
  return [RENEW, [now, leaseMs, leases.map(({ runId }) => toText(runId)), leases.map(({ leaseToken }) => leaseToken)]];
}
