import type { AuthProvider, Caller } from "../core/auth.js";
import type { StoreClock } from "../core/clock.js";
import { HeddleError } from "../core/errors.js";
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
export function withStreamTickets(deps: {
  readonly tickets: StreamTicketStore;
  readonly clock: StoreClock;
  readonly authenticate: HttpDeps["authenticate"];
  /** As the provider has it. */
  readonly stillValid: NonNullable<AuthProvider["stillValid"]>;
}): {
  readonly authenticate: HttpDeps["authenticate"];
  readonly reauthenticate: NonNullable<HttpDeps["reauthenticate"]>;
} {
  const { authenticate, stillValid } = deps;
  /** Who came with a ticket, which is used up. */
  const redeemedCallers = new WeakSet<Caller>();

  const asked: HttpDeps["authenticate"] = (request) => {
    // Most requests have no such word in them: nothing is parsed for them.
    if (request.method !== "GET" || !request.url.includes(PARAMETER)) return authenticate(request);
    const { pathname } = new URL(request.url);
    const ticket = ticketOf(request);
    if (ticket === null) return authenticate(request);
    const [, threadId = null] = THREAD_STREAM.exec(pathname) ?? [];
    if (threadId === null && !RUN_STREAM.test(pathname)) return authenticate(request);
    return redeemed(request, ticket, threadId?.toLowerCase() ?? null);
  };
  return {
    authenticate: asked,
    async reauthenticate(request, caller) {
      if (!redeemedCallers.has(caller)) return authenticate(request);
      if (await stillValid(caller)) return caller;
      throw new HeddleError("UNAUTHENTICATED", {
        message: "The credentials that the ticket was asked for with are no longer valid",
      });
    },
  };

  async function redeemed(request: Request, ticket: string, threadId: string | null): Promise<Caller> {
    const caller = await redeemStreamTicket(deps, ticket, threadId);
    if (caller.identity !== null) {
      redeemedCallers.add(caller);
      return caller;
    }
    // Issued while nobody was asked who they are: it says nothing, and nobody is still asked.
    const other = await authenticate(request);
    // A cookie must not say who asks where a ticket stands for it: its origin is not looked at (./cross-origin.ts).
    if (other.identity !== null) throw new HeddleError("UNAUTHENTICATED", { message: "The ticket is nobody's" });
    return other;
  }
}

/** Whether a stream's URL says by a ticket who asks. */
export function hasStreamTicket(request: Request): boolean {
  return request.url.includes(PARAMETER) && ticketOf(request) !== null;
}

function ticketOf({ url }: Request): string | null {
  const ticket = new URL(url).searchParams.get(PARAMETER);
  return ticket !== null && isStreamTicket(ticket) ? ticket : null;
}
