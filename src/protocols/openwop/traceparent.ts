import { randomBytes } from "node:crypto";

/** W3C Trace Context, version 00 (https://www.w3.org/TR/trace-context/ §3.2); later versions may have more fields behind. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?$/;

/**
 * The `traceparent` of an answer: of the request's trace when it has a valid one, else of a new one that nobody samples. The span is
 * new: it is the server's own.
 */
function traceparentOf(request: Request): string {
  const given = TRACEPARENT.exec(request.headers.get("traceparent")?.trim() ?? "");
  const [, version, traceId, flags = "00", more] = given ?? [];
  const span = randomBytes(8).toString("hex");
  const isValid = traceId !== undefined && (version !== "00" || more === undefined);
  return isValid ? `00-${traceId}-${span}-${flags}` : `00-${randomBytes(16).toString("hex")}-${span}-00`;
}

/** Of every answer, refusals included; `tracestate` goes back as it came. */
export function headersFor(request: Request): Readonly<Record<string, string>> {
  const state = request.headers.get("tracestate");
  return { traceparent: traceparentOf(request), ...(state === null ? {} : { tracestate: state }) };
}
