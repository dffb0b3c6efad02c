import type { EnvSettings } from "./env.js";
import type { Manifest } from "./langgraph-json-schema.js";
import {
  type AppOptions,
  type CorsOptions,
  type HeaderSelection,
  type MiddlewareOrder,
  ROUTE_GROUPS,
  type RouteGroup,
} from "./options.js";
import { limitsOfManifest } from "./resolve-limits.js";
import type { ResolvedCors, ResolvedCustomApp, ResolvedHeaderPatterns, ResolvedHttp } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";

/** What clients read (docs/wire/langgraph-api.md §2.1.3); always exposed. */
const CLIENT_HEADERS = ["content-location", "x-pagination-total", "location", "x-pagination-next"];
const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "QUERY"];

/** As Platform has it (docs/wire/langgraph-api.md §2.1.1): 300 MB. */
const MAX_BODY_BYTES = 300 * 2 ** 20;

type ManifestHttp = NonNullable<Manifest["http"]>;

/** Everything of `http`. */
export function resolveHttp(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly env: EnvSettings;
  readonly manifest: Manifest;
  readonly cwd: string;
  readonly rootDir: string;
  readonly warnings: string[];
}): ResolvedHttp {
  const { pick, env, warnings } = params;
  const option = params.options.http;
  const section = params.manifest.http;
  const basePath = pick("http.basePath", {
    option: option?.basePath,
    "langgraph.json": section?.mount_prefix,
    default: "",
  });
  const cors = pick<CorsOptions | false>("http.cors", {
    option: option?.cors,
    "langgraph.json": corsOfManifest(section),
    default: {},
  });
  const disabled = pick("http.disable", {
    option: option?.disable,
    "langgraph.json": disabledOfManifest(section),
    default: [],
  });
  return {
    basePath: normaliseBasePath(basePath),
    cors: resolveCors(cors, warnings),
    disabled: disabledGroups(disabled),
    maxBodyBytes: pick("http.maxBodyBytes", {
      option: option?.maxBodyBytes ?? params.options.limits?.maxBodyBytes,
      environment: env.maxBodyBytes,
      "langgraph.json": limitsOfManifest(params.manifest.limits).maxBodyBytes,
      default: MAX_BODY_BYTES,
    }),
    app: resolveCustomApp(params),
    configurableHeaders: headerPatterns(
      pick<HeaderSelection | null>("http.configurableHeaders", {
        option: option?.configurableHeaders,
        "langgraph.json": section?.configurable_headers ?? undefined,
        default: null,
      }),
    ),
    loggingHeaders: headerPatterns(
      pick<HeaderSelection | null>("http.loggingHeaders", {
        option: option?.loggingHeaders,
        "langgraph.json": section?.logging_headers ?? undefined,
        default: null,
      }),
    ),
    trustedProxyHops: pick("http.trustedProxyHops", {
      option: option?.trustedProxyHops,
      environment: env.trustedProxyHops,
      "langgraph.json": section?.trusted_proxy_hops,
      default: 0,
    }),
  };
}

/** Routes of the deployer's own; what only says how they are served is of no use without them, and is named. */
function resolveCustomApp(params: Parameters<typeof resolveHttp>[0]): ResolvedCustomApp | null {
  const { pick, warnings } = params;
  const option = params.options.http;
  const section = params.manifest.http;
  const app = pick<object | string | null>("http.app", {
    option: option?.app,
    "langgraph.json": section?.app,
    default: null,
  });
  const middlewareOrder = pick<MiddlewareOrder>("http.middlewareOrder", {
    option: option?.middlewareOrder,
    "langgraph.json": section?.middleware_order,
    default: "middleware_first",
  });
  const isAuthenticated = pick("http.enableCustomRouteAuth", {
    option: option?.enableCustomRouteAuth,
    "langgraph.json": section?.enable_custom_route_auth,
    default: false,
  });
  if (app === null) {
    if (isAuthenticated) warnings.push("http.enable_custom_route_auth: without http.app there are no custom routes");
    return null;
  }
  const cwd = option?.app === undefined ? params.rootDir : params.cwd;
  const source =
    typeof app === "string" ? ({ kind: "file", path: app, cwd } as const) : ({ kind: "value", value: app } as const);
  return { source, middlewareOrder, isAuthenticated };
}

