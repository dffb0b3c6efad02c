import { z } from "zod";
import type { ErrorCode } from "../../core/errors.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import { toJsonText } from "../../core/json.js";
import { encodeError, encodeUnexpected } from "../../wire/errors.js";
import type { ProtocolFace, Refusal } from "../protocol.js";

const DETAIL = "currentVersion";

/** A compare-and-set that met another version. Only this folder's table knows it as one. */
export function versionConflict(expected: number, current: number): HeddleError {
  const found = current === 0 ? "there is no value" : `it is ${current}`;
  return new HeddleError("INVALID_REQUEST", {
    message: `Version conflict: expected version ${expected}, ${found}`,
    details: { [DETAIL]: current },
  });
}

/** @param field of the body or path */
export function invalid(field: string, problem: string): HeddleError {
  return new HeddleError("INVALID_REQUEST", { message: `${field}: ${problem}`, details: { field } });
}

/** Codes by status, where the error's own code says no more to a client. */
const CODES: Readonly<Partial<Record<number, string>>> = {
  400: "INVALID_REQUEST",
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  409: "VERSION_CONFLICT",
  413: "PAYLOAD_TOO_LARGE",
  414: "URI_TOO_LONG",
  429: "RATE_LIMITED",
  431: "HEADERS_TOO_LARGE",
  503: "UNAVAILABLE",
};

/** What the LangGraph API answers with 422 is 400 here (docs/wire/state-store.md §4.1). */
const INVALID: ReadonlySet<ErrorCode> = new Set(["INVALID_REQUEST", "ITEM_INVALID", "UNSUPPORTED_OPTION"]);

const code = z.string().meta({ description: "What went wrong, e.g. NOT_FOUND or VERSION_CONFLICT" });
export const errorSchema = z
  .object({
    error: z.object({
      code,
      message: z.string(),
      currentVersion: z.int().optional().meta({ description: "Of VERSION_CONFLICT: 0 when there is no value" }),
    }),
    code,
    message: z.string(),
  })
  .meta({ id: "StateStoreError" });

/** Every failure in the envelope that satisfies both readings of the documentation: inside `error`, and at the top. */
export const refuse: ProtocolFace["refuse"] = (error, { requestId, kind }): Refusal => {
  if (kind === "wrong-method") return refusal(405, "Method not allowed");
  if (kind === "no-route") return refusal(404, "There is nothing at this path");
  if (!isHeddleError(error)) return refusal(500, detailOf(encodeUnexpected(requestId).body));
  const current = error.details?.[DETAIL];
  if (typeof current === "number") return refusal(409, error.message, { currentVersion: current });
  const reply = encodeError(error, requestId);
  const status = INVALID.has(error.code) && reply.status === 422 ? 400 : reply.status;
  const refused = refusal(status, detailOf(reply.body));
  return reply.headers === undefined ? refused : { ...refused, headers: reply.headers };
};

function refusal(status: number, message: string, more: { readonly currentVersion?: number } = {}): Refusal {
  const name = CODES[status] ?? (status < 500 ? "INVALID_REQUEST" : "INTERNAL");
  return { status, body: toJsonText({ error: { code: name, message, ...more }, code: name, message }) };
}

function detailOf(body: string): string {
  return (JSON.parse(body) as { readonly detail: string }).detail;
}
