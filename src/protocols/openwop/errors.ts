import { z } from "zod";
import { isAuthRefusal } from "../../core/auth.js";
import type { ErrorCode, HeddleError } from "../../core/errors.js";
import { ERROR_MESSAGES, isHeddleError } from "../../core/errors.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import type { Refusal, RefusedRequest } from "../../http/mounts/protocol-face.js";
import { OpenwopRefusal } from "./seams.js";

/** Codes of errors of requests (docs/wire/openwop.md §3.2). The last three are [D]: README.md. */
export const HTTP_ERROR_CODES = [
  "unauthenticated",
  "forbidden",
  "validation_error",
  "not_found",
  "workflow_not_found",
  "rate_limited",
  "run_already_active",
  "idempotency_in_flight",
  "idempotency_key_mismatch",
  "unsupported_stream_mode",
  "capability_required",
  "capability_not_provided",
  "interrupt_not_found",
  "interrupt_already_resolved",
  "interrupt_expired",
  "interrupt_gone",
  "webhook_url_rejected",
  "subscription_not_found",
  "internal_error",
  "run_state_conflict",
  "payload_too_large",
  "service_unavailable",
] as const;
export type HttpErrorCode = (typeof HTTP_ERROR_CODES)[number];

/** Status and code of what any layer of the server throws. */
const TABLE: Record<ErrorCode, readonly [status: number, code: HttpErrorCode]> = {
  INVALID_REQUEST: [400, "validation_error"],
  MALFORMED_JSON: [400, "validation_error"],
  UNSUPPORTED_OPTION: [400, "validation_error"],
  NOT_SUPPORTED: [501, "capability_not_provided"],
  UNAUTHENTICATED: [401, "unauthenticated"],
  FORBIDDEN: [403, "forbidden"],
  NOT_FOUND: [404, "not_found"],
  ASSISTANT_NOT_FOUND: [404, "workflow_not_found"],
  ASSISTANT_VERSION_NOT_FOUND: [404, "workflow_not_found"],
  ASSISTANT_EXISTS: [409, "run_state_conflict"],
  GRAPH_NOT_FOUND: [404, "workflow_not_found"],
  GRAPH_LOAD_FAILED: [500, "internal_error"],
  UI_BUILD_FAILED: [500, "internal_error"],
  THREAD_NOT_FOUND: [404, "not_found"],
  THREAD_EXISTS: [409, "run_state_conflict"],
  THREAD_BUSY: [409, "run_state_conflict"],
  THREAD_HAS_NO_GRAPH: [409, "run_state_conflict"],
  RUN_NOT_FOUND: [404, "not_found"],
  RUN_IN_FLIGHT: [409, "run_state_conflict"],
  RUN_FINISHED: [409, "run_state_conflict"],
  THREAD_NOT_INTERRUPTED: [409, "run_state_conflict"],
  INTERRUPT_NOT_FOUND: [404, "interrupt_not_found"],
  CRON_NOT_FOUND: [404, "not_found"],
  CHECKPOINT_NOT_FOUND: [404, "not_found"],
  NAMESPACE_NOT_FOUND: [404, "not_found"],
  ITEM_INVALID: [400, "validation_error"],
  EMBEDDING_FAILED: [502, "internal_error"],
  STATE_UPDATE_REJECTED: [422, "validation_error"],
  STATE_TOO_LARGE: [413, "payload_too_large"],
  LEASE_LOST: [500, "internal_error"],
  EVENTS_GONE: [410, "not_found"],
  PAYLOAD_TOO_LARGE: [413, "payload_too_large"],
  URI_TOO_LONG: [414, "validation_error"],
  HEADERS_TOO_LARGE: [431, "validation_error"],
  RATE_LIMITED: [429, "rate_limited"],
  LIMIT_REACHED: [429, "rate_limited"],
  SHUTTING_DOWN: [503, "service_unavailable"],
  CONFIG_INVALID: [500, "internal_error"],
  STORAGE_UNAVAILABLE: [503, "service_unavailable"],
  DECRYPTION_FAILED: [500, "internal_error"],
  SCHEME_UNKNOWN: [500, "internal_error"],
  DEPENDENCY_MISSING: [500, "internal_error"],
  INTERNAL: [500, "internal_error"],
};

/** Those that any route may answer. */
export const ERROR_STATUSES = [401, 403, 413, 429, 500, 503] as const;

/** The error envelope: exactly these members at its top (§3.2). */
export const errorSchema = z
  .strictObject({
    error: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.json()).optional(),
  })
  .meta({ id: "OpenwopError" });

/** A refusal of a body or a query. */
export function invalid(message: string, details?: JsonObject): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 400,
    code: "validation_error",
    message,
    ...(details === undefined ? {} : { details }),
  });
}

/** No such run, or none of the caller's. */
export function runNotFound(runId: string): OpenwopRefusal {
  return new OpenwopRefusal({ status: 404, code: "not_found", message: `Run "${runId}" not found` });
}

/**
 * The envelope of any failure. Server faults (5xx, but 501) say the code's own words and the request's id, never the inner text.
 * @see ProtocolFace.refuse
 */
export function refuse(error: unknown, { request, requestId, kind }: RefusedRequest): Refusal {
  if (kind !== "error") {
    const { pathname } = new URL(request.url);
    const isKnown = kind === "wrong-method";
    const message = isKnown ? `${pathname} has no method ${request.method}` : `There is nothing at ${pathname}`;
    return envelope(isKnown ? 405 : 404, isKnown ? "validation_error" : "not_found", message);
  }
  if (error instanceof OpenwopRefusal) {
    return { ...envelope(error.status, error.code, error.message, error.details), headers: error.headers };
  }
  if (!isHeddleError(error)) return fault(500, "internal_error", ERROR_MESSAGES.INTERNAL, requestId);
  // Its words and status were chosen for the client.
  if (isAuthRefusal(error)) {
    return { ...envelope(error.status, codeOfRefusal(error.status), error.message), headers: error.headers };
  }
  const [status, code] = TABLE[error.code];
  if (status >= 500 && status !== 501) return fault(status, code, ERROR_MESSAGES[error.code], requestId);
  return envelope(status, code, error.message, status === 429 ? retryDetails(error) : undefined);
}

function fault(status: number, code: HttpErrorCode, message: string, requestId: string): Refusal {
  return envelope(status, code, `${message} (request ${requestId})`);
}

function envelope(status: number, error: string, message: string, details?: JsonObject): Refusal {
  return { status, body: toJsonText({ error, message, ...(details === undefined ? {} : { details }) }) };
}

function codeOfRefusal(status: number): HttpErrorCode {
  if (status === 401) return "unauthenticated";
  if (status === 404) return "not_found";
  if (status === 429) return "rate_limited";
  return status < 500 ? "forbidden" : "internal_error";
}

/** When it may be tried again, and what is limited: a number is per caller, a number of open things as well. */
function retryDetails({ details, code }: HeddleError): JsonObject {
  const { retryAfterMs, scope = code === "RATE_LIMITED" ? "requests" : "concurrency" } = (details ?? {}) as {
    readonly retryAfterMs?: JsonValue;
    readonly scope?: JsonValue;
  };
  return { retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : 1_000, scope };
}
