import type { z } from "zod";
import type { JsonText } from "../../core/json.js";
import type { Route } from "../route.js";

/**
 * A route of another protocol than the LangGraph API. Its path has no mount prefix and may have suffixes behind parameters:
 * `/v1/runs/{run_id}:fork`. Parameters are percent-decoded once, after the path was split, so that they may hold `/`, `.` and `..`; where
 * several templates match, the more specific one wins. `exchange.param(name)` gives them, `exchange.url(path)` a path of this mount.
 */
export interface ProtocolRoute extends Omit<Route, "group"> {
  /** What it answers with, for the OpenAPI document; absent: any JSON. */
  readonly answers?: z.ZodType;
  /** Request headers that it reads, beside credentials, for the OpenAPI document. */
  readonly headers?: z.ZodObject;
}

/** How a request failed. */
export interface RefusedRequest {
  readonly request: Request;
  readonly requestId: string;
  /** `no-route`: nothing has this path; `wrong-method`: but with another method. Then the error is a `NOT_FOUND`. */
  readonly kind: "error" | "no-route" | "wrong-method";
}

/** An answer to a request that failed, as JSON. */
export interface Refusal {
  readonly status: number;
  readonly body: JsonText;
  /** Names in lower case. `retry-after` of a limit or of a 503, and `allow` of a wrong method, are added where they are missing. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a protocol is over HTTP (docs/wire/protocol-mounts.md). */
export interface ProtocolFace {
  readonly routes: readonly ProtocolRoute[];
  /**
   * Every failure, in the protocol's own envelope: what routes, authentication and limits throw, unknown paths, wrong methods, JSON that
   * is none. Unexpected exceptions must not be told: they are logged by the mount under the request's id.
   */
  refuse(error: unknown, at: RefusedRequest): Refusal;
  /** Schema of these envelopes, for the OpenAPI document; with an `id` in its `meta`. */
  readonly errorSchema: z.ZodType;
  /** Statuses that any of its routes may answer besides those that are said of each. */
  readonly errorStatuses?: readonly number[];
  /** Headers that pages of other origins may read, beside `x-request-id`. */
  readonly exposedHeaders: readonly string[];
  /** Headers of every answer, refusals included. */
  headersFor?(request: Request, requestId: string): Readonly<Record<string, string>>;
}
