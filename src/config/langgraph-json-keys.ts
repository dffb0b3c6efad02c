/**
 * What Heddle does with a key of `langgraph.json`: `honoured`; `refused` by name, the server does not start; or
 * `build-only`: it concerns the building of images and Python packages, and is none of a server's business.
 */
export interface LanggraphJsonKey {
  /** Dotted; a section's name stands for all below it. */
  readonly key: string;
  readonly status: "honoured" | "refused" | "build-only";
  /** What it does here, or why not and the way out. */
  readonly note: string;
}

const honoured = (key: string, note: string): LanggraphJsonKey => ({ key, status: "honoured", note });
const refused = (key: string, note: string): LanggraphJsonKey => ({ key, status: "refused", note });
const buildOnly = (key: string, note: string): LanggraphJsonKey => ({ key, status: "build-only", note });

/** Every key of docs/wire/langgraph-api.md §5.1. Tests hold docs/compat.md and the parser against it. */
export const LANGGRAPH_JSON_KEYS: readonly LanggraphJsonKey[] = [
  honoured("graphs", "`file:export` or `{path, description}`; the export defaults to `default`"),
  honoured("env", "a dotenv file or a map; what the process already has stays. Lists are an error"),
  honoured("node_version", "a warning when the running Node is another"),
  honoured("node_loader", "`tsx`, the default, stands for Heddle's own loader; any other is refused"),
  honoured("http.disable_assistants", "these routes are not served"),
  honoured("http.disable_threads", "these routes are not served"),
  honoured("http.disable_runs", "these routes are not served"),
  honoured("http.disable_store", "these routes are not served"),
  honoured("http.disable_meta", "these routes are not served"),
  honoured("http.disable_mcp", "these routes are not served"),
  honoured("http.disable_a2a", "these routes are not served"),
  honoured("http.disable_ui", "these routes are not served"),
  honoured("http.disable_webhooks", "runs with a webhook are refused"),
  honoured("http.cors", "all seven fields; a regular expression must match the whole origin"),
  honoured("http.mount_prefix", "everything is served under it"),
  honoured("http.app", "`file:export` of a Hono app; its routes win, its middleware is around ours"),
  honoured("http.middleware_order", "`middleware_first`, the default, or `auth_first`"),
  honoured("http.enable_custom_route_auth", "routes of `http.app` are authenticated, too"),
  honoured("http.configurable_headers", "these headers go to `configurable`; none by default, never an API key"),
  honoured("http.logging_headers", "these headers go to log lines; none by default, never a credential"),
  honoured("http.trusted_proxy_hops", "Heddle's own: proxies in front that append to `X-Forwarded-For`; default 0"),
  honoured("protocols", 'Heddle\'s own: `["state-store", {"name": "openwop", "path": "/wop"}]` (docs/protocols/)'),
  honoured("limits", "Heddle's own: what one client may ask for (docs/guides/limits.md)"),
  honoured("crons", "Heddle's own: `{missed_ticks, max_missed_ticks}` (docs/guides/crons.md)"),
  honoured(
    "webhooks.headers",
    "sent with each webhook; `${{ env.NAME }}` is filled in, a missing variable is an error",
  ),
  honoured("webhooks.env_prefix", "what names of those variables must begin with; default `LG_WEBHOOK_`"),
  honoured("webhooks.url", "the five of the reference, and our `allow_private_networks` (docs/guides/webhooks.md)"),
  honoured("webhooks.delivery", "Heddle's own: `{timeout_ms, retry_for_ms, keep_ms, concurrency, per_host}`"),
  honoured("audit", "Heddle's own: `{file, required}`, a line per operation (docs/guides/audit-log.md)"),
  honoured("auth.path", "`file:export`: the SDK's `Auth` object, or one of Heddle's own ways to authenticate"),
  honoured("auth.api_key", "ours: keys of `heddle keys create`; the options of `apiKey()` in snake case"),
  honoured("auth.jwt", "ours: signed tokens; the options of `jwt()` in snake case, `issuer` and `audience` at least"),
  honoured("auth.disable_studio_auth", "Studio is let in by `heddle dev` alone, and not at all with `true`"),
  honoured("auth.cache", "`cache_keys` names headers; `ttl_seconds` defaults to 60, `max_size` to 1,000"),
  honoured("auth.openapi", "`securitySchemes`, `security` and `paths` are merged into `/openapi.json`"),
  honoured(
    "encryption.path",
    "`file:export` of a function that returns `{active, keys}`; Python's `Encryption` is refused",
  ),
  honoured(
    "checkpointer.ttl",
    "`{strategy, default_ttl, sweep_interval_minutes, sweep_limit}`: how long new threads live (docs/guides/retention.md)",
  ),
  honoured(
    "checkpointer.compress",
    "Heddle's own: whether checkpoints are compressed (docs/guides/checkpoint-storage.md)",
  ),
  honoured("store.index", "`{dims, embed, fields}`: semantic search in the long-term store (docs/guides/store.md)"),
  honoured("store.ttl", "`{refresh_on_read, default_ttl, sweep_interval_minutes}`: how long items live"),
  honoured("ui", "files of components by graph id or alias; bundled at start, and again on a change in `heddle dev`"),
  honoured("ui_config.shared", "packages that the page supplies with `experimental_loadShare`; they are not bundled"),

  refused("auth.allow_langsmith_api_keys", "LangSmith keys can't be checked here. Remove the key"),
  refused("checkpointer.path", "Pass a saver to createApp({ checkpointer }) instead"),
  refused("checkpointer.serde", "It configures Python's serializer, which does not exist here. Remove the key"),

  buildOnly("python_version", "chooses a Python image"),
  buildOnly("dependencies", "Python packages to install; JavaScript graphs have a package.json"),
  buildOnly("pip_config_file", "Python packaging"),
  buildOnly("pip_installer", "Python packaging"),
  buildOnly("keep_pkg_tools", "Python packaging"),
  buildOnly("source", "Python packaging"),
  buildOnly("dockerfile_lines", "appended to a generated Dockerfile"),
  buildOnly("docker_compose_file", "merged into a generated compose file"),
  buildOnly("base_image", "image selection"),
  buildOnly("image_distro", "image selection"),
  buildOnly("api_version", "image selection"),
  buildOnly("_INTERNAL_docker_tag", "image selection"),
];

/** Where editors find the schema; means nothing to a server. */
export const EDITOR_KEY = "$schema";