function headerPatterns(given: HeaderSelection | null): ResolvedHeaderPatterns | null {
  return given === null ? null : { includes: given.includes ?? [], excludes: given.excludes ?? [] };
}

/** `http.cors` of `langgraph.json` in the words of `createApp`. */
function corsOfManifest(http: ManifestHttp | undefined): CorsOptions | undefined {
  const cors = http?.cors;
  if (cors === undefined) return undefined;
  return {
    ...(cors.allow_origins && { allowOrigins: cors.allow_origins }),
    ...(cors.allow_origin_regex !== undefined && { allowOriginRegex: cors.allow_origin_regex }),
    ...(cors.allow_methods && { allowMethods: cors.allow_methods }),
    ...(cors.allow_headers && { allowHeaders: cors.allow_headers }),
    ...(cors.allow_credentials !== undefined && { allowCredentials: cors.allow_credentials }),
    ...(cors.expose_headers && { exposeHeaders: cors.expose_headers }),
    ...(cors.max_age !== undefined && { maxAgeSeconds: cors.max_age }),
  };
}

/** The groups that `http.disable_*` of `langgraph.json` names; `undefined` when it has no such key. */
function disabledOfManifest(http: ManifestHttp | undefined): readonly RouteGroup[] | undefined {
  const disabled = ROUTE_GROUPS.filter((group) => http?.[`disable_${group}`] === true);
  return disabled.length === 0 ? undefined : disabled;
}

/**
 * Complete cross-origin rules (docs/wire/langgraph-api.md §2.1.3).
 * A regular expression must match the whole origin, or `https://example.com.evil.org` would pass for `example.com`.
 */
function resolveCors(cors: CorsOptions | false, warnings: string[]): ResolvedCors | null {
  if (cors === false) return null;
  const allowOriginRegex = cors.allowOriginRegex === undefined ? null : new RegExp(`^(?:${cors.allowOriginRegex})$`);
  // With a regular expression alone, nothing else is allowed.
  const allowOrigins = cors.allowOrigins ?? (allowOriginRegex === null ? ["*"] : []);
  const wildcard = allowOrigins.includes("*");
  if (wildcard && cors.allowCredentials === true) {
    warnings.push("cors: credentials stay off while every origin is allowed; name the origins to switch them on");
  }
  const allowMethods = cors.allowMethods ?? ["*"];
  const allowHeaders = cors.allowHeaders ?? ["*"];
  const exposed = [...CLIENT_HEADERS, ...(cors.exposeHeaders ?? [])].map((header) => header.toLowerCase());
  return {
    allowOrigins: wildcard ? ["*"] : [...allowOrigins],
    allowOriginRegex,
    allowMethods: allowMethods.includes("*") ? METHODS : [...allowMethods],
    allowHeaders: allowHeaders.includes("*") ? null : [...allowHeaders],
    allowCredentials: cors.allowCredentials === true && !wildcard,
    exposeHeaders: [...new Set(exposed)],
    maxAgeSeconds: cors.maxAgeSeconds ?? null,
  };
}

/** `agent/` → `/agent`; `/` → `""`. */
function normaliseBasePath(path: string): string {
  const segments = path.split("/").filter((segment) => segment !== "");
  return segments.map((segment) => `/${segment}`).join("");
}

/** Every group, switched off or not. */
function disabledGroups(groups: readonly RouteGroup[]): ResolvedHttp["disabled"] {
  const entries = ROUTE_GROUPS.map((group) => [group, groups.includes(group)]);
  return Object.fromEntries(entries) as ResolvedHttp["disabled"];
}
