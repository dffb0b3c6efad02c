/**
 * Every error that Heddle itself raises, with its default message. A protocol maps codes to statuses in a table typed
 * `Record<ErrorCode, …>`, so that a new code does not compile until each protocol has an answer for it.
 */
export const ERROR_MESSAGES = {
  INVALID_REQUEST: "The request is not valid.",
  MALFORMED_JSON: "Malformed JSON in request body",
  UNSUPPORTED_OPTION: "This option is not supported.",
  NOT_SUPPORTED: "The storage behind this server cannot do this.",
  UNAUTHENTICATED: "Unauthorized",
  FORBIDDEN: "Forbidden",
  NOT_FOUND: "Not Found",
  ASSISTANT_NOT_FOUND: "Assistant not found",
  ASSISTANT_VERSION_NOT_FOUND: "Assistant version not found",
  ASSISTANT_EXISTS: "Assistant already exists",
  GRAPH_NOT_FOUND: "Graph not found",
  GRAPH_LOAD_FAILED: "The graph could not be loaded.",
  UI_BUILD_FAILED: "The UI could not be built.",
  THREAD_NOT_FOUND: "Thread not found",
  THREAD_EXISTS: "Thread already exists",
  THREAD_BUSY: "Thread is busy",
  THREAD_HAS_NO_GRAPH: "Thread has no graph ID",
  RUN_NOT_FOUND: "Run not found",
  RUN_IN_FLIGHT: "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.",
  RUN_FINISHED: "Run is already finished",
  THREAD_NOT_INTERRUPTED: "The thread does not wait for an answer.",
  INTERRUPT_NOT_FOUND: "Interrupt not found",
  CRON_NOT_FOUND: "Cron not found",
  CHECKPOINT_NOT_FOUND: "Checkpoint not found",
  NAMESPACE_NOT_FOUND: "Namespace not found",
  ITEM_INVALID: "The store item is not valid.",
  EMBEDDING_FAILED: "The embedding model of the long-term store failed.",
  STATE_UPDATE_REJECTED: "The state update was rejected by the graph.",
  STATE_TOO_LARGE: "The state is larger than the checkpointer can keep.",
  LEASE_LOST: "This worker no longer holds the run.",
  EVENTS_GONE: "The requested events are no longer kept.",
  PAYLOAD_TOO_LARGE: "Request body too large",
  URI_TOO_LONG: "URI too long",
  HEADERS_TOO_LARGE: "Request headers too large",
  RATE_LIMITED: "Too many requests",
  LIMIT_REACHED: "Too many of these at once",
  SHUTTING_DOWN: "The server is shutting down.",
  CONFIG_INVALID: "The configuration is not valid.",
  STORAGE_UNAVAILABLE: "The storage is not available.",
  DECRYPTION_FAILED: "Stored data cannot be decrypted.",
  SCHEME_UNKNOWN: "No driver is registered for this URI scheme.",
  DEPENDENCY_MISSING: "An optional package is not installed.",
  INTERNAL: "Internal server error",
} as const;

export type ErrorCode = keyof typeof ERROR_MESSAGES;

const BRAND = Symbol.for("heddle.error");

/**
 * The one error class. Recognised by a `Symbol.for` brand, so that two copies of the package understand each other.
 * @example throw new HeddleError("THREAD_NOT_FOUND", { message: `Thread with ID ${id} not found` });
 */
export class HeddleError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly [BRAND] = true;

  constructor(
    code: ErrorCode,
    options: {
      readonly message?: string;
      readonly details?: Readonly<Record<string, unknown>>;
      readonly cause?: unknown;
    } = {},
  ) {
    super(options.message ?? ERROR_MESSAGES[code], options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HeddleError";
    this.code = code;
    this.details = options.details;
  }
}

/** True for a {@link HeddleError} of any copy of this package. */
export function isHeddleError(value: unknown): value is HeddleError {
  return typeof value === "object" && value !== null && BRAND in value;
}

/**
 * A code as the name of a class, as the errors of runs have it (docs/wire/langgraph-api.md §3.5).
 * @example errorName("STATE_TOO_LARGE") // "StateTooLarge"
 */
export function errorName(code: ErrorCode): string {
  return code.replaceAll(/(^|_)([A-Z]+)/g, (_, __, word: string) => word.charAt(0) + word.slice(1).toLowerCase());
}
