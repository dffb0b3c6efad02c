import type { StoreClock } from "../../core/clock.js";
import { copyJson, type EpochMs } from "../../core/json.js";
import type { StreamTicket, StreamTicketStore } from "../../core/stream-ticket.js";

/** How many of the oldest tickets are looked at with each new one. */
const LOOKED_AT = 16;

/** Stream tickets of this process. */
export function createMemoryStreamTickets(clock: StoreClock): StreamTicketStore {
  const tickets = new Map<string, { readonly ticket: StreamTicket; readonly expiresAt: EpochMs }>();
  return {
    async issue({ ticket, ttlMs }) {
      const now = clock.now();
      let looked = 0;
      for (const [digest, { expiresAt }] of tickets) {
        if (expiresAt <= now) tickets.delete(digest);
        if (++looked >= LOOKED_AT) break;
      }
      const { permissions, user } = ticket.caller;
      const caller = { ...ticket.caller, permissions: [...permissions], user: user === null ? null : copyJson(user) };
      tickets.set(ticket.digest, { ticket: { ...ticket, caller }, expiresAt: now + ttlMs });
      return now + ttlMs;
    },

    async claim({ digest }) {
      const found = tickets.get(digest);
      if (found === undefined) return null;
      tickets.delete(digest);
      return found.expiresAt > clock.now() ? found.ticket : null;
    },
  };
}
