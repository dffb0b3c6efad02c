import { isAuthRefusal } from "../core/auth.js";
import { ERROR_MESSAGES, type ErrorCode, isHeddleError } from "../core/errors.js";
import type { RefusedRequest } from "../http/mounts/protocol-face.js";

/** A failed request, before a protocol puts it into its own words. */
export interface Fault {
  readonly status: number;
  /** `NO_ROUTE` and `WRONG_METHOD` for what no route answers. */
  readonly code: ErrorCode | "NO_ROUTE" | "WRONG_METHOD";
  /** May be told: nothing of what unexpected exceptions say. */
  readonly message: string;
  /** Of the error, for what an envelope has beside its message. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Of a refusal that has its own. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * What is wrong, for {@link ProtocolFace.refuse}.
 * @param statuses of the protocol; a new code does not compile until it is in it
 */
export function faultOf(
  error: unknown,
  { kind, requestId }: RefusedRequest,
  statuses: Readonly<Record<ErrorCode, number>>,
): Fault {
  const none = { details: {}, headers: {} };
  if (kind === "no-route") return { ...none, status: 404, code: "NO_ROUTE", message: "Not Found" };
  if (kind === "wrong-method") return { ...none, status: 405, code: "WRONG_METHOD", message: "Method Not Allowed" };
  if (!isHeddleError(error)) {
    return { ...none, status: 500, code: "INTERNAL", message: `${ERROR_MESSAGES.INTERNAL} (request ${requestId})` };
  }
  const { code, details = {} } = error;
  if (isAuthRefusal(error)) {
    return { status: error.status, code, message: error.message, details, headers: error.headers };
  }
  const status = statuses[code];
  // Those words were chosen for clients; others may hold what only the log is for.
  const isTold = status < 500 || status === 501 || code === "SHUTTING_DOWN";
  const message = isTold ? error.message : `${ERROR_MESSAGES[code]} (request ${requestId})`;
  return { status, code, message, details: isTold ? details : {}, headers: {} };
}
