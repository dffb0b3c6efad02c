import type { Context, MiddlewareHandler, Next } from "hono";
import { Hono } from "hono";
import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import { errorResponse } from "./error-response.js";
import type { HttpDeps } from "./http-deps.js";
import type { Cors } from "./middleware/cors.js";
import { checkHead } from "./request-head.js";
import { requestIdOf } from "./request-id.js";
import { logRequest } from "./request-log.js";
import { isUpgrade, refuseUpgrade } from "./upgrade.js";

/** Routes and middleware of the deployer's own (docs/wire/langgraph-api.md §5.1 `http.app`, §5.7). */
export interface CustomApp {
  /** Of whichever copy of Hono. */
  readonly app: Hono;
  readonly middlewareOrder: "auth_first" | "middleware_first";
  /** Whether callers of its routes are authenticated. */
  readonly isAuthenticated: boolean;
}

/** What knows our routes. */
export interface OwnRoutes {
  /** Whether one of them is served to whoever asks (`null`: none of them at all). */
  isPublic(method: string, path: string): boolean | null;
}

type Entry = Hono["routes"][number];
type Kind = "everywhere" | "middleware" | "route";

/** What registers middleware has the method of all, and takes the next handler. */
function kindOf({ method, path, handler }: Entry): Kind {
  if (method !== "ALL" || handler.length < 2) return "route";
  return path === "*" || path === "/*" ? "everywhere" : "middleware";
}

/**
 * Add a custom app's routes and middleware, to be called before ours are added: its routes win over ours, and its middleware is around
 * them. With `isAuthenticated` callers are authenticated right before its routes, and before middleware of a path of its own, such as
 * what `mount` adds; middleware for every path stands before it.
 * @param to with the base path
 * @param options.remember called with who was found to ask, so that nobody is asked twice
 */
export function addCustomApp(
  to: Hono,
  { app, middlewareOrder, isAuthenticated }: CustomApp,
  options: {
    readonly deps: HttpDeps;
    readonly cors: Cors | null;
    readonly own: OwnRoutes;
    readonly remember: (request: Request, caller: Caller) => void;
  },
): void {
  const { cors, own } = options;
  const gate = new CustomGate(options, isAuthenticated);
  const paths = new Set<string>();
  const routes = app.routes.filter((entry) => kindOf(entry) === "route");
  const isRoute = matcherOf(to, routes);
  if (middlewareOrder === "auth_first") {
    const isCustom = matcherOf(
      to,
      app.routes.filter((entry) => kindOf(entry) !== "everywhere"),
    );
    to.use("*", (context: Context, next) => {
      const { method, path } = context.req;
      // Middleware of a path is around our routes, and does not make them its own.
      const isAsked = isAuthenticated
        ? own.isPublic(method, path) === false || isCustom(method, path)
        : own.isPublic(method, path) === false && !isRoute(method, path);
      return isAsked ? gate.authenticate(context, next) : next();
    });
  }
  for (const entry of app.routes) {
    const kind = kindOf(entry);
    const { method, path, handler } = entry;
    if (kind === "route") {
      paths.add(path);
      to.on(method, path, (context, next) => gate.serve(context, next, `${method} ${path}`));
    } else if (kind === "middleware" && isAuthenticated) {
      to.on(method, path, (context, next) => {
        const asked = context.req;
        // Nothing tells a mounted app from middleware: where a route follows, that one is counted.
        const isFollowed = isRoute(asked.method, asked.path) || own.isPublic(asked.method, asked.path) !== null;
        return isFollowed ? gate.authenticate(context, next) : gate.serve(context, next, `${method} ${path}`);
      });
    }
    to.on(method, path, handler as MiddlewareHandler);
  }
  if (cors === null) return;
  for (const path of paths) {
    to.on("OPTIONS", path, (context) =>
      cors.preflight(context.req.header("origin"), context.req.header("access-control-request-headers")),
    );
  }
}

/** Answers what the app's code throws: as it says itself, or like every other fault of the server. */
export function customErrorHandler({ app }: CustomApp, { logger }: Pick<HttpDeps, "logger">) {
  type ErrorHandler = (error: Error, context: Context) => Response | Promise<Response>;
  const own = (app as unknown as { readonly errorHandler: ErrorHandler }).errorHandler;
  const isOwn = own !== defaultErrorHandler(app);
  return (error: Error, context: Context): Response | Promise<Response> => {
    if (isOwn) return own(error, context);
    // An HTTPException of Hono, of whichever copy.
    if ("getResponse" in error && typeof error.getResponse === "function") {
      return (error.getResponse as () => Response)();
    }
    return errorResponse(error, {
      request: context.req.raw,
      requestId: requestIdOf(context.req.raw),
      headers: {},
      logger,
    });
  };
}

/** That of the app's copy of Hono. */
function defaultErrorHandler(app: Hono): unknown {
  try {
    const fresh = new (app.constructor as new () => Hono)();
    return (fresh as unknown as { readonly errorHandler: unknown }).errorHandler;
  } catch {
    return undefined;
  }
}

/** Whether one of some routes would answer. Apart from the app, whose middleware for every path answers nothing by itself. */
function matcherOf(to: Hono, entries: readonly Entry[]): (method: string, path: string) => boolean {
  const probe = new Hono();
  const based = probe.basePath(basePathOf(to));
  for (const { method, path } of entries) based.on(method, path, () => new Response());
  return (method, path) => probe.router.match(method === "HEAD" ? "GET" : method, path)[0].length > 0;
}

