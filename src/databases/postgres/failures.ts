import { HeddleError, isHeddleError } from "../../core/errors.js";

/** SQLSTATEs (Postgres, appendix A) of a server that refuses before a statement is carried out, and may take it later. */
const NOT_SENT = new Set([
  "57P03", // cannot_connect_now
  "53300", // too_many_connections
  "25006", // read_only_sql_transaction: what was the primary has become a standby
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
  "ERR_STREAM_DESTROYED",
]);
const UNREACHABLE = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

/** Texts of errors that pg 8.23 and pg-pool 3.14 raise without a code. */
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

/** The statement did not reach the server, or was turned away by one that is not itself. */
export function isNotSent(error: unknown): boolean {
  const code = codeOf(error);
  if (NOT_SENT.has(code) || UNREACHABLE.has(code)) return true;
  // Node tries all addresses of a name.
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isNotSent);
  return error instanceof Error && error.message.startsWith("timeout exceeded when trying to connect");
}

/** The connection is of no use any more; whether the statement was carried out is not known. */
export function isConnectionLost(error: unknown): boolean {
  if (isNotSent(error) || LOST.has(codeOf(error))) return true;
  return error instanceof Error && LOST_TEXTS.some((text) => error.message.startsWith(text));
}

/** The result of a prepared statement has changed with a migration: it was not carried out, and a new connection prepares it anew. */
export function isStalePlan(error: unknown): boolean {
  return codeOf(error) === "0A000" && error instanceof Error && error.message.startsWith("cached plan");
}

/**
 * A prepared statement is not where it was prepared (26000), or somebody else's is there (42P05): a pooler in between lends
 * another connection for each transaction. The statement was not carried out.
 */
export function isNotCarried(error: unknown): boolean {
  return ["26000", "42P05"].includes(codeOf(error));
}

/** Whether the server refused with one of these SQLSTATEs; also asks what a wrapped error was caused by. */
export function isSqlState(error: unknown, ...states: readonly string[]): boolean {
  if (isHeddleError(error)) return isSqlState(error.cause, ...states);
  return states.includes(codeOf(error));
}

/** What a caller sees of a database that is away; other errors stay as they are. */
export function storageUnavailable(error: unknown, name: string): unknown {
  if (isHeddleError(error) || !isConnectionLost(error)) return error;
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The Postgres database ${name} does not answer: ${messageOf(error)}`,
    cause: error,
  });
}

/** What a server says that answers, and does not let us in. */
export function refused(error: unknown, name: string): unknown {
  if (isHeddleError(error)) return error;
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The Postgres database ${name} refuses: ${messageOf(error)}`,
    cause: error,
  });
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
