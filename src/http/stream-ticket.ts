import type { Caller } from "../core/auth.js";
import type { StreamTicketStore } from "../core/stream-ticket.js";
import { isStreamTicket, redeemStreamTicket } from "../services/stream-tickets.js";
import type { HttpDeps } from "./http-deps.js";

/**
 * Streams that a browser opens without headers: `…/threads/{id}/stream`, `…/threads/{id}/stream/events` (WebSocket),
 * `…/threads/{id}/runs/{id}/stream`, `…/runs/{id}/stream`. Whatever comes before is a path that we are mounted at.
 */
const THREAD_STREAM = /\/threads\/([^/]+)\/(?:stream|stream\/events|runs\/[^/]+\/stream)$/;
const RUN_STREAM = /\/runs\/[^/]+\/stream$/;
const PARAMETER = "ticket";

/**
 * Let `?ticket=` of a stream's URL say who asks; all other requests are asked as before. A ticket is of nobody else's: a value
 * of another form is left to `authenticate`.
 */
export function withStreamTickets(
  tickets: StreamTicketStore,
  authenticate: HttpDeps["authenticate"],
): HttpDeps["authenticate"] {
  return (request) => {
    // Most requests have no such word in them: nothing is parsed for them.
    if (request.method !== "GET" || !request.url.includes(PARAMETER)) return authenticate(request);
    const { pathname, searchParams } = new URL(request.url);
    const ticket = searchParams.get(PARAMETER);
    if (ticket === null || !isStreamTicket(ticket)) return authenticate(request);
    const [, threadId = null] = THREAD_STREAM.exec(pathname) ?? [];
    if (threadId === null && !RUN_STREAM.test(pathname)) return authenticate(request);
    return redeemed(request, ticket, threadId?.toLowerCase() ?? null);
  };

  async function redeemed(request: Request, ticket: string, threadId: string | null): Promise<Caller> {
    const caller = await redeemStreamTicket(tickets, ticket, threadId);
    // Issued while nobody was asked who they are: it says nothing, and nobody is still asked.
    return caller.identity === null ? authenticate(request) : caller;
  }
}
