import type { RunStore } from "../../core/metadata-store.js";
import type { CancelAction, RunLease } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toText } from "../../databases/postgres/storable.js";
import type { Session } from "./session.js";

/** A lease that still holds. */
export type RenewedColumns = {
  readonly run_id: string;
  readonly lease_token: number;
  readonly cancel_action: CancelAction | null;
  /** False: somebody has the row locked. */
  readonly renewed: boolean;
};

/**
 * Extends the leases that still hold, and names them. A row that somebody has locked is left as it is, and its lease holds as
 * far as can be seen: a checkpoint that is being written (it takes its time when it is large) must not cost all other runs of
 * the worker their leases, and whoever takes runs back passes over locked rows as well.
 */
const RENEW: Statement = {
  name: "heddle_renew_leases",
  idempotent: true,
  // A half-open connection has to be noticed before the leases end.
  timeoutMs: 4_000,
  text: `WITH wanted AS MATERIALIZED (SELECT * FROM unnest($3::text[], $4::bigint[]) AS w (run_id, lease_token)),
    clock AS MATERIALIZED (SELECT heddle_now($1) AS now),
    free AS MATERIALIZED (
      SELECT r.run_id FROM heddle_runs r JOIN wanted w ON w.run_id = r.run_id AND w.lease_token = r.lease_token
      WHERE r.status = 'running' FOR NO KEY UPDATE OF r SKIP LOCKED
    ),
    renewed AS (
      UPDATE heddle_runs r SET lease_until = clock.now + $2::bigint, heartbeat_at = clock.now FROM free, clock
      WHERE r.run_id = free.run_id RETURNING r.run_id
    )
    SELECT r.run_id, r.lease_token, r.cancel_action, r.run_id IN (SELECT run_id FROM renewed) AS renewed
    FROM heddle_runs r JOIN wanted w ON w.run_id = r.run_id AND w.lease_token = r.lease_token WHERE r.status = 'running'`,
};

/** One lease, when its row is free. Its time is taken after the wait. */
const RENEW_LOCKED: Statement = {
  name: "heddle_renew_locked_lease",
  idempotent: true,
  timeoutMs: 60_000,
  text: `WITH held AS MATERIALIZED (
      SELECT run_id FROM heddle_runs WHERE run_id = $3 AND lease_token = $4 AND status = 'running' FOR NO KEY UPDATE
    )
    UPDATE heddle_runs r SET lease_until = heddle_now($1) + $2::bigint, heartbeat_at = heddle_now($1)
    FROM held WHERE r.run_id = held.run_id`,
};

/** {@link RENEW} with its parameters. */
export function renewStatement(
  now: number | null,
  leases: readonly RunLease[],
  leaseMs: number,
): [Statement, readonly unknown[]] {
  return [RENEW, [now, leaseMs, leases.map(({ runId }) => toText(runId)), leases.map(({ leaseToken }) => leaseToken)]];
}

/** `runs.heartbeat` of the Postgres store. Leases whose rows are locked are renewed as soon as they are free, one after the other. */
export function createHeartbeat(session: Session): RunStore["heartbeat"] {
  const locked = new Map<string, { readonly lease: RunLease; readonly leaseMs: number }>();
  let isRenewing = false;

  const renewLocked = async (): Promise<void> => {
    if (isRenewing) return;
    isRenewing = true;
    for (const [runId, { lease, leaseMs }] of locked) {
      locked.delete(runId);
      // The next heartbeat tells of what fails here.
      await session
        .query(RENEW_LOCKED, [session.now(), leaseMs, toText(runId), lease.leaseToken])
        .catch(() => undefined);
    }
    isRenewing = false;
  };

  return async ({ leases, leaseMs }) => {
    if (leases.length === 0) return { lost: [], cancelRequested: [] };
    const rows = await session.query<RenewedColumns>(...renewStatement(session.now(), leases, leaseMs));
    const held = new Map(rows.map((row) => [`${row.run_id}:${row.lease_token}`, row]));
    const cancelRequested: { runId: string; action: CancelAction }[] = [];
    const lost: string[] = [];
    for (const lease of leases) {
      const { runId, leaseToken } = lease;
      const row = held.get(`${toText(runId)}:${leaseToken}`);
      if (row === undefined) lost.push(runId);
      else if (row.cancel_action !== null) cancelRequested.push({ runId, action: row.cancel_action });
      if (row?.renewed === false) locked.set(runId, { lease, leaseMs });
    }
    if (locked.size > 0) void renewLocked();
    return { lost, cancelRequested };
  };
}
