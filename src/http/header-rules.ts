import type { JsonObject } from "../core/json.js";

/** Which headers are taken, by patterns with `*`; what is excluded is never taken (docs/wire/langgraph-api.md §5.1). */
export interface HeaderPatterns {
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
}

/** Never taken, whatever the patterns say (§5.1). */
const NEVER = new Set(["x-api-key", "x-tenant-id", "x-service-key", "x-auth-scheme", "proxy-authorization"]);
/** Credentials: only by their whole name, never by a pattern with `*`. */
const BY_NAME_ONLY = new Set(["authorization", "cookie"]);
/** Keys of a run's `configurable` that are the server's own: a header must not become an identity or another thread. */
const RESERVED = /^(?:langgraph_auth_.*|thread_id|run_id|graph_id|assistant_id|user_id|checkpoint_.*|_.*)$/;

type Taken = (name: string) => boolean;

/** Headers for the `configurable` of runs: names in lower case. `null` when none can match. */
export function createConfigurableHeaders(patterns: HeaderPatterns | null): ((headers: Headers) => JsonObject) | null {
  const isTaken = matcher(patterns);
  return isTaken === null ? null : (headers) => collect(headers, (name) => isTaken(name) && !RESERVED.test(name));
}

/** Headers for log lines: as {@link createConfigurableHeaders}, and never a credential. */
export function createLoggingHeaders(patterns: HeaderPatterns | null): ((headers: Headers) => JsonObject) | null {
  const isTaken = matcher(patterns);
  return isTaken === null ? null : (headers) => collect(headers, (name) => isTaken(name) && !BY_NAME_ONLY.has(name));
}

function collect(headers: Headers, isTaken: Taken): JsonObject {
  const taken: [string, string][] = [];
  headers.forEach((value, name) => {
    if (isTaken(name)) taken.push([name, value]);
  });
  return Object.fromEntries(taken);
}

function matcher(patterns: HeaderPatterns | null): Taken | null {
  if (patterns === null || patterns.includes.length === 0) return null;
  const includes = patterns.includes.map((pattern) => matches(pattern.toLowerCase()));
  const excludes = patterns.excludes.map((pattern) => matches(pattern.toLowerCase()));
  const names = new Set(patterns.includes.map((pattern) => pattern.toLowerCase()));
  return (name) =>
    !NEVER.has(name) &&
    (!BY_NAME_ONLY.has(name) || names.has(name)) &&
    includes.some((matching) => matching(name)) &&
    !excludes.some((matching) => matching(name));
}

/** `*` stands for any characters. Parts are looked for from left to right, so no pattern is slow. */
function matches(pattern: string): Taken {
  const [head = "", ...rest] = pattern.split("*");
  const tail = rest.pop();
  if (tail === undefined) return (name) => name === pattern;
  return (name) => {
    if (!name.startsWith(head) || name.length < head.length + tail.length || !name.endsWith(tail)) return false;
    let from = head.length;
    for (const part of rest) {
      const found = name.indexOf(part, from);
      if (found === -1) return false;
      from = found + part.length;
    }
    return from <= name.length - tail.length;
  };
}
