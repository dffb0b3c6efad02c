import type { ChoreStore } from "../../core/chore.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toText } from "../../databases/postgres/storable.js";
import type { Session } from "./session.js";

/** Repeated it says the same: who has the lease may have it again. */
const CLAIM: Statement = {
  name: "heddle_claim_chore",
  idempotent: true,
  text: `INSERT INTO heddle_chores AS c (name, worker_id, lease_until)
    SELECT $2, $3, now + $4::bigint FROM heddle_now($1) AS now
    ON CONFLICT (name) DO UPDATE SET worker_id = excluded.worker_id, lease_until = excluded.lease_until
    WHERE c.worker_id = excluded.worker_id OR c.lease_until <= excluded.lease_until - $4::bigint
    RETURNING name`,
};

/** Leases of chores in a Postgres database, for all its processes. */
export function createPostgresChores(session: Session): ChoreStore {
  return {
    async claim({ name, leaseMs, workerId }) {
      const rows = await session.query(CLAIM, [session.now(), toText(name), toText(workerId), leaseMs]);
      return rows.length > 0;
    },
  };
}
