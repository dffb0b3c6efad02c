import type { Refusal, RefusedRequest } from "../../../http/mounts/protocol-face.js";
import { refuse } from "../errors.js";
import { headersFor } from "../traceparent.js";
import { refuse2 } from "./refuse.js";
import { VERSION, VERSION_HEADER } from "./version.js";

/** Whether a request is of the second major: all is but what lies below `/v1`, and discovery where it says no version. */
function isSecond(request: Request): boolean {
  const { pathname } = new URL(request.url);
  if (/\/v1(?:[/:]|$)/.test(pathname)) return false;
  return request.headers.has(VERSION_HEADER) || !pathname.endsWith("/.well-known/openwop");
}

/** Envelopes of both majors. @see ProtocolFace.refuse */
export function refuseEither(error: unknown, at: RefusedRequest): Refusal {
  return isSecond(at.request) ? refuse2(error, at) : refuse(error, at);
}

/** Headers of the answers of both majors. @see ProtocolFace.headersFor */
export function headersForEither(request: Request): Readonly<Record<string, string>> {
  return { ...headersFor(request), ...(isSecond(request) && { [VERSION_HEADER]: VERSION }) };
}
