import { HeddleError } from "../core/errors.js";

/** What the head of a request may be. */
export interface HeadLimits {
  /** Bytes of path and query, which are ASCII. */
  readonly maxUrlBytes: number;
  /** Names and values of all headers; `null`: what the HTTP server in front allows. */
  readonly maxHeaderBytes: number | null;
}

/** @throws HeddleError `URI_TOO_LONG`, `HEADERS_TOO_LARGE` */
export function checkHead(request: Request, { maxUrlBytes, maxHeaderBytes }: HeadLimits): void {
  const { url } = request;
  // With scheme and host it is longer than what counts: only then it is looked at.
  if (url.length > maxUrlBytes && url.length - pathStart(url) > maxUrlBytes) {
    throw new HeddleError("URI_TOO_LONG", {
      message: `URI too long: at most ${maxUrlBytes} bytes of path and query (limits.maxUrlBytes)`,
    });
  }
  if (maxHeaderBytes === null) return;
  let chars = 0;
  request.headers.forEach((value, name) => {
    chars += name.length + value.length;
  });
  if (chars > maxHeaderBytes) {
    throw new HeddleError("HEADERS_TOO_LARGE", {
      message: `Request headers too large: at most ${maxHeaderBytes} bytes (limits.maxHeaderBytes)`,
    });
  }
}

function pathStart(url: string): number {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start === -1 ? url.length : start;
}
