import { z } from "zod";
import { isAuthRefusal } from "../../core/auth.js";
import type { ErrorCode } from "../../core/errors.js";
import { ERROR_MESSAGES, isHeddleError } from "../../core/errors.js";
import type { JsonObject, JsonText } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import type { Refusal, RefusedRequest } from "../protocol.js";

/** Codes of the wire (docs/wire/snapstate.md §1.1). */
export type WireCode =
  | "VALIDATION_ERROR"
  | "MAX_AGENTS_REACHED"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "AGENT_NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "CONFLICT"
  | "PAYLOAD_TOO_LARGE"
  | "RATE_LIMITED"
  | "NOT_SUPPORTED"
  | "SERVICE_UNAVAILABLE"
  | "INTERNAL_ERROR";

const INVALID = [400, "VALIDATION_ERROR"] as const;
const MISSING = [404, "NOT_FOUND"] as const;
const CONFLICT = [409, "CONFLICT"] as const;
const LIMITED = [429, "RATE_LIMITED"] as const;
const AWAY = [503, "SERVICE_UNAVAILABLE"] as const;
const FAULT = [500, "INTERNAL_ERROR"] as const;

const TABLE: Readonly<Record<ErrorCode, readonly [status: number, code: WireCode]>> = {
  INVALID_REQUEST: INVALID,
  MALFORMED_JSON: INVALID,
  UNSUPPORTED_OPTION: INVALID,
  NOT_SUPPORTED: [501, "NOT_SUPPORTED"],
  UNAUTHENTICATED: [401, "UNAUTHORIZED"],
  FORBIDDEN: [403, "FORBIDDEN"],
  NOT_FOUND: MISSING,
  ASSISTANT_NOT_FOUND: MISSING,
  ASSISTANT_VERSION_NOT_FOUND: MISSING,
  ASSISTANT_EXISTS: CONFLICT,
  GRAPH_NOT_FOUND: MISSING,
  GRAPH_LOAD_FAILED: FAULT,
  UI_BUILD_FAILED: FAULT,
  THREAD_NOT_FOUND: MISSING,
  THREAD_EXISTS: CONFLICT,
  THREAD_BUSY: CONFLICT,
  THREAD_HAS_NO_GRAPH: FAULT,
  RUN_NOT_FOUND: MISSING,
  RUN_IN_FLIGHT: CONFLICT,
  RUN_FINISHED: CONFLICT,
  THREAD_NOT_INTERRUPTED: CONFLICT,
  INTERRUPT_NOT_FOUND: MISSING,
  CRON_NOT_FOUND: MISSING,
  CHECKPOINT_NOT_FOUND: MISSING,
  NAMESPACE_NOT_FOUND: MISSING,
  ITEM_INVALID: INVALID,
  EMBEDDING_FAILED: FAULT,
  STATE_UPDATE_REJECTED: INVALID,
  STATE_TOO_LARGE: [413, "PAYLOAD_TOO_LARGE"],
  LEASE_LOST: FAULT,
  EVENTS_GONE: MISSING,
  PAYLOAD_TOO_LARGE: [413, "PAYLOAD_TOO_LARGE"],
  URI_TOO_LONG: [414, "VALIDATION_ERROR"],
  HEADERS_TOO_LARGE: [431, "VALIDATION_ERROR"],
  RATE_LIMITED: LIMITED,
  LIMIT_REACHED: LIMITED,
  SHUTTING_DOWN: AWAY,
  CONFIG_INVALID: FAULT,
  STORAGE_UNAVAILABLE: AWAY,
  DECRYPTION_FAILED: FAULT,
  SCHEME_UNKNOWN: FAULT,
  DEPENDENCY_MISSING: FAULT,
  INTERNAL: FAULT,
};

/** `{"error":{"code","message"}}`, with siblings of `error` that some have. */
export function envelope(code: WireCode, message: string, siblings: JsonObject = {}): JsonText {
  return toJsonText({ error: { code, message }, ...siblings });
}

/** Any failure in SnapState's envelope. Server faults are told by the request's id, never by their own text. */
export function refuse(error: unknown, { request, requestId, kind }: RefusedRequest): Refusal {
  if (kind !== "error") {
    const { pathname } = new URL(request.url);
    const route = `Route ${request.method} ${pathname}`;
    if (kind === "no-route") return { status: 404, body: envelope("NOT_FOUND", `${route} not found`) };
    return { status: 405, body: envelope("METHOD_NOT_ALLOWED", `${route}: this method is not allowed`) };
  }
  if (!isHeddleError(error)) return { status: 500, body: fault("INTERNAL", "INTERNAL_ERROR", requestId) };
  if (isAuthRefusal(error)) {
    const [, code] = TABLE[error.code];
    return { status: error.status, body: envelope(code, error.message), headers: error.headers };
  }
  const [status, code] = TABLE[error.code];
  if (status >= 500 && status !== 501) return { status, body: fault(error.code, code, requestId) };
  return { status, body: envelope(wireCodeOf(error.details) ?? code, error.message) };
}

/** What a HeddleError of this protocol's own is told as, where the table is not exact enough. */
export function wireCode(code: WireCode): { readonly snapstateCode: WireCode } {
  return { snapstateCode: code };
}

function wireCodeOf(details: Readonly<Record<string, unknown>> | undefined): WireCode | undefined {
  return (details as Partial<ReturnType<typeof wireCode>> | undefined)?.snapstateCode;
}

function fault(code: ErrorCode, wire: WireCode, requestId: string): JsonText {
  return envelope(wire, `${ERROR_MESSAGES[code]} (request ${requestId})`);
}

const checkpointAndEtag = z.object({ checkpoint_id: z.string(), etag: z.string() });

/** The envelope, for the OpenAPI document. */
export const errorSchema = z
  .object({
    error: z.object({ code: z.string(), message: z.string() }),
    existing: checkpointAndEtag.optional().meta({ description: "Of a 409: what is there under this step" }),
  })
  .meta({ id: "SnapStateError" });
