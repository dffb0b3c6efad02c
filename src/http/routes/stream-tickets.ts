import { decodeStreamTicket, encodeStreamTicket, streamTicketBody } from "../../wire/stream-tickets.js";
import type { Route } from "../route.js";

/** Heddle's own: no other server has it. */
export const streamTicketRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/auth/tickets",
    group: "meta",
    // Authentication of streams in browsers, and no word about the server.
    isLasting: true,
    summary: "A ticket for one stream, for clients that cannot send headers: append `?ticket=` to its URL within 30 s",
    body: streamTicketBody,
    answer: { status: 200, description: "The ticket, and when it expires" },
    errors: [401, 403, 404],
    async handle(exchange, { services }) {
      const { threadId } = decodeStreamTicket(await exchange.body());
      const issued = await services.streamTickets.issue(exchange.caller, threadId);
      return exchange.json(encodeStreamTicket({ ...issued, threadId }), { "cache-control": "no-store" });
    },
  },
];
