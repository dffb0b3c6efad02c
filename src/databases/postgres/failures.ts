import { HeddleError, isHeddleError } from "../../core/errors.js";

/** SQLSTATEs (Postgres, appendix A) of a server that goes away or comes up, sent before a statement was carried out. */
const NOT_SENT = new Set([
  "57P03", // cannot_connect_now
  "53300", // too_many_connections
]);
const LOST = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P05", // idle_session_timeout
  "08000",
  "08003",
  "08006",
  "08P01",
  "25P03", // idle_in_transaction_session_timeout
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTCONN",
]);
const UNREACHABLE = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

/** Texts of errors that pg 8 raises without a code. */
const LOST_TEXTS = [
  "Connection terminated",
  "Client has encountered a connection error",
  "Query read timeout",
  "Client was closed",
  "timeout expired",
  "timeout exceeded when trying to connect",
];

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** The statement did not reach the server. */
export function isNotSent(error: unknown): boolean {
  const code = codeOf(error);
  if (NOT_SENT.has(code) || UNREACHABLE.has(code)) return true;
  return error instanceof Error && error.message.startsWith("timeout exceeded when trying to connect");
}

/** The connection is of no use any more; whether the statement was carried out is not known. */
export function isConnectionLost(error: unknown): boolean {
  if (isNotSent(error) || LOST.has(codeOf(error))) return true;
  return error instanceof Error && LOST_TEXTS.some((text) => error.message.startsWith(text));
}

/** What a caller sees of a database that is away; other errors stay as they are. */
export function storageUnavailable(error: unknown, name: string): unknown {
  if (isHeddleError(error) || !isConnectionLost(error)) return error;
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The Postgres database ${name} does not answer: ${error instanceof Error ? error.message : String(error)}`,
    cause: error,
  });
}
