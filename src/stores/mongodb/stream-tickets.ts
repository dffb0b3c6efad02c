import type { Caller } from "../../core/auth.js";
import type { StreamTicketStore } from "../../core/stream-ticket.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

/** Stream tickets in a MongoDB database: whose `findOneAndDelete` finds the document has it. */
export function createMongoStreamTickets(session: Session): StreamTicketStore {
  const { tickets } = session;
  return {
    async issue({ ticket: { digest, caller, threadId }, ttlMs }) {
      const now = session.now();
      await session.retrying(() => tickets.deleteMany({ expiresAt: { $lte: now } }));
      const document = { _id: digest, caller: JSON.stringify(caller), threadId, expiresAt: now + ttlMs };
      await session.retrying(() => insertOnce(tickets, document));
      return document.expiresAt;
    },

    async claim({ digest }) {
      // Repeated after a lost answer it may find nothing: then the client asks for another ticket.
      const taken = await session.retrying(() => tickets.findOneAndDelete({ _id: digest }));
      if (taken === null || taken.expiresAt <= session.now()) return null;
      return { digest, caller: JSON.parse(taken.caller) as Caller, threadId: taken.threadId };
    },
  };
}
