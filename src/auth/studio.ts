import type { AuthProvider, Caller } from "../core/auth.js";
import { authenticatedUser, STUDIO_USER } from "./langgraph-user.js";
import { withAuthenticate } from "./provider.js";

/**
 * Let Studio in: a request with `x-auth-scheme: langsmith` is Studio's user, without being asked for anything
 * (docs/wire/langgraph-api.md §7.2). For `heddle dev` alone, since any client can send that header.
 */
export function withStudio(provider: AuthProvider): AuthProvider {
  const studio: Caller = authenticatedUser(STUDIO_USER).caller;
  return withAuthenticate(provider, (request) =>
    request.headers.get("x-auth-scheme") === "langsmith" ? studio : provider.authenticate(request),
  );
}
