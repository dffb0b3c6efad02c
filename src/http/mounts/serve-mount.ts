import type { Context } from "hono";
import { HeddleError } from "../../core/errors.js";
import { type EncodeError, errorResponse } from "../error-response.js";
import type { HttpDeps } from "../http-deps.js";
import { createCors } from "../middleware/cors.js";
import { requestIdOf } from "../request-id.js";
import { logRequest } from "../request-log.js";
import { type AskedRoute, routeServer } from "../serve-route.js";
import { bySpecificity, isBelow, literalPrefix, parseTemplate, templateMatcher } from "./path-template.js";
import type { ProtocolFace, ProtocolRoute, RefusedRequest } from "./protocol-face.js";
import { decodeSegments, rawSegments } from "./raw-path.js";

/** A protocol where it is served. */
export interface Mount {
  readonly name: string;
  /** Without the base path: `""`, or `/` + segments. */
  readonly path: string;
  readonly face: ProtocolFace;
}

/** Answers all that is asked of one protocol. */
export interface ServedMount {
  /**
   * @param prefixSegments how many segments of the path are those of the mount, and of apps around
   */
  serve(context: Context, prefixSegments: number): Promise<Response>;
  /** Whether a path belongs to it where it shares the root: it is one of its routes, or below what is only theirs. */
  owns(context: Context, prefixSegments: number): boolean;
  /**
   * Whether a request needs no authentication; `null`: it is none of its routes.
   * @param segments of its path below the mount, not decoded
   */
  isPublic(method: string, segments: readonly string[]): boolean | null;
  /** Answer that this process serves no requests. */
  refuseAll(context: Context, message: string): Response;
}

interface Candidate {
  readonly route: ProtocolRoute;
  readonly method: string;
  readonly match: ReturnType<typeof templateMatcher>;
  readonly serve: (context: Context, asked: AskedRoute) => Promise<Response>;
}

type Found =
  | { readonly kind: "route"; readonly candidate: Candidate; readonly params: AskedRoute["params"] }
  | { readonly kind: "wrong-method"; readonly allow: readonly string[] }
  | { readonly kind: "no-route" }
  | { readonly kind: "error"; readonly error: HeddleError };

/**
 * A protocol's routes and, in its own words, everything that is none of them (docs/wire/protocol-mounts.md, rules 3 and 4): no redirects,
 * its envelope for unknown paths and wrong methods, its own exposed headers.
 */
export function serveMount({ face, path }: Omit<Mount, "name">, deps: HttpDeps): ServedMount {
  const { settings, logger } = deps;
  const rules = settings.cors;
  const cors =
    rules === null ? null : createCors({ ...rules, exposeHeaders: [...rules.exposeHeaders, ...face.exposedHeaders] });
  const headersFor = face.headersFor?.bind(face);
  const as = { cors, prefix: path, ...(headersFor !== undefined && { headersFor }) };
  const templates = face.routes.map((route) => ({ route, template: parseTemplate(route.path) }));
  const candidates: readonly Candidate[] = templates
    .toSorted((a, b) => bySpecificity(a.template, b.template))
    .map(({ route, template }) => ({
      route,
      method: route.method.toUpperCase(),
      match: templateMatcher(template),
      serve: routeServer(route, deps, { ...as, encodeError: encoder(face, "error") }),
    }));
  const prefixes = templates.map(({ template }) => literalPrefix(template));
  const hiding = templates.filter(({ route }) => route.hidesParams === true);
  /** Where parameters are secrets, nothing behind them is logged: a link may come with a slash too much, or by a wrong method. */
  const hidingPath = (raw: readonly string[]): string | undefined => {
    const segments = raw.map(decodedOrRaw);
    return hiding.find(({ template }) => isBelow(segments, literalPrefix(template)))?.route.path;
  };

  const refuse = (
    context: Context,
    kind: RefusedRequest["kind"],
    error: HeddleError,
    extra: Readonly<Record<string, string>> = {},
  ): Response => {
    const request = context.req.raw;
    const requestId = requestIdOf(request);
    const headers = {
      ...cors?.answerHeaders(request.headers.get("origin") ?? undefined),
      "x-request-id": requestId,
      ...headersFor?.(request, requestId),
      ...extra,
    };
    return errorResponse(error, { request, requestId, headers, logger, encode: encoder(face, kind) });
  };

  return {
    async serve(context, prefixSegments) {
      const startedAtMs = performance.now();
      const { req } = context;
      if (req.method === "OPTIONS" && cors !== null) {
        return cors.preflight(req.header("origin"), req.header("access-control-request-headers"));
      }
      const raw = rawSegments(context);
      const found = find(candidates, req.method, raw.slice(prefixSegments));
      const mountPath = raw
        .slice(0, prefixSegments)
        .map((segment) => `/${segment}`)
        .join("");
      if (found.kind === "route") return found.candidate.serve(context, { params: found.params, mountPath });
      const response =
        found.kind === "wrong-method"
          ? refuse(context, found.kind, new HeddleError("NOT_FOUND", { message: "Method Not Allowed" }), {
              allow: found.allow.join(", "),
            })
          : refuse(
              context,
              found.kind,
              found.kind === "error" ? found.error : new HeddleError("NOT_FOUND", { message: "Not Found" }),
            );
      const requestId = response.headers.get("x-request-id") ?? "";
      const shown = hidingPath(raw.slice(prefixSegments));
      const said = shown === undefined ? {} : { path: mountPath + shown };
      logRequest(deps, context, { requestId, status: response.status, startedAtMs, ...said });
      return response;
    },
    owns(context, prefixSegments) {
      const segments = rawSegments(context).slice(prefixSegments).map(decodedOrRaw);
      return prefixes.some((prefix) => isBelow(segments, prefix));
    },
    isPublic(method, segments) {
      const found = find(candidates, method, segments);
      return found.kind === "route" ? found.candidate.route.isPublic === true : null;
    },
    refuseAll: (context, message) => refuse(context, "error", new HeddleError("SHUTTING_DOWN", { message })),
  };
}

function decodedOrRaw(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function find(candidates: readonly Candidate[], method: string, raw: readonly string[]): Found {
  let segments: readonly string[];
  try {
    segments = decodeSegments(raw);
  } catch (error) {
    return { kind: "error", error: error as HeddleError };
  }
  const asked = method === "HEAD" ? "GET" : method;
  const allow = new Set<string>();
  for (const candidate of candidates) {
    const params = candidate.match(segments);
    if (params === null) continue;
    if (candidate.method === asked) return { kind: "route", candidate, params };
    allow.add(candidate.method);
  }
  return allow.size === 0 ? { kind: "no-route" } : { kind: "wrong-method", allow: [...allow] };
}

/** A protocol's words; those of the LangGraph API for an error that it fails to word. */
function encoder(face: ProtocolFace, kind: RefusedRequest["kind"]): EncodeError {
  return (error, { request, requestId }) => face.refuse(error, { request, requestId, kind });
}
