import { HeddleError, isHeddleError } from "../../core/errors.js";

/** What a caller sees of a Redis that failed; never a client's own error. */
export function redisUnavailable(error: unknown, name: string): HeddleError {
  if (isHeddleError(error)) return error;
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `Redis at ${name} does not answer: ${error instanceof Error ? error.message || error.name : String(error)}`,
    cause: error,
  });
}
