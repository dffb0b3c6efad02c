import type { Context } from "hono";
import type { HttpDeps } from "./http-deps.js";

/**
 * The line of a request that was answered. No query and no payload: both may hold secrets.
 * @param at.startedAtMs by `performance.now()`
 */
export function logRequest(
  { logger, settings }: Pick<HttpDeps, "logger" | "settings">,
  context: Context,
  at: {
    readonly requestId: string;
    readonly status: number;
    readonly startedAtMs: number;
    /** Default: the request's. */
    readonly path?: string;
  },
): void {
  const { loggingHeaders = null } = settings;
  const request = context.req.raw;
  logger.info(
    {
      requestId: at.requestId,
      method: request.method,
      path: at.path ?? context.req.path,
      status: at.status,
      durationMs: Math.round((performance.now() - at.startedAtMs) * 10) / 10,
      ...(loggingHeaders !== null && { headers: loggingHeaders(request.headers) }),
    },
    "request",
  );
}
