import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { Cors } from "./middleware/cors.js";
import { hasStreamTicket } from "./stream-ticket.js";

const CHANGES_NOTHING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Refuse what a page of another origin asks without a preflight, as the user whose cookies the browser adds: WebSockets, and
 * `text/plain` bodies, which are read as JSON like any other. An open CORS (`*`) trusts pages without cookies, and nobody with
 * them. Who sends no `origin` is no browser.
 * @param caller who was found to ask
 * @throws HeddleError `FORBIDDEN`
 */
export function refuseOtherOrigin(
  request: Request,
  { cors, isSocket, caller }: { readonly cors: Cors | null; readonly isSocket: boolean; readonly caller: Caller },
): void {
  const { headers, method } = request;
  const hasCookie = headers.has("cookie");
  if (!isSocket && (!hasCookie || CHANGES_NOTHING.has(method))) return;
  const origin = headers.get("origin");
  if (origin === null || isOwn(request, origin)) return;
  // Browsers add cookies to every WebSocket. They are none of the caller's where nobody is asked, or a ticket has said who it is.
  const byCookie = hasCookie && !(isSocket && (caller.identity === null || hasStreamTicket(request)));
  if (cors !== null && (byCookie ? cors.allowsCookies(origin) : cors.allows(origin))) return;
  throw new HeddleError("FORBIDDEN", {
    message: byCookie
      ? `Pages of ${origin} may not ask with cookies: name the origin in http.cors.allow_origins`
      : `Pages of ${origin} may not connect`,
  });
}

/** `Sec-Fetch-Site` is the browser's own word, which no page can write; proxies may have changed `host`. */
function isOwn({ headers, url }: Request, origin: string): boolean {
  if (headers.get("sec-fetch-site") === "same-origin") return true;
  return URL.canParse(origin) && new URL(origin).host === (headers.get("host") ?? new URL(url).host);
}
