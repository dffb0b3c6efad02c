import { HeddleError, isHeddleError } from "../../core/errors.js";

/** Errors of mongodb 6 that are raised before an operation reached a server. */
const NOT_SENT = new Set([
  "MongoServerSelectionError",
  "MongoWaitQueueTimeoutError",
  "MongoPoolClearedError",
  "MongoPoolClosedError",
  "MongoTopologyClosedError",
]);
const LOST = new Set(["MongoNetworkError", "MongoNetworkTimeoutError", "MongoClientClosedError"]);

/** Answers of a server that is not, or not yet, the one to write to. It did not carry the operation out. */
const REFUSED_CODES = new Set([
  10107, // NotWritablePrimary
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
]);
/** Answers of a server that goes away or changes its role meanwhile. */
const LOST_CODES = new Set([
  6, // HostUnreachable
  7, // HostNotFound
  89, // NetworkTimeout
  91, // ShutdownInProgress
  189, // PrimarySteppedDown
  262, // ExceededTimeLimit
  9001, // SocketException
  11600, // InterruptedAtShutdown
  11602, // InterruptedDueToReplStateChange
]);

const REFUSED_SOCKETS = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"];
/** mongodb 6.21 lets the error of a write to a closed socket through as Node raised it. */
const LOST_SOCKETS = new Set(["EPIPE", "ECONNRESET", "ETIMEDOUT", "ENOTCONN"]);
/** Node wrote nothing. */
const WRITE_AFTER_END = "This socket has been ended by the other party";

function codeOf(error: Error): number | null {
  return "code" in error && typeof error.code === "number" ? error.code : null;
}

/** The operation was not carried out by any server. */
export function isNotSent(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (NOT_SENT.has(error.name) || REFUSED_CODES.has(codeOf(error) ?? 0)) return true;
  if (error.message.startsWith(WRITE_AFTER_END)) return true;
  return LOST.has(error.name) && REFUSED_SOCKETS.some((code) => error.message.includes(code));
}

/** The server is away; whether the operation was carried out is not known. */
export function isConnectionLost(error: unknown): boolean {
  if (isNotSent(error)) return true;
  if (!(error instanceof Error)) return false;
  if (LOST.has(error.name) || LOST_CODES.has(codeOf(error) ?? 0)) return true;
  return "code" in error && typeof error.code === "string" && LOST_SOCKETS.has(error.code);
}

/** Another document has the same `_id`, or the same values of a unique index. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof Error && codeOf(error) === 11000;
}

/** What a caller sees of a database that is away; other errors stay as they are. */
export function storageUnavailable(error: unknown, name: string): unknown {
  if (isHeddleError(error) || !isConnectionLost(error)) return error;
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The MongoDB database ${name} does not answer: ${error instanceof Error ? error.message : String(error)}`,
    cause: error,
  });
}
