import type { Exchange } from "../../http/exchange.js";
import { wholeOf } from "./stream-modes.js";

/** Events of one answer. */
export const POLL_LIMIT = 1_000;
/** Seconds. */
const POLL_DEFAULT_S = 30;
const POLL_MAX_S = 60;

/** What a long poll waits for. */
export interface PollRequest {
  /** The last sequence that the client has; -1: none. */
  readonly after: number;
  readonly timeoutMs: number;
}

/**
 * The query of a long poll.
 * @param last what the last sequence is called there, and the least that it may be
 * @throws OpenwopRefusal `validation_error`
 */
export function decodePoll(
  { search }: Pick<Exchange, "search">,
  { name, min }: { readonly name: string; readonly min: -1 | 0 },
): PollRequest {
  const query = new URLSearchParams(search);
  const after = wholeOf(query, name, { min, max: Number.MAX_SAFE_INTEGER }) ?? -1;
  const seconds = wholeOf(query, "timeout", { min: 1, max: POLL_MAX_S }) ?? POLL_DEFAULT_S;
  return { after, timeoutMs: seconds * 1_000 };
}

/** The last sequence that a stream's client has; -1: none. */
export function lastEventId(exchange: Pick<Exchange, "header">): number {
  const id = exchange.header("last-event-id");
  return id !== undefined && /^\d{1,15}$/.test(id) ? Number(id) : -1;
}
