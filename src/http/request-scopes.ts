import { AsyncLocalStorage } from "node:async_hooks";
import type { RequestScope, RequestScopes } from "../core/request-scope.js";

/**
 * Scopes of requests by async context, so that no service has to hand them on. Runs are started inside a request and must not be taken
 * for part of it: whatever a graph asks for comes back as a request of its own.
 */
export function createRequestScopes(): RequestScopes {
  const storage = new AsyncLocalStorage<RequestScope>();
  return {
    run: (scope, fn) => storage.run(scope, fn),
    current: () => storage.getStore() ?? null,
  };
}
