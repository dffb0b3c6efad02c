import type { ChoreStore } from "../../core/chore.js";
import type { Session } from "./session.js";

const CLAIM = `INSERT INTO chores (name, worker_id, lease_until) VALUES (:name, :worker, :now + :lease)
  ON CONFLICT (name) DO UPDATE SET worker_id = excluded.worker_id, lease_until = excluded.lease_until
  WHERE chores.worker_id = excluded.worker_id OR chores.lease_until <= :now`;

/** Leases of chores in a SQLite database, for all processes that have it open. */
export function createSqliteChores(session: Session): ChoreStore {
  return {
    claim: ({ name, leaseMs, workerId }) =>
      session.write(() => {
        const values = { name, worker: workerId, now: session.clock.now(), lease: leaseMs };
        return session.sql(CLAIM).run(values).changes > 0;
      }),
  };
}
