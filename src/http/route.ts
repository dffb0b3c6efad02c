import type { z } from "zod";
import type { Exchange } from "./exchange.js";
import type { HttpDeps } from "./http-deps.js";

/** Groups of routes that can be switched off; a subset of what the configuration knows. */
export type ServedGroup = "assistants" | "threads" | "runs" | "store" | "meta" | "ui" | "webhooks";

/** What a route answers, for the OpenAPI document. */
export interface RouteAnswer {
  readonly status: number;
  readonly description: string;
  /** `json` when there is a body and nothing else is said. */
  readonly content?: "json" | "event-stream" | "html" | "file" | "none";
}

/**
 * A route as data: the router, the OpenAPI document and the compatibility table read it. Validation happens once, in the
 * decoder of `wire/` that `handle` calls; the schemas here are the decoder's own.
 */
export interface Route {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** With OpenAPI's parameters: `/threads/{thread_id}`. */
  readonly path: string;
  readonly group: ServedGroup;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly answer: RouteAnswer;
  /** Statuses of errors that a caller can provoke, beside 422 and 500. */
  readonly errors?: readonly number[];
  /** Those whose body may also be of another form than `{detail}`. */
  readonly refusals?: readonly { readonly status: number; readonly description: string; readonly schema: z.ZodType }[];
  /** Served without authentication. */
  readonly isPublic?: boolean;
  /** Served also when its group is switched off. */
  readonly isLasting?: boolean;
  /** May become a WebSocket: then errors are told by closing it. */
  readonly upgrades?: boolean;
  /** Its answer takes as long as a run: counted as a stream, as answers of type `event-stream` are. */
  readonly holds?: boolean | ((request: Request) => boolean);
  /** Its parameters are secrets: log lines have the template in place of the path. */
  readonly hidesParams?: true;
  /** Creates work: refused with 503 while the server drains. */
  readonly createsRun?: boolean;
  readonly handle: (exchange: Exchange, deps: HttpDeps) => Promise<Response> | Response;
}

export const JSON_ANSWER: RouteAnswer = { status: 200, description: "Done" };
export const NO_CONTENT: RouteAnswer = { status: 204, description: "Done", content: "none" };
