import type { Context } from "hono";
import { HeddleError } from "../../core/errors.js";

/** What @hono/node-server 2 hands to the app beside the request. */
interface NodeEnv {
  readonly incoming?: { readonly url?: string };
}

/**
 * The segments of a request's path as they came, not decoded. A `Request` has lost encoded dot segments, which URLs (WHATWG) resolve like
 * bare ones; Node's own target still has them.
 */
export function rawSegments(context: Context): readonly string[] {
  const path = pathOf(context.req.raw.url);
  const target = ((context.env ?? {}) as NodeEnv).incoming?.url;
  const given = target === undefined ? path : pathOf(target);
  return (given === path || !isSamePath(given, path) ? path : given).slice(1).split("/");
}

/** Of an absolute URL or a request target. */
function pathOf(url: string): string {
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end === -1 ? url.slice(start) : url.slice(start, start + end);
}

/** Not so when an app around has changed the path, or a client means bare dots. */
function isSamePath(given: string, path: string): boolean {
  if (!/%2e/i.test(given) || /[^!-~]|\/\.{1,2}(?:\/|$)/.test(given)) return false;
  return URL.canParse(given, "http://localhost") && new URL(given, "http://localhost").pathname === path;
}

/**
 * Each segment decoded once.
 * @throws HeddleError `INVALID_REQUEST` for escapes that are none, and for NUL
 */
export function decodeSegments(segments: readonly string[]): readonly string[] {
  return segments.map((segment) => {
    const decoded = decodedOrNull(segment);
    if (decoded === null) throw badPath("a percent escape that is not valid UTF-8");
    if (decoded.includes("\0")) throw badPath("NUL");
    return decoded;
  });
}

function decodedOrNull(segment: string): string | null {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

function badPath(what: string): HeddleError {
  return new HeddleError("INVALID_REQUEST", { message: `path: holds ${what}` });
}
