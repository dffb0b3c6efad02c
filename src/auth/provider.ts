import type { AuthProvider } from "../core/auth.js";

/** The same provider with another way to find out who asks. */
export function withAuthenticate(
  provider: AuthProvider,
  authenticate: AuthProvider["authenticate"],
): AuthProvider & { close(): Promise<void> } {
  return {
    authenticate,
    authorizer: provider.authorizer,
    // A spread would lose the methods of an instance.
    stillValid: (caller) => provider.stillValid?.(caller) ?? true,
    close: async () => provider.close?.(),
  };
}
