/** Cross-origin rules (docs/wire/langgraph-api.md §2.1.3). */
export interface CorsRules {
  /** `["*"]` for any. */
  readonly allowOrigins: readonly string[];
  /** Wins over `allowOrigins`; a match is echoed. */
  readonly allowOriginRegex: RegExp | null;
  readonly allowMethods: readonly string[];
  /** `null`: echo what the preflight asks for. */
  readonly allowHeaders: readonly string[] | null;
  readonly allowCredentials: boolean;
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds: number | null;
}

/** Headers that clients read, whatever the configuration exposes. */
const READ_BY_CLIENTS = ["content-location", "location", "x-pagination-total", "x-pagination-next", "x-request-id"];

export interface Cors {
  /** Whether a page of this origin may read answers. */
  allows(origin: string): boolean;
  /** Whether a page of this origin is trusted with its user's cookies: it is named, and not only one of all (`*`). */
  allowsCookies(origin: string): boolean;
  /** Headers of every answer. */
  answerHeaders(origin: string | undefined): Readonly<Record<string, string>>;
  /** Answer of an OPTIONS request. */
  preflight(origin: string | undefined, requestedHeaders: string | undefined): Response;
}

export function createCors(rules: CorsRules): Cors {
  const exposed = [...new Set([...rules.exposeHeaders.map((name) => name.toLowerCase()), ...READ_BY_CLIENTS])].join(
    ",",
  );
  const isOpen = rules.allowOriginRegex === null && rules.allowOrigins.includes("*");
  const credentials = rules.allowCredentials && !isOpen ? { "access-control-allow-credentials": "true" } : {};
  const openHeaders = { "access-control-allow-origin": "*", "access-control-expose-headers": exposed };

  const isAllowed = (origin: string): boolean =>
    rules.allowOriginRegex === null ? rules.allowOrigins.includes(origin) : rules.allowOriginRegex.test(origin);

  const answerHeaders = (origin: string | undefined): Readonly<Record<string, string>> => {
    if (isOpen) return openHeaders;
    if (origin === undefined || !isAllowed(origin)) return { vary: "Origin" };
    return {
      "access-control-allow-origin": origin,
      "access-control-expose-headers": exposed,
      ...credentials,
      vary: "Origin",
    };
  };

  return {
    allows: (origin) => isOpen || isAllowed(origin),
    allowsCookies: isAllowed,
    answerHeaders,
    preflight(origin, requestedHeaders) {
      const headers: Record<string, string> = { ...answerHeaders(origin) };
      delete headers["access-control-expose-headers"];
      const allowed = rules.allowHeaders === null ? requestedHeaders : rules.allowHeaders.join(",");
      if (headers["access-control-allow-origin"] !== undefined) {
        headers["access-control-allow-methods"] = rules.allowMethods.join(",");
        if (allowed) headers["access-control-allow-headers"] = allowed;
        if (rules.maxAgeSeconds !== null) headers["access-control-max-age"] = String(rules.maxAgeSeconds);
      }
      if (rules.allowHeaders === null) {
        headers["vary"] = [headers["vary"], "Access-Control-Request-Headers"].filter(Boolean).join(", ");
      }
      return new Response(null, { status: 204, headers });
    },
  };
}
