import { apiKey } from "./auth/api-key.js";
import { withCallerCache } from "./auth/caller-cache.js";
import { isLanggraphAuth, openLanggraphAuth } from "./auth/langgraph-auth.js";
import { jwt } from "./auth/jwt.js";
import type { JwtOptions } from "./auth/jwt-options.js";
import { withStudio } from "./auth/studio.js";
import { withAuthenticate } from "./auth/provider.js";
import type { ResolvedAuth } from "./config/resolved-config.js";
import type { AuthDeps, AuthProvider } from "./core/auth.js";
import { ANONYMOUS, isAuthFactory, itemPrefixOf, SERVER } from "./core/auth.js";
import { HeddleError } from "./core/errors.js";

export interface OpenAuth extends AuthProvider {
  close(): Promise<void>;
}

export interface OpenAuthOptions extends AuthDeps {
  /** Let Studio in, unless the configuration says otherwise: `heddle dev` on this machine. */
  readonly studio: boolean;
  /** Load the module of `auth.path` again when its sources change. */
  readonly watch: boolean;
}

/**
 * Who may ask, as the configuration has it.
 * @throws HeddleError `CONFIG_INVALID` when the module can't be loaded or exports something else, and what opening throws
 */
export async function openAuth(auth: ResolvedAuth | null, options: OpenAuthOptions): Promise<OpenAuth> {
  if (auth === null) return { authenticate: () => ANONYMOUS, authorizer: null, close: async () => {} };
  const { source } = auth;
  if (source.kind === "value") {
    return closable(await openProvider(auth, source.value, "auth", options));
  }
  if (source.kind === "ready-made") {
    // Its shape was checked; what is in it, apiKey() and jwt() judge.
    const factory = source.method === "apiKey" ? apiKey(source.options) : jwt(source.options as unknown as JwtOptions);
    return closable(await openProvider(auth, factory, "auth", options));
  }
  return openFile(auth, source, options);
}

/** The module of `auth.path`; with `watch` its newest version that works. */
async function openFile(
  auth: ResolvedAuth,
  source: Extract<ResolvedAuth["source"], { kind: "file" }>,
  options: OpenAuthOptions,
): Promise<OpenAuth> {
  // Loaded only when needed: it brings esbuild.
  const { loadExport } = await import("./engine/loading/load-export.js");
  const load = async (version: number) => {
    const { value, inputs } = await loadExport({ field: "auth.path", path: source.path, cwd: source.cwd, version });
    return { provider: await openProvider(auth, value, source.path, options), inputs };
  };
  const first = await load(0);
  if (!options.watch) return closable(first.provider);
  const { watchVersion } = await import("./engine/loading/watched-version.js");
  const watched = await watchVersion({
    name: "auth",
    first,
    load,
    retire: async (before) => before.provider.close?.(),
    logger: options.logger,
  });
  const provider = (): AuthProvider => watched.current().provider;
  return {
    async authenticate(request) {
      const { authorizer } = provider();
      const caller = await provider().authenticate(request);
      // Nobody is asked who they are: everybody may do everything.
      return authorizer === null && caller === ANONYMOUS ? SERVER : caller;
    },
    stillValid: (caller) => provider().stillValid?.(caller) ?? true,
    // Whether there is one may change with the module.
    authorizer: {
      authorize: (caller, operation) => {
        const { authorizer } = provider();
        return authorizer === null
          ? { access: { kind: "all" }, value: operation.value }
          : authorizer.authorize(caller, operation);
      },
      itemPrefix: (caller) => itemPrefixOf(provider().authorizer, caller),
    },
    async close() {
      await watched.close();
      await provider().close?.();
    },
  };
}

async function openProvider(
  auth: ResolvedAuth,
  value: unknown,
  name: string,
  options: OpenAuthOptions,
): Promise<AuthProvider> {
  const { logger, clock } = options;
  let provider: AuthProvider;
  if (isAuthFactory(value)) provider = await value.open(options);
  else if (isLanggraphAuth(value)) provider = openLanggraphAuth(value, { logger });
  else {
    throw new HeddleError("CONFIG_INVALID", {
      message: `Auth must be an instance of Auth: ${name}. Export \`new Auth()\` of @langchain/langgraph-sdk/auth, or one of Heddle's own.`,
    });
  }
  const cached = auth.cache === null ? provider : withCallerCache(provider, clock, auth.cache);
  return options.studio && !auth.disableStudioAuth ? withStudio(cached) : cached;
}

const closable = (provider: AuthProvider): OpenAuth =>
  withAuthenticate(provider, (request) => provider.authenticate(request));
