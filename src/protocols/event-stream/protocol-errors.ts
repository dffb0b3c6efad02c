import type { ErrorCode } from "../../core/errors.js";
import { ERROR_MESSAGES, isHeddleError } from "../../core/errors.js";

/** Error codes of the protocol (docs/wire/langgraph-api.md §4.2). */
export type ProtocolErrorCode =
  | "invalid_argument"
  | "unknown_command"
  | "unknown_error"
  | "no_such_run"
  | "no_such_subscription"
  | "no_such_namespace"
  | "no_such_interrupt"
  | "no_such_checkpoint"
  | "permission_denied"
  | "not_supported";

const CODES: Record<ErrorCode, ProtocolErrorCode> = {
  INVALID_REQUEST: "invalid_argument",
  MALFORMED_JSON: "invalid_argument",
  UNSUPPORTED_OPTION: "not_supported",
  NOT_SUPPORTED: "not_supported",
  UNAUTHENTICATED: "permission_denied",
  FORBIDDEN: "permission_denied",
  NOT_FOUND: "invalid_argument",
  ASSISTANT_NOT_FOUND: "invalid_argument",
  ASSISTANT_VERSION_NOT_FOUND: "invalid_argument",
  ASSISTANT_EXISTS: "invalid_argument",
  GRAPH_NOT_FOUND: "invalid_argument",
  GRAPH_LOAD_FAILED: "unknown_error",
  THREAD_NOT_FOUND: "no_such_run",
  THREAD_EXISTS: "invalid_argument",
  THREAD_BUSY: "invalid_argument",
  THREAD_HAS_NO_GRAPH: "no_such_run",
  RUN_NOT_FOUND: "no_such_run",
  RUN_IN_FLIGHT: "invalid_argument",
  RUN_FINISHED: "invalid_argument",
  THREAD_NOT_INTERRUPTED: "invalid_argument",
  INTERRUPT_NOT_FOUND: "no_such_interrupt",
  CRON_NOT_FOUND: "invalid_argument",
  CHECKPOINT_NOT_FOUND: "no_such_checkpoint",
  NAMESPACE_NOT_FOUND: "no_such_namespace",
  ITEM_INVALID: "invalid_argument",
  EMBEDDING_FAILED: "unknown_error",
  STATE_UPDATE_REJECTED: "invalid_argument",
  STATE_TOO_LARGE: "invalid_argument",
  LEASE_LOST: "unknown_error",
  EVENTS_GONE: "invalid_argument",
  PAYLOAD_TOO_LARGE: "invalid_argument",
  URI_TOO_LONG: "invalid_argument",
  HEADERS_TOO_LARGE: "invalid_argument",
  RATE_LIMITED: "permission_denied",
  LIMIT_REACHED: "permission_denied",
  SHUTTING_DOWN: "unknown_error",
  CONFIG_INVALID: "unknown_error",
  STORAGE_UNAVAILABLE: "unknown_error",
  DECRYPTION_FAILED: "unknown_error",
  SCHEME_UNKNOWN: "unknown_error",
  DEPENDENCY_MISSING: "unknown_error",
  UI_BUILD_FAILED: "unknown_error",
  INTERNAL: "unknown_error",
};

export interface ProtocolFailure {
  readonly code: ProtocolErrorCode;
  readonly message: string;
  /** Nobody expected it: for the log. */
  readonly isFault: boolean;
}

/** A command's own refusal, where no other layer has a word for it. */
export class CommandRefused extends Error {
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.name = "CommandRefused";
    this.code = code;
  }
}

/**
 * What a client is told of a command that failed. Faults carry the request's id and not their inner text, which may hold
 * secrets.
 */
export function protocolFailure(error: unknown, requestId: string): ProtocolFailure {
  if (error instanceof CommandRefused) return { code: error.code, message: error.message, isFault: false };
  const known = isHeddleError(error) ? error.code : "INTERNAL";
  const code = CODES[known];
  if (code !== "unknown_error") return { code, message: (error as Error).message, isFault: false };
  const message = `${ERROR_MESSAGES[known]} (request ${requestId})`;
  return { code, message, isFault: known !== "SHUTTING_DOWN" };
}
