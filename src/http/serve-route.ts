import type { Context } from "hono";
import { HeddleError } from "../core/errors.js";
import { ANONYMOUS } from "../core/auth.js";
import { refuseOtherOrigin } from "./cross-origin.js";
import { type EncodeError, errorResponse } from "./error-response.js";
import { Exchange } from "./exchange.js";
import type { HttpDeps } from "./http-deps.js";
import type { Cors } from "./middleware/cors.js";
import type { GuardedRequest } from "./request-guard.js";
import { codeOf } from "./request-guard.js";
import { checkHead } from "./request-head.js";
import { requestIdOf } from "./request-id.js";
import { logRequest } from "./request-log.js";
import type { Route } from "./route.js";
import type { SocketHandler } from "./upgrade.js";
import { isUpgrade, refuseUpgrade, socketOf, upgrade } from "./upgrade.js";

const NO_HEADERS: Readonly<Record<string, string>> = {};

/**
 * A route as one Hono handler: request id, access log, CORS, lazy start, authentication, the handler itself, errors. One
 * function and no middleware chain: Hono calls a single handler directly, and an app that this one is mounted in keeps
 * its other routes untouched.
 */
export function serveRoute(route: Route, deps: HttpDeps, cors: Cors | null) {
  const serve = routeServer(route, deps, { cors });
  return (context: Context): Promise<Response> => serve(context, { params: context.req.param(), mountPath: "" });
}

/** What differs between APIs. */
export interface ServedAs {
  readonly cors: Cors | null;
  /** Before the route's path, in the audit log. */
  readonly prefix?: string;
  /** Default: as the LangGraph API says them. */
  readonly encodeError?: EncodeError;
  /** Headers of every answer. */
  readonly headersFor?: (request: Request, requestId: string) => Readonly<Record<string, string>>;
}

/** A route's parameters, and the path that it is mounted under. */
export interface AskedRoute {
  readonly params: Readonly<Record<string, string>>;
  readonly mountPath: string;
}

/** As {@link serveRoute}, for whichever API, behind whichever router. */
export function routeServer(
  route: Omit<Route, "group">,
  deps: HttpDeps,
  { cors, prefix = "", encodeError, headersFor }: ServedAs,
): (context: Context, asked: AskedRoute) => Promise<Response> {
  const { logger, settings, guard } = deps;
  const isPublic = route.isPublic === true;
  const guardedRoute = {
    route: `${route.method.toUpperCase()} ${prefix}${route.path}`,
    isPublic,
  };
  const { holds = false } = route;
  const isStream = route.answer.content === "event-stream" || route.upgrades === true;
  return async (context, { params, mountPath }) => {
    const startedAtMs = performance.now();
    const request = context.req.raw;
    const requestId = requestIdOf(request);
    const headers = {
      ...(cors?.answerHeaders(request.headers.get("origin") ?? undefined) ?? NO_HEADERS),
      "x-request-id": requestId,
      ...headersFor?.(request, requestId),
    };
    const wantsSocket = route.upgrades === true && isUpgrade(request);
    let response: Response;
    let guarded: GuardedRequest | null = null;
    try {
      checkHead(request, settings);
      await deps.onRequest();
      if (route.createsRun === true && deps.isDraining()) throw new HeddleError("SHUTTING_DOWN");
      const authenticate = () => (isPublic ? ANONYMOUS : deps.authenticate(request));
      const holdsStream = isStream || (typeof holds === "boolean" ? holds : holds(request));
      guarded =
        guard === null
          ? null
          : await guard.enter(context, {
              requestId,
              ...guardedRoute,
              holdsStream,
              isSocket: wantsSocket,
              authenticate,
            });
      const caller = guarded === null ? await authenticate() : guarded.caller;
      const connection = isStream ? socketOf(context) : undefined;
      refuseOtherOrigin(request, { cors, isSocket: wantsSocket, caller });
      const exchange = new Exchange({
        request,
        requestId,
        caller,
        params,
        headers,
        limits: settings,
        mountPath,
        guarded,
        ...(connection !== undefined && { disconnect: () => void connection.destroy() }),
        ...(wantsSocket && { upgrade: (handler) => upgrade(context, releasing(handler, guarded)) }),
      });
      response = await (guarded === null
        ? route.handle(exchange, deps)
        : guarded.run(() => route.handle(exchange, deps)));
      if (guarded !== null) response = await guarded.answered(response, null, request.signal);
    } catch (error) {
      response = errorResponse(error, {
        request,
        requestId,
        headers,
        logger,
        ...(encodeError !== undefined && { encode: encodeError }),
      });
      await guarded?.answered(response, codeOf(error), request.signal).catch(() => {});
      if (wantsSocket) response = await refuseUpgrade(context, response);
    }
    const path = route.hidesParams === true ? { path: mountPath + route.path } : {};
    logRequest(deps, context, { requestId, status: response.status, startedAtMs, ...path });
    return response;
  };
}

/** The streams of a WebSocket are given back when it closes. */
function releasing(handler: SocketHandler, guarded: GuardedRequest | null): SocketHandler {
  if (guarded === null) return handler;
  return {
    onOpen: (socket) => handler.onOpen(socket),
    onMessage: (text) => handler.onMessage(text),
    onPong: () => handler.onPong(),
    onClose() {
      guarded.permits.closeAll();
      handler.onClose();
    },
  };
}
