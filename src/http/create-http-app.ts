import { Hono } from "hono";
import type { Caller } from "../core/auth.js";
import type { JsonText } from "../core/json.js";
import { addCustomApp, customErrorHandler, type OwnRoutes } from "./custom-app.js";
import { docsAsset, docsPage } from "./docs-page.js";
import type { HttpDeps } from "./http-deps.js";
import type { Cors } from "./middleware/cors.js";
import { createMounts, WORKER_ONLY } from "./mounts/add-mounts.js";
import type { Mounts } from "./mounts/add-mounts.js";
import { createCors } from "./middleware/cors.js";
import { openApiDocument } from "./openapi.js";
import type { Route } from "./route.js";
import { ROUTES } from "./routes/index.js";
import { serveRoute } from "./serve-route.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** `/threads/{thread_id}` → `/threads/:thread_id`. */
const honoPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ":$1");

/**
 * The REST API as a Hono app (docs/wire/langgraph-api.md parts 1 and 2). Adds routes only, no wildcard and no middleware but those of
 * a custom app, so that it can be mounted in another app at any path, also at `/`, without touching that app's other routes.
 */
export function createHttpApp(given: HttpDeps): Hono {
  const { settings } = given;
  const cors = settings.cors === null ? null : createCors(settings.cors);
  const routes = settings.workerOnly === true ? STATUS_ROUTES : servedRoutes(given);
  const app = new Hono();
  const mounted = settings.basePath === "" ? app : app.basePath(settings.basePath);
  const { customApp = null } = given;
  /** Who was found to ask before a route was reached. */
  const known = new WeakMap<Request, Caller>();
  const deps: HttpDeps =
    customApp === null
      ? given
      : { ...given, authenticate: (request) => known.get(request) ?? given.authenticate(request) };
  const mounts = createMounts(deps.mounts ?? [], deps);
  if (customApp !== null) {
    addCustomApp(mounted, customApp, {
      deps,
      cors,
      own: publicity(routes, mounts, settings.basePath),
      remember: (request, caller) => void known.set(request, caller),
    });
    app.onError(customErrorHandler(customApp, deps));
  }

  for (const route of routes) {
    mounted.on(route.method.toUpperCase(), honoPath(route.path), serveRoute(route, deps, cors));
  }
  for (const [path, methods] of methodsByPath(routes)) {
    if (cors !== null) {
      mounted.on("OPTIONS", honoPath(path), (context) =>
        cors.preflight(context.req.header("origin"), context.req.header("access-control-request-headers")),
      );
    }
    // Below a parameter an unknown method is an unknown route: `POST /threads/prune` must stay a 404.
    if (path.includes("{")) continue;
    const allow = methods.join(", ");
    const others = METHODS.filter((method) => !methods.includes(method));
    mounted.on(others, path, (context) => plainError(405, "Method Not Allowed", cors, context.req.raw, { allow }));
  }
  if (settings.workerOnly === true) {
    // 503 and not 404, which would tell clients that their thread is gone: behind a balancer they may try again.
    for (const route of allRoutes(deps).filter((other) => !STATUS_ROUTES.includes(other))) {
      mounted.on(route.method.toUpperCase(), honoPath(route.path), (context) =>
        plainError(503, WORKER_ONLY, cors, context.req.raw, { "retry-after": "5" }),
      );
    }
  }
  mounts.addTo(mounted);
  app.notFound((context) => plainError(404, "Not Found", cors, context.req.raw));
  return app;
}

/** Paths that the LangGraph API has, below the base path, whether or not they are switched off. */
export const apiPaths = (protocolRoutes: readonly Route[]): readonly string[] => [
  "/openapi.json",
  "/docs",
  "/docs/{file}",
  ...[...ROUTES, ...protocolRoutes].map(({ path }) => path),
];

const allRoutes = ({ protocolRoutes = [] }: HttpDeps): readonly Route[] => [...ROUTES, ...protocolRoutes];

/** What also a process without an API answers. */
const STATUS_ROUTES = ROUTES.filter((route) => route.group === "meta" && route.isPublic === true);

/** The routes of this configuration, documents included. */
function servedRoutes(deps: HttpDeps): readonly Route[] {
  const { disabled } = deps.settings;
  const api = allRoutes(deps).filter((route) => route.isLasting === true || !disabled[route.group]);
  if (disabled.meta) return api;
  let document: JsonText | null = null;
  const documents: readonly Route[] = [
    {
      ...DOCUMENT,
      path: "/openapi.json",
      summary: "This document",
      answer: { status: 200, description: "OpenAPI 3.1" },
      handle: (exchange) =>
        exchange.json(
          (document ??= openApiDocument(
            [...api, ...documents],
            deps.info.version,
            deps.authDocument ?? null,
            deps.mounts,
          )),
        ),
    },
    {
      ...DOCUMENT,
      path: "/docs",
      summary: "API reference, works offline",
      answer: { status: 200, description: "A page", content: "html" },
      handle: docsPage,
    },
    {
      ...DOCUMENT,
      path: "/docs/{file}",
      summary: "Files of the API reference",
      answer: { status: 200, description: "A file", content: "html" },
      errors: [404],
      handle: (exchange) => docsAsset(exchange.param("file")),
    },
  ];
  return [...documents, ...api];
}

/** Which of our routes are served to whoever asks. */
function publicity(routes: readonly Route[], mounts: Mounts, basePath: string): OwnRoutes {
  const probe = new Hono<{ Variables: { isPublic: boolean } }>();
  const mounted = basePath === "" ? probe : probe.basePath(basePath);
  const open = () => new Response();
  for (const route of routes) {
    mounted.on(route.method.toUpperCase(), honoPath(route.path), route.isPublic === true ? open : () => new Response());
  }
  return {
    isPublic(method, path) {
      const [first] = probe.router.match(method === "HEAD" ? "GET" : method, path)[0];
      if (first !== undefined) return (first[0] as unknown as readonly unknown[])[0] === open;
      return path.startsWith(`${basePath}/`) ? mounts.isPublic(method, path.slice(basePath.length)) : null;
    },
  };
}

const DOCUMENT = { method: "get", group: "meta", isPublic: true } as const;

function methodsByPath(routes: readonly Route[]): ReadonlyMap<string, readonly string[]> {
  const byPath = new Map<string, string[]>();
  for (const route of routes) {
    const methods = byPath.get(route.path) ?? [];
    methods.push(route.method.toUpperCase());
    byPath.set(route.path, methods);
  }
  return byPath;
}

function plainError(
  status: number,
  detail: string,
  cors: Cors | null,
  request: Request,
  extra: Readonly<Record<string, string>> = {},
): Response {
  const headers = {
    ...cors?.answerHeaders(request.headers.get("origin") ?? undefined),
    "content-type": "application/json",
    ...extra,
  };
  return new Response(JSON.stringify({ detail }), { status, headers });
}