function basePathOf(app: Hono): string {
  return (app as unknown as { readonly _basePath: string })._basePath;
}

/** What stands before a custom route: authentication, limits and audit, and after it: CORS, the log line. */
class CustomGate {
  readonly #options: Parameters<typeof addCustomApp>[2];
  readonly #isAuthenticated: boolean;
  /** Requests that have passed it. Several routes and middlewares may match one. */
  readonly #passed = new WeakSet<Request>();
  readonly #authenticated = new WeakSet<Request>();

  constructor(options: Parameters<typeof addCustomApp>[2], isAuthenticated: boolean) {
    this.#options = options;
    this.#isAuthenticated = isAuthenticated;
  }

  /** Find out who asks, and go on. */
  async authenticate(context: Context, next: Next): Promise<Response | void> {
    const { deps } = this.#options;
    const request = context.req.raw;
    if (this.#authenticated.has(request)) return next();
    const startedAtMs = performance.now();
    const requestId = requestIdOf(request);
    try {
      checkHead(request, deps.settings);
      const authenticate = () => deps.authenticate(request);
      const at = { requestId, route: `${context.req.method} (custom)` };
      this.#known(
        context,
        await (deps.guard === null ? authenticate() : deps.guard.authenticate(context, at, authenticate)),
      );
    } catch (error) {
      const refusal = this.#refused(context, error, requestId);
      logRequest(deps, context, { requestId, status: refusal.status, startedAtMs });
      return isUpgrade(request) ? refuseUpgrade(context, refusal) : refusal;
    }
    return next();
  }

  async serve(context: Context, next: Next, route: string): Promise<Response | void> {
    const request = context.req.raw;
    if (this.#passed.has(request)) return next();
    this.#passed.add(request);
    const { deps } = this.#options;
    const startedAtMs = performance.now();
    const requestId = requestIdOf(context.req.raw);
    const refusal = await this.#enter(context, route, requestId, next);
    const response = refusal ?? context.res;
    if (refusal === null) this.#addHeaders(context, requestId);
    logRequest(deps, context, { requestId, status: response.status, startedAtMs });
    return refusal ?? undefined;
  }

  /** @returns what it was refused with; `null`: the route has answered */
  async #enter(context: Context, route: string, requestId: string, next: Next): Promise<Response | null> {
    const { deps } = this.#options;
    const { guard } = deps;
    const request = context.req.raw;
    let guarded: Awaited<ReturnType<NonNullable<typeof guard>["enter"]>> | null = null;
    try {
      checkHead(request, deps.settings);
      await deps.onRequest();
      if (!this.#isAuthenticated) {
        await next();
        return null;
      }
      const authenticate = () => deps.authenticate(request);
      if (guard === null) this.#known(context, await authenticate());
      else {
        const asked = { requestId, route, isPublic: false, holdsStream: false, isSocket: false, authenticate };
        guarded = await guard.enter(context, asked);
        this.#known(context, guarded.caller);
      }
    } catch (error) {
      return this.#refused(context, error, requestId);
    }
    await (guarded === null ? next() : guarded.run(next));
    if (guarded === null) return null;
    try {
      await guarded.answered(
        context.res,
        context.res.status < 400 ? null : codeOfStatus(context.res.status),
        request.signal,
      );
      return null;
    } catch (error) {
      return this.#refused(context, error, requestId);
    }
  }

  /** As the JavaScript server has it for custom routes. */
  #known(context: Context, caller: Caller): void {
    const request = context.req.raw;
    this.#authenticated.add(request);
    this.#options.remember(request, caller);
    context.set("auth", { user: caller.user, scopes: caller.permissions });
  }

  #refused(context: Context, error: unknown, requestId: string): Response {
    const request = context.req.raw;
    const { cors, deps } = this.#options;
    const headers = {
      ...cors?.answerHeaders(request.headers.get("origin") ?? undefined),
      "x-request-id": requestId,
    };
    return errorResponse(error, { request, requestId, headers, logger: deps.logger });
  }

  #addHeaders(context: Context, requestId: string): void {
    const { cors } = this.#options;
    const { headers } = context.res;
    if (!headers.has("x-request-id")) context.header("x-request-id", requestId);
    if (cors === null || headers.has("access-control-allow-origin")) return;
    const given = cors.answerHeaders(context.req.header("origin"));
    for (const [name, value] of Object.entries(given)) context.header(name, value, { append: name === "vary" });
  }
}

/** The nearest code, for the audit log: custom routes answer as they like. */
function codeOfStatus(status: number) {
  if (status === 401) return "UNAUTHENTICATED";
  if (status === 403) return "FORBIDDEN";
  if (status === 404) return "NOT_FOUND";
  return status < 500 ? "INVALID_REQUEST" : "INTERNAL";
}

/** @throws HeddleError `CONFIG_INVALID` for what is no Hono app */
export function asCustomApp(value: unknown, name: string): Hono {
  const app = value as Partial<Hono> | null | undefined;
  if (typeof app?.fetch === "function" && typeof app.use === "function" && Array.isArray(app.routes)) {
    return app as Hono;
  }
  throw new HeddleError("CONFIG_INVALID", {
    message: `http.app: ${name} is no Hono app. Export \`new Hono()\` of the package hono, version 4.`,
  });
}
