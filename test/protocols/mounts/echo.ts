import { z } from "zod";
import { asJsonText, type JsonValue, toJsonText } from "../../../src/core/json.js";
import { HeddleError, type ErrorCode, ERROR_MESSAGES } from "../../../src/core/errors.js";
import type { Exchange } from "../../../src/http/exchange.js";
import { faultOf } from "../../../src/protocols/fault.js";
import {
  defineProtocol,
  type MountOptions,
  type Protocol,
  type ProtocolRoute,
} from "../../../src/protocols/protocol.js";
import { decode } from "../../../src/wire/decode.js";

const JSON_ANSWER = { status: 200, description: "What was asked" };
const bodySchema = z.object({ value: z.json() });

/** All codes but those of what clients may do wrong are faults of the server. */
const STATUSES = {
  ...(Object.fromEntries(Object.keys(ERROR_MESSAGES).map((code) => [code, 500])) as Record<ErrorCode, number>),
  INVALID_REQUEST: 400,
  MALFORMED_JSON: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  PAYLOAD_TOO_LARGE: 413,
  URI_TOO_LONG: 414,
  RATE_LIMITED: 429,
  LIMIT_REACHED: 429,
  SHUTTING_DOWN: 503,
};

function answer(exchange: Exchange, asked: string, params: readonly string[], body?: JsonValue): Response {
  const given = Object.fromEntries(params.map((name) => [name, exchange.param(name)]));
  const { identity } = exchange.caller;
  return exchange.json(
    toJsonText({
      route: asked,
      params: given,
      url: exchange.url("/v1/things"),
      identity,
      ...(body !== undefined && { body }),
    }),
    { etag: '"1"' },
  );
}

function route(method: ProtocolRoute["method"], path: string, extra: Partial<ProtocolRoute> = {}): ProtocolRoute {
  const params = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  return {
    method,
    path,
    summary: "Say what was asked",
    answer: JSON_ANSWER,
    errors: [400, 404],
    handle: (exchange) => answer(exchange, `${method} ${path}`, params),
    ...extra,
  };
}

const ROUTES: readonly ProtocolRoute[] = [
  route("get", "/v1/things"),
  route("post", "/v1/things", {
    body: bodySchema,
    async handle(exchange) {
      const { value } = decode(bodySchema, await exchange.body({ isRequired: true }));
      return answer(exchange, "post /v1/things", [], value);
    },
  }),
  route("post", "/v1/things:bulk-cancel"),
  route("get", "/v1/things/{thing_id}"),
  route("delete", "/v1/things/{thing_id}"),
  route("post", "/v1/things/{thing_id}:fork"),
  route("get", "/v1/things/latest"),
  route("get", "/v1/things/{thing_id}/{part}"),
  route("get", "/v1/things/{thing_id}/whole"),
  route("get", "/.well-known/echo", { isPublic: true }),
  route("get", "/v1/boom", {
    handle() {
      throw new Error("the secret is hunter2");
    },
  }),
  route("get", "/v1/gone", {
    handle() {
      throw new HeddleError("NOT_FOUND", { message: "No such thing" });
    },
  }),
];

/** A protocol that says what was asked: `{route, params, url, identity, body?}`, and failures as `{oops: {status, code, message}}`. */
export function echo(
  options: MountOptions = {},
  shape: { readonly name?: string; readonly sharesRoot?: boolean; readonly routes?: readonly ProtocolRoute[] } = {},
): Protocol {
  const { name = "echo", sharesRoot = true, routes = ROUTES } = shape;
  return defineProtocol(
    {
      name,
      sharesRoot,
      defaultPath: `/${name}`,
      open: () => ({
        routes,
        exposedHeaders: ["ETag", "traceparent"],
        errorSchema: z
          .object({ oops: z.object({ status: z.int(), code: z.string(), message: z.string() }) })
          .meta({ id: `${name}Error` }),
        headersFor: () => ({ traceparent: "00-1-2-00" }),
        refuse(error, at) {
          const { status, code, message, headers } = faultOf(error, at, STATUSES);
          return { status, body: asJsonText(JSON.stringify({ oops: { status, code, message } })), headers };
        },
      }),
    },
    options,
  );
}

export { route as echoRoute };
