import { isHeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import { encodeError, encodeUnexpected, type ErrorReply } from "../wire/errors.js";

/** The answer to a request that nobody will read: nginx's name for it. */
const CLIENT_CLOSED_REQUEST = 499;

/** An error in the words of an API. */
export type EncodeError = (error: unknown, at: { readonly request: Request; readonly requestId: string }) => ErrorReply;

/** In those of the LangGraph API. */
const inDetail: EncodeError = (error, { requestId }) =>
  isHeddleError(error) ? encodeError(error, requestId) : encodeUnexpected(requestId);

/** What a request that failed is answered with; faults of the server are logged under its id. */
export function errorResponse(
  error: unknown,
  at: {
    readonly request: Request;
    readonly requestId: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly logger: Logger;
    readonly encode?: EncodeError;
  },
): Response {
  const { requestId, logger } = at;
  if (at.request.signal.aborted && !isHeddleError(error)) {
    return new Response(null, { status: CLIENT_CLOSED_REQUEST, headers: at.headers });
  }
  const known = isHeddleError(error) ? error : null;
  const reply = (at.encode ?? inDetail)(error, at);
  if (reply.status >= 500 && known?.code !== "SHUTTING_DOWN" && known?.code !== "NOT_SUPPORTED") {
    logger.error({ requestId, err: error, ...(known === null ? {} : { code: known.code }) }, "request failed");
  }
  const retryAfterSeconds = reply.status === 503 ? 5 : retryAfter(known?.details);
  const headers = {
    ...(retryAfterSeconds === null ? {} : { "retry-after": String(retryAfterSeconds) }),
    ...reply.headers,
    ...at.headers,
    "content-type": "application/json",
  };
  return new Response(reply.body, { status: reply.status, headers });
}

/** Whole seconds, at least one: a limit says after how long it is worth trying again. */
function retryAfter(details: Readonly<Record<string, unknown>> | undefined): number | null {
  const ms = details?.["retryAfterMs"];
  return typeof ms === "number" ? Math.max(1, Math.ceil(ms / 1000)) : null;
}
