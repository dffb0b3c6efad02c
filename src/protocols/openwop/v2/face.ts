import type { Refusal, RefusedRequest } from "../../../http/mounts/protocol-face.js";
import { refuse } from "../errors.js";
import { headersFor } from "../traceparent.js";
import { refuse2 } from "./refuse.js";
import { VERSION, VERSION_HEADER } from "./version.js";

/** What the first major serves. */
const FIRST = /\/v1\/(?:runs|interrupts|workflows|webhooks|openapi\.json)(?:[/:]|$)/;

/**
 * Whether a request is of the second major, whose clients say so in a header. An app around may have a `/v1` of its own in its path;
 * without the header, whatever lies below a `/v1` counts as of the first, and so does discovery.
 */
function isSecond(request: Request): boolean {
  const { pathname } = new URL(request.url);
  if (request.headers.has(VERSION_HEADER)) return !FIRST.test(pathname);
  return !/\/v1(?:[/:]|$)/.test(pathname) && !pathname.endsWith("/.well-known/openwop");
}

/** Envelopes of both majors. @see ProtocolFace.refuse */
export function refuseEither(error: unknown, at: RefusedRequest): Refusal {
  return isSecond(at.request) ? refuse2(error, at) : refuse(error, at);
}

/** Headers of the answers of both majors. @see ProtocolFace.headersFor */
export function headersForEither(request: Request): Readonly<Record<string, string>> {
  return { ...headersFor(request), ...(isSecond(request) && { [VERSION_HEADER]: VERSION }) };
}
