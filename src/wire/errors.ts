import { isAuthRefusal } from "../core/auth.js";
import type { ErrorCode, HeddleError } from "../core/errors.js";
import { ERROR_MESSAGES, errorName, isHeddleError } from "../core/errors.js";

/** Statuses of the Platform where it has one (docs/wire/langgraph-api.md §2.1.5, §2.6.3). */
const STATUS: Record<ErrorCode, number> = {
  INVALID_REQUEST: 422,
  MALFORMED_JSON: 400,
  UNSUPPORTED_OPTION: 422,
  NOT_SUPPORTED: 501,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  ASSISTANT_NOT_FOUND: 404,
  ASSISTANT_VERSION_NOT_FOUND: 404,
  ASSISTANT_EXISTS: 409,
  GRAPH_NOT_FOUND: 404,
  GRAPH_LOAD_FAILED: 500,
  UI_BUILD_FAILED: 500,
  THREAD_NOT_FOUND: 404,
  THREAD_EXISTS: 409,
  THREAD_BUSY: 409,
  THREAD_HAS_NO_GRAPH: 400,
  RUN_NOT_FOUND: 404,
  RUN_IN_FLIGHT: 409,
  RUN_FINISHED: 409,
  THREAD_NOT_INTERRUPTED: 409,
  INTERRUPT_NOT_FOUND: 404,
  CRON_NOT_FOUND: 404,
  CHECKPOINT_NOT_FOUND: 404,
  NAMESPACE_NOT_FOUND: 404,
  ITEM_INVALID: 422,
  EMBEDDING_FAILED: 502,
  STATE_UPDATE_REJECTED: 422,
  STATE_TOO_LARGE: 413,
  LEASE_LOST: 500,
  EVENTS_GONE: 410,
  PAYLOAD_TOO_LARGE: 413,
  URI_TOO_LONG: 414,
  HEADERS_TOO_LARGE: 431,
  RATE_LIMITED: 429,
  LIMIT_REACHED: 429,
  SHUTTING_DOWN: 503,
  CONFIG_INVALID: 500,
  STORAGE_UNAVAILABLE: 503,
  DECRYPTION_FAILED: 500,
  SCHEME_UNKNOWN: 500,
  DEPENDENCY_MISSING: 500,
  INTERNAL: 500,
};

/** An answer to a request that failed. */
export interface ErrorReply {
  readonly status: number;
  /** `{"detail": …}`; both SDKs look there. */
  readonly body: string;
  /** Of a refusal that has its own (docs/wire/langgraph-api.md §7.2). */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * What a client is told. Server faults (5xx, but 501) carry the code's own message and the request id, never the inner
 * text, which may hold secrets; it is in the log under that id.
 */
export function encodeError(error: HeddleError, requestId: string): ErrorReply {
  // Its words were chosen for the client.
  if (isAuthRefusal(error)) {
    return { status: error.status, body: JSON.stringify({ detail: error.message }), headers: error.headers };
  }
  const status = STATUS[error.code];
  const detail =
    status < 500 || status === 501 ? error.message : `${ERROR_MESSAGES[error.code]} (request ${requestId})`;
  return { status, body: JSON.stringify({ detail }) };
}

/**
 * The same for an answer whose status is sent already (docs/wire/langgraph-api.md §2.6.2): a name like those of a run's own
 * errors, so that a client can tell what to try again. An unexpected exception is told without its text.
 */
export function encodeLateError(
  error: unknown,
  requestId: string,
): { readonly error: string; readonly message: string } {
  const known = isHeddleError(error) && error.code !== "INTERNAL" ? error : null;
  const reply = known === null ? encodeUnexpected(requestId) : encodeError(known, requestId);
  const { detail } = JSON.parse(reply.body) as { detail: string };
  return { error: known === null ? "InternalServerError" : errorName(known.code), message: detail };
}

/** An unexpected exception: logged by the caller, answered without its text. */
export function encodeUnexpected(requestId: string): ErrorReply {
  return { status: 500, body: JSON.stringify({ detail: `${ERROR_MESSAGES.INTERNAL} (request ${requestId})` }) };
}
