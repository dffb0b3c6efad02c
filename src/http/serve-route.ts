import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import { ANONYMOUS } from "../core/auth.js";
import { encodeError, encodeUnexpected } from "../wire/errors.js";
import { Exchange } from "./exchange.js";
import type { HttpDeps } from "./http-deps.js";
import type { Cors } from "./middleware/cors.js";
import type { Route } from "./route.js";
import { isUpgrade, refuseUpgrade, upgrade } from "./upgrade.js";

const NO_HEADERS: Readonly<Record<string, string>> = {};
/** What a client may call its request: nothing that could break a log line. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

/**
 * A route as one Hono handler: request id, access log, CORS, lazy start, authentication, the handler itself, errors. One
 * function and no middleware chain: Hono calls a single handler directly, and an app that this one is mounted in keeps
 * its other routes untouched.
 */
export function serveRoute(route: Route, deps: HttpDeps, cors: Cors | null) {
  const { logger } = deps;
  return async (context: Context): Promise<Response> => {
    const startedAtMs = performance.now();
    const request = context.req.raw;
    const given = request.headers.get("x-request-id");
    const requestId = given !== null && REQUEST_ID.test(given) ? given : randomUUID();
    const headers = {
      ...(cors?.answerHeaders(request.headers.get("origin") ?? undefined) ?? NO_HEADERS),
      "x-request-id": requestId,
    };
    const wantsSocket = route.upgrades === true && isUpgrade(request);
    let response: Response;
    try {
      await deps.onRequest();
      if (route.createsRun === true && deps.isDraining()) throw new HeddleError("SHUTTING_DOWN");
      const caller = route.isPublic === true ? ANONYMOUS : await deps.authenticate(request);
      const params = context.req.param() as Readonly<Record<string, string>>;
      const { maxBodyBytes } = deps.settings;
      if (wantsSocket) refuseOtherOrigin(request, cors);
      const init = { request, requestId, caller, params, headers, maxBodyBytes };
      const exchange = new Exchange({
        ...init,
        ...(wantsSocket && { upgrade: (handler) => upgrade(context, handler) }),
      });
      response = await route.handle(exchange, deps);
    } catch (error) {
      response = errorResponse(error, { request, requestId, headers, logger });
      if (wantsSocket) response = (await refuseUpgrade(context, response.status, await reasonOf(response))) ?? response;
    }
    // No query and no payload: both may hold secrets.
    logger.info(
      {
        requestId,
        method: request.method,
        path: context.req.path,
        status: response.status,
        durationMs: Math.round((performance.now() - startedAtMs) * 10) / 10,
      },
      "request",
    );
    return response;
  };
}

/** Browsers ask no preflight before a WebSocket: the rules of CORS are kept here. */
function refuseOtherOrigin(request: Request, cors: Cors | null): void {
  const origin = request.headers.get("origin");
  if (origin === null || cors?.allows(origin) === true) return;
  if (URL.canParse(origin) && new URL(origin).host === request.headers.get("host")) return;
  throw new HeddleError("FORBIDDEN", { message: `Pages of ${origin} may not connect` });
}

/** The error's text, as a close frame carries it. */
async function reasonOf(response: Response): Promise<string> {
  const { detail } = (await response.clone().json()) as { readonly detail?: string };
  return detail ?? "";
}

/** The answer to a request that nobody will read: nginx's name for it. */
const CLIENT_CLOSED_REQUEST = 499;

function errorResponse(
  error: unknown,
  at: {
    readonly request: Request;
    readonly requestId: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly logger: Logger;
  },
): Response {
  const { requestId, logger } = at;
  if (at.request.signal.aborted && !isHeddleError(error)) {
    return new Response(null, { status: CLIENT_CLOSED_REQUEST, headers: at.headers });
  }
  const known = isHeddleError(error) ? error : tooDeep(error);
  const reply = known === null ? encodeUnexpected(requestId) : encodeError(known, requestId);
  if (reply.status >= 500 && known?.code !== "SHUTTING_DOWN") {
    logger.error({ requestId, err: error, ...(known === null ? {} : { code: known.code }) }, "request failed");
  }
  const headers = {
    ...at.headers,
    "content-type": "application/json",
    ...(reply.status === 503 ? { "retry-after": "5" } : {}),
  };
  return new Response(reply.body, { status: reply.status, headers });
}

/** JSON that is nested deeper than the stack breaks whoever walks it; V8 says so with a `RangeError`. */
function tooDeep(error: unknown): HeddleError | null {
  return error instanceof RangeError && error.message.includes("call stack")
    ? new HeddleError("INVALID_REQUEST", { message: "The request body is nested too deeply.", cause: error })
    : null;
}
