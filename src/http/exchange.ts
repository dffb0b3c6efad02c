import type { Caller } from "../core/auth.js";
import type { JsonText } from "../core/json.js";
import type { Query } from "../wire/query.js";
import { readQuery } from "../wire/query.js";
import { pathUuid } from "../wire/runs.js";
import type { BodyLimits } from "./body-limits.js";
import { parseLimited } from "./body-limits.js";
import { readBodyText, readJsonBody } from "./middleware/read-body.js";
import type { GuardedRequest } from "./request-guard.js";
import type { SocketHandler } from "./upgrade.js";

/** One request and the headers of its answer: what a route's handler sees, without the router. */
export class Exchange {
  readonly request: Request;
  readonly requestId: string;
  readonly caller: Caller;
  /** Headers that every answer carries: CORS, request id. */
  readonly headers: Readonly<Record<string, string>>;
  /** Turns the request into a WebSocket; `null` when it asks for none. Throws `UNSUPPORTED_OPTION` where that can't be. */
  readonly upgrade: ((handler: SocketHandler) => Promise<Response>) | null;
  /**
   * Drops the connection while it is answered, as a network does; `null` where there is none. A body that fails would do it as well,
   * but @hono/node-server (2.1.8) writes each of them to the console.
   */
  readonly disconnect: (() => void) | null;
  /** Limits and audit of what comes over this request; `null`: there are none. */
  readonly guarded: GuardedRequest | null;
  /** Where the protocol of this route is mounted, as the client sees it; empty for the LangGraph API. */
  readonly mountPath: string;
  readonly #params: Readonly<Record<string, string>>;
  readonly #limits: BodyLimits & { readonly maxBodyBytes: number };

  constructor(init: {
    readonly request: Request;
    readonly requestId: string;
    readonly caller: Caller;
    readonly params: Readonly<Record<string, string>>;
    readonly headers: Readonly<Record<string, string>>;
    readonly limits: BodyLimits & { readonly maxBodyBytes: number };
    readonly mountPath?: string;
    readonly guarded?: GuardedRequest | null;
    readonly disconnect?: () => void;
    readonly upgrade?: (handler: SocketHandler) => Promise<Response>;
  }) {
    this.request = init.request;
    this.requestId = init.requestId;
    this.caller = init.caller;
    this.headers = init.headers;
    this.upgrade = init.upgrade ?? null;
    this.disconnect = init.disconnect ?? null;
    this.mountPath = init.mountPath ?? "";
    this.#params = init.params;
    this.guarded = init.guarded ?? null;
    this.#limits = init.limits;
  }

  /**
   * A path of the protocol that is asked, with every prefix that it is mounted under (docs/wire/protocol-mounts.md, rule 1).
   * @param path begins with `/`, and is encoded
   */
  url(path: string): string {
    return this.mountPath + path;
  }

  /** The query of the URL, with `?`; empty when there is none. */
  get search(): string {
    const { url } = this.request;
    const start = url.indexOf("?");
    return start === -1 ? "" : url.slice(start);
  }

  get query(): Query {
    return readQuery(this.search);
  }

  /** A path parameter, decoded; empty when the route has none of this name. */
  param(name: string): string {
    return this.#params[name] ?? "";
  }

  /** @throws HeddleError `INVALID_REQUEST` */
  uuid(name: string): string {
    return pathUuid(name, this.param(name));
  }

  header(name: string): string | undefined {
    return this.request.headers.get(name) ?? undefined;
  }

  /**
   * The JSON body.
   * @param options.isRequired an empty one is `MALFORMED_JSON`. Default: it is `{}`
   * @throws HeddleError `MALFORMED_JSON`, `PAYLOAD_TOO_LARGE`, `INVALID_REQUEST` for what is over a limit
   */
  body(options: { readonly isRequired?: boolean } = {}): Promise<unknown> {
    return readJsonBody(this.request, this.#limits, options.isRequired);
  }

  /** The body as it was written, for what must be kept so; {@link parse} checks it. @throws HeddleError `PAYLOAD_TOO_LARGE` */
  text(): Promise<string> {
    return readBodyText(this.request, this.#limits.maxBodyBytes);
  }

  /** JSON that came otherwise, as a message. @throws SyntaxError, HeddleError `INVALID_REQUEST` for what is over a limit */
  parse(text: string): unknown {
    return parseLimited(text, this.#limits);
  }

  /** A JSON answer, already serialised. */
  json(text: JsonText, extra?: Readonly<Record<string, string>>, status = 200): Response {
    return new Response(text, { status, headers: { ...this.headers, "content-type": "application/json", ...extra } });
  }

  /** An answer without a body. */
  empty(status: number): Response {
    return new Response(null, { status, headers: this.headers });
  }
}

/** Headers of a page (docs/wire/langgraph-api.md §2.1.7): the true total, and where the next page starts, if there is one. */
export function pageHeaders(page: {
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}): Record<string, string> {
  const next = page.offset + page.limit;
  return {
    "x-pagination-total": String(page.total),
    ...(next < page.total ? { "x-pagination-next": String(next) } : {}),
  };
}
