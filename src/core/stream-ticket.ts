import type { Caller } from "./auth.js";
import type { EpochMs } from "./json.js";

/**
 * A short-lived right to open one stream as somebody, for clients that cannot send headers (EventSource, WebSocket). Whoever
 * claims it first has it: a store makes that true for all processes.
 */
export interface StreamTicket {
  /** SHA-256 of what the client shows, 64 hex digits in lower case. */
  readonly digest: string;
  /** Who asked for it, as it was then. */
  readonly caller: Caller;
  /** The one thread whose streams it opens; `null`: any that the caller may read. */
  readonly threadId: string | null;
}

export interface StreamTicketStore {
  /**
   * Keep a ticket until it is claimed or `ttlMs` have passed by the store's clock; removes some of those that have expired.
   * @returns when it expires
   */
  issue(params: { readonly ticket: StreamTicket; readonly ttlMs: number }): Promise<EpochMs>;
  /** Take a ticket away. `null`: unknown, expired, or claimed before. */
  claim(params: { readonly digest: string }): Promise<StreamTicket | null>;
}
