import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions, AuthOptions } from "./options.js";
import type { ResolvedAuth } from "./resolved-config.js";
import { AUTH_METHODS, type ReadyMadeAuth, readyMadeOf } from "./ready-made-auth.js";
import type { SettingPicker } from "./setting-picker.js";

const CACHE_TTL_MS = 60_000;
const CACHE_ENTRIES = 1_000;

type Given = Omit<AuthOptions, "use"> & { readonly use: AuthOptions["use"] | ReadyMadeAuth };

/** Who may ask; `null` when nobody is asked. The option replaces the whole section of `langgraph.json`. */
export function resolveAuth(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly manifest: Manifest;
  readonly cwd: string;
  readonly rootDir: string;
  readonly warnings: string[];
}): ResolvedAuth | null {
  const { options, manifest, warnings } = params;
  const given = params.pick<Given | null>("auth", {
    option: ofOption(options.auth),
    "langgraph.json": ofManifest(manifest.auth, warnings),
    default: null,
  });
  if (given === null) return null;
  const { use, cache, disableStudioAuth = false, openapi = null } = given;
  const cwd = options.auth === undefined ? params.rootDir : params.cwd;
  return {
    source: sourceOf(use, cwd),
    disableStudioAuth,
    cache:
      cache === undefined
        ? null
        : {
            headers: cache.headers.map((name) => name.toLowerCase()),
            ttlMs: cache.ttlMs ?? CACHE_TTL_MS,
            maxEntries: cache.maxEntries ?? CACHE_ENTRIES,
          },
    openapi,
  };
}

function sourceOf(use: Given["use"], cwd: string): ResolvedAuth["source"] {
  if (typeof use === "string") return { kind: "file", path: use, cwd };
  return "method" in use ? { kind: "ready-made", ...use } : { kind: "value", value: use };
}

function ofOption(auth: AppOptions["auth"]): AuthOptions | undefined {
  if (auth === undefined) return undefined;
  return typeof auth === "object" && "use" in auth ? auth : { use: auth };
}

/** Without a way to authenticate nobody is asked: the other keys alone change nothing, and are named. */
function ofManifest(auth: Manifest["auth"], warnings: string[]): Given | undefined {
  if (auth === undefined) return undefined;
  const { path, disable_studio_auth: disableStudioAuth, cache, openapi } = auth;
  const use = path ?? readyMadeOf(auth);
  if (use === null) {
    const useless = [cache === undefined ? [] : ["auth.cache"], openapi === undefined ? [] : ["auth.openapi"]].flat();
    for (const key of useless)
      warnings.push(
        `${key}: without ${AUTH_METHODS.map((method) => `auth.${method}`).join(", ")} nobody is asked who they are`,
      );
    return undefined;
  }
  return {
    use,
    ...(disableStudioAuth !== undefined && { disableStudioAuth }),
    ...(cache !== undefined && {
      cache: {
        headers: cache.cache_keys,
        ...(cache.ttl_seconds !== undefined && { ttlMs: Math.round(cache.ttl_seconds * 1000) }),
        ...(cache.max_size !== undefined && { maxEntries: cache.max_size }),
      },
    }),
    ...(openapi !== undefined && { openapi }),
  };
}
