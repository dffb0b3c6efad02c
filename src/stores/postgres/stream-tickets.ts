import type { Caller } from "../../core/auth.js";
import type { StreamTicketStore } from "../../core/stream-ticket.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toText } from "../../databases/postgres/storable.js";
import type { Session } from "./session.js";

const ISSUE: Statement = {
  name: "heddle_issue_stream_ticket",
  idempotent: true,
  // Expired ones go with each new one, more than come; what another process removes is passed over.
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now), gone AS (
      DELETE FROM heddle_stream_tickets WHERE digest IN (
        SELECT digest FROM heddle_stream_tickets WHERE expires_at <= (SELECT now FROM clock)
        ORDER BY expires_at LIMIT 16 FOR UPDATE SKIP LOCKED
      )
    ) INSERT INTO heddle_stream_tickets AS t (digest, caller, thread_id, expires_at)
    SELECT $2, $3, $4, now + $5::bigint FROM clock
    ON CONFLICT (digest) DO UPDATE SET expires_at = t.expires_at RETURNING expires_at`,
};
/** Not idempotent: who asks again after a lost answer may not learn that it was he who took it. */
const CLAIM: Statement = {
  name: "heddle_claim_stream_ticket",
  text: `DELETE FROM heddle_stream_tickets WHERE digest = $2 RETURNING caller, thread_id, expires_at > heddle_now($1) AS live`,
};

type TicketColumns = { readonly caller: string; readonly thread_id: string | null; readonly live: boolean };

/** Stream tickets in a Postgres database: whose DELETE finds the row has it. */
export function createPostgresStreamTickets(session: Session): StreamTicketStore {
  return {
    async issue({ ticket: { digest, caller, threadId }, ttlMs }) {
      const values = [
        session.now(),
        toText(digest),
        JSON.stringify(caller),
        threadId === null ? null : toText(threadId),
        ttlMs,
      ];
      const [row] = await session.query<{ readonly expires_at: number }>(ISSUE, values);
      if (row === undefined) throw new Error("A stream ticket is not there after it was issued");
      return row.expires_at;
    },

    async claim({ digest }) {
      const [row] = await session.query<TicketColumns>(CLAIM, [session.now(), toText(digest)]);
      if (row === undefined || !row.live) return null;
      const threadId = row.thread_id === null ? null : fromText(row.thread_id);
      return { digest, caller: JSON.parse(row.caller) as Caller, threadId };
    },
  };
}
