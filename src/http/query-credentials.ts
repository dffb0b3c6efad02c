/** Parameters of a stream's URL that hold a credential; the first one that is there counts. */
const PARAMETERS = ["api_key", "token"] as const;

/**
 * A stream's request as it would be if its client could send headers: browsers' `EventSource` can't, and puts its credential into the
 * query. It becomes `authorization: Bearer …` and `x-api-key`, and leaves the URL, which whoever authenticates may write down. A request
 * that has headers of its own for it stays as it is, and so does any that is of no such stream.
 * @param streams by the end of the path: of protocols that are served
 */
export function withQueryCredentials(request: Request, streams: readonly RegExp[]): Request {
  // Most requests have no query, and most servers no such streams.
  if (streams.length === 0 || request.method !== "GET" || !request.url.includes("?")) return request;
  if (request.headers.has("authorization") || request.headers.has("x-api-key")) return request;
  const url = new URL(request.url);
  if (!streams.some((stream) => stream.test(url.pathname))) return request;
  const name = PARAMETERS.find((one) => url.searchParams.has(one));
  const credential = name === undefined ? null : url.searchParams.get(name);
  if (credential === null || !isHeaderValue(credential)) return request;
  const headers = new Headers(request.headers);
  headers.set("authorization", `Bearer ${credential}`);
  headers.set("x-api-key", credential);
  for (const parameter of PARAMETERS) url.searchParams.delete(parameter);
  return new Request(url, { method: "GET", headers });
}

/** Printable ASCII without spaces, as tokens are (RFC 6750 §2.1): anything else could not have come in a header. */
function isHeaderValue(text: string): boolean {
  return /^[!-~]+$/.test(text);
}
