import { AuthRefusal } from "../core/auth.js";
import { isHeddleError } from "../core/errors.js";

/** Headers that belong to the connection or to our own body: a handler's do not replace them. */
const OURS: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/**
 * What a handler threw. The SDK's `HTTPException`, by its shape `{status, headers}`, becomes a refusal with that status, its
 * headers and its message (docs/wire/langgraph-api.md §7.2); anything else stays what it is: a fault, answered as 500.
 */
export function refusalOf(thrown: unknown): unknown {
  if (isHeddleError(thrown) || !isHttpException(thrown)) return thrown;
  const { status, message } = thrown;
  let headers: Headers;
  try {
    headers = new Headers(thrown.headers ?? {});
  } catch (error) {
    return new Error("An auth handler threw an HTTPException whose headers are not valid", { cause: error });
  }
  return new AuthRefusal({
    status,
    ...(typeof message === "string" && { message }),
    headers: Object.fromEntries([...headers].filter(([name]) => !OURS.has(name))),
    cause: thrown,
  });
}

interface HttpExceptionLike {
  readonly status: number;
  readonly headers: ConstructorParameters<typeof Headers>[0] | null;
  readonly message?: unknown;
}

function isHttpException(value: unknown): value is HttpExceptionLike {
  if (typeof value !== "object" || value === null) return false;
  return "status" in value && typeof value.status === "number" && "headers" in value;
}
