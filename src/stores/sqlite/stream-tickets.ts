import type { Caller } from "../../core/auth.js";
import type { StreamTicketStore } from "../../core/stream-ticket.js";
import type { Session } from "./session.js";

/** How many expired tickets go with each new one: more than come. */
const REMOVED_AT_ONCE = 16;

interface TicketColumns {
  readonly caller: string;
  readonly thread_id: string | null;
  readonly expires_at: number;
}

/** Stream tickets in a SQLite database: a transaction takes each away once. */
export function createSqliteStreamTickets(session: Session): StreamTicketStore {
  const { clock } = session;
  return {
    issue: ({ ticket: { digest, caller, threadId }, ttlMs }) =>
      session.write(() => {
        const now = clock.now();
        session
          .sql(
            `DELETE FROM stream_tickets WHERE digest IN
             (SELECT digest FROM stream_tickets WHERE expires_at <= ? ORDER BY expires_at LIMIT ${REMOVED_AT_ONCE})`,
          )
          .run(now);
        session
          .sql("INSERT INTO stream_tickets (digest, caller, thread_id, expires_at) VALUES (?, ?, ?, ?)")
          .run(digest, JSON.stringify(caller), threadId, now + ttlMs);
        return now + ttlMs;
      }),

    claim: ({ digest }) =>
      session.write(() => {
        const taken = session
          .sql<TicketColumns>("DELETE FROM stream_tickets WHERE digest = ? RETURNING caller, thread_id, expires_at")
          .get(digest);
        if (taken === undefined || taken.expires_at <= clock.now()) return null;
        return { digest, caller: JSON.parse(taken.caller) as Caller, threadId: taken.thread_id };
      }),
  };
}
