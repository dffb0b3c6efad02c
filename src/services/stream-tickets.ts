import { randomBytes } from "node:crypto";
import type { Caller } from "../core/auth.js";
import type { StoreClock } from "../core/clock.js";
import { HeddleError } from "../core/errors.js";
import type { EpochMs } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { secretDigest } from "../core/secret-digest.js";
import type { StreamTicketStore } from "../core/stream-ticket.js";
import type { ThreadsService } from "./threads.js";

/** Long enough to open a stream at once, too short to be of use in a log. */
const TTL_MS = 30_000;
/** A ticket can't be asked again who shows it: its stream ends then at the latest. */
const STREAM_MS = 3_600_000;
const TICKET_BYTES = 32;
const TICKET = /^hdt_[A-Za-z0-9_-]{43}$/;

export interface IssuedTicket {
  /** `hdt_` and 43 characters: 256 random bits. The storage has only their SHA-256. */
  readonly ticket: string;
  readonly expiresAt: EpochMs;
}

/** Tickets for clients that cannot send headers: EventSource and WebSocket of browsers. */
export type StreamTicketsService = ReturnType<typeof createStreamTicketsService>;

/** Whether a text looks like one of our tickets; anything else is left to whoever authenticates. */
export function isStreamTicket(text: string): boolean {
  return TICKET.test(text);
}

export function createStreamTicketsService(deps: {
  readonly store: Pick<MetadataStore, "tickets">;
  readonly threads: Pick<ThreadsService, "get">;
}) {
  const { tickets } = deps.store;
  return {
    /**
     * A ticket that opens one stream as the caller, within 30 s, for an hour at most.
     * @param threadId only streams of this thread, which the caller must see; `null`: any that it may read then
     * @throws HeddleError `THREAD_NOT_FOUND`, and what reading the thread throws
     */
    async issue(caller: Caller, threadId: string | null): Promise<IssuedTicket> {
      if (threadId !== null) await deps.threads.get(caller, threadId);
      const ticket = `hdt_${randomBytes(TICKET_BYTES).toString("base64url")}`;
      const { identity, permissions, user, validUntil, credential } = caller;
      const stored = {
        digest: secretDigest(ticket),
        // What else a caller may be made of is not for a storage.
        caller: {
          identity,
          permissions,
          user,
          ...(validUntil !== undefined && { validUntil }),
          ...(credential !== undefined && { credential }),
        },
        threadId,
      };
      return { ticket, expiresAt: await tickets.issue({ ticket: stored, ttlMs: TTL_MS }) };
    },
  };
}

/**
 * Take a ticket, once, for a stream of a thread (`null`: of a run that is named without its thread). Part of finding out who asks,
 * and so the one thing here without a caller.
 * @throws HeddleError `UNAUTHENTICATED` when it is unknown, expired, used before or for another thread
 */
export async function redeemStreamTicket(
  { tickets, clock }: { readonly tickets: StreamTicketStore; readonly clock: StoreClock },
  ticket: string,
  threadId: string | null,
): Promise<Caller> {
  const claimed = await tickets.claim({ digest: secretDigest(ticket) });
  if (claimed === null || (claimed.threadId !== null && claimed.threadId !== threadId)) {
    throw new HeddleError("UNAUTHENTICATED", {
      message: "The ticket is unknown, expired, used before or for another thread: ask for a new one",
    });
  }
  const { caller } = claimed;
  if (caller.identity === null) return caller;
  const now = clock.now();
  if (caller.validUntil !== undefined && caller.validUntil <= now) {
    throw new HeddleError("UNAUTHENTICATED", { message: "Who asked for the ticket had credentials that have expired" });
  }
  return { ...caller, validUntil: Math.min(now + STREAM_MS, caller.validUntil ?? Number.POSITIVE_INFINITY) };
}
