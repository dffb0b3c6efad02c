import { REDACTED, redactUri } from "./redact.js";
import { protocolText } from "./resolve-protocols.js";
import type {
  ResolvedConfig,
  ResolvedCors,
  ResolvedHeaderPatterns,
  ResolvedLimits,
  SettingOrigin,
} from "./resolved-config.js";

/** One decided setting, fit for printing. */
export interface DescribedSetting {
  /** Dotted: `worker.concurrency`. */
  readonly name: string;
  /** Without secrets. */
  readonly value: string;
  readonly origin: SettingOrigin;
}

/**
 * What was decided and by whom, for `heddle check`. No secret is in it: URIs are redacted, of `env` only the names are
 * shown, and what seeds system assistants is not shown at all.
 */
export function describeConfig(config: ResolvedConfig): readonly DescribedSetting[] {
  const { worker, database, http, streaming, listen, logging } = config;
  const values: readonly (readonly [name: string, value: string | number | boolean])[] = [
    ["storage", redactUri(config.storage.uri)],
    ["checkpointer", describeCheckpointer(config)],
    ["allowEphemeral", config.allowEphemeral],
    ["redis", config.redis === null ? "none" : redactUri(config.redis)],
    ["encryption", describeEncryption(config)],
    ["encryption.strict", config.encryption?.strict ?? false],
    ["encryption.clearItemFields", list(config.encryption?.clearItemFields ?? [])],
    ["database.maxConnections", database.maxConnections ?? "the driver's default"],
    ["database.directUri", database.directUri === undefined ? "where storage points" : redactUri(database.directUri)],
    ["database.compressCheckpoints", database.compressCheckpoints ?? "the driver's default"],
    ["role", config.role],
    ["host", listen.host],
    ["port", listen.port],
    ...Object.entries(worker).map(([key, value]) => [`worker.${key}`, value ?? "no limit"] as const),
    ["http.basePath", http.basePath === "" ? "/" : http.basePath],
    ["http.cors", http.cors === null ? "off" : describeCors(http.cors)],
    ["http.disable", list(Object.entries(http.disabled).flatMap(([group, off]) => (off ? [group] : [])))],
    ["http.maxBodyBytes", http.maxBodyBytes],
    ["http.app", describeCustomApp(config)],
    ["http.middlewareOrder", http.app?.middlewareOrder ?? "middleware_first"],
    ["http.enableCustomRouteAuth", http.app?.isAuthenticated ?? false],
    ["http.configurableHeaders", describePatterns(http.configurableHeaders)],
    ["http.loggingHeaders", describePatterns(http.loggingHeaders)],
    ["http.trustedProxyHops", http.trustedProxyHops],
    ...Object.entries<ResolvedLimits[keyof ResolvedLimits]>({ ...config.limits }).map(
      ([key, value]) => [`limits.${key}`, describeLimit(value)] as const,
    ),
    ...Object.entries(config.crons).map(([key, value]) => [`crons.${key}`, value] as const),
    ["protocols", list(config.protocols.map(protocolText))],
    ["webhooks.secrets", config.webhooks.secrets.length === 0 ? "none" : `${config.webhooks.secrets.length} set`],
    ["webhooks.headers", list(Object.keys(config.webhooks.headers).map((name) => `${name}: ${REDACTED}`))],
    ...Object.entries(config.webhooks.url).map(
      ([key, value]) => [`webhooks.url.${key}`, Array.isArray(value) ? list(value) : String(value ?? "any")] as const,
    ),
    ["webhooks.timeoutMs", config.webhooks.timeoutMs],
    ["webhooks.retryForMs", config.webhooks.retryForMs],
    ["webhooks.keepMs", config.webhooks.keepMs],
    ["webhooks.concurrency", config.webhooks.concurrency],
    ["webhooks.perHost", config.webhooks.perHost],
    ["audit", describeAudit(config)],
    ["threads.ttl.strategy", config.threads.ttl?.strategy ?? "delete"],
    ["threads.ttl.defaultTtlMinutes", (config.threads.ttl?.ttlMs ?? 0) / 60_000 || "for ever"],
    ["threads.ttl.sweepIntervalMinutes", config.threads.sweepEveryMs / 60_000],
    ["threads.ttl.sweepLimit", config.threads.sweepLimit],
    ["store.index", describeIndex(config)],
    ["store.ttl.defaultTtlMinutes", (config.store.ttl.defaultTtlMs ?? 0) / 60_000 || "for ever"],
    ["store.ttl.refreshOnRead", config.store.ttl.refreshOnRead],
    ["store.ttl.sweepIntervalMinutes", config.store.ttl.sweepEveryMs / 60_000],
    ["auth", describeAuth(config)],
    ...Object.entries(streaming).map(([key, value]) => [`streaming.${key}`, value] as const),
    ["ui", list(Object.keys(config.ui.files))],
    ["uiConfig.shared", list(config.ui.shared)],
    ["schemaTimeoutMs", config.schemaTimeoutMs],
    ["logLevel", logging.level],
    ["logFormat", logging.format],
    ["systemAssistants", list(Object.keys(config.systemAssistants))],
    ["env", list(Object.keys(config.graphEnv).map((name) => `${name}=${REDACTED}`))],
    ["langsmith", config.langsmith.tracing ? "key set" : "off"],
  ];
  return values.map(([name, value]) => ({ name, value: String(value), origin: config.origins[name] ?? "default" }));
}

/** Names of variables that hold secrets, by the words in use. */
const SECRET_NAME = /key|token|secret|passw|credential|auth|cookie|dsn|uri|url/i;
/** Shorter values of other variables are words like `true` and `production`, which a message may well contain. */
const MIN_SECRET_LENGTH = 20;

/** Everything in a configuration that must not be printed, for `redactText`. */
export function secretsOf(config: ResolvedConfig): readonly string[] {
  const { storage, checkpointer, redis, database } = config;
  const uris = [storage.uri, checkpointer.kind === "uri" ? checkpointer.uri : null, redis, database.directUri].filter(
    (uri) => uri !== null && uri !== undefined,
  );
  const variables = Object.entries(config.graphEnv)
    .filter(([name, value]) => SECRET_NAME.test(name) || value.length >= MIN_SECRET_LENGTH)
    .map(([, value]) => value);
  const { secrets, headers } = config.webhooks;
  const webhookSecrets = [...secrets, ...Object.values(headers)].filter((text) => text !== "");
  const { encryption } = config;
  const keys = encryption?.from.kind === "text" ? encryption.from.text.split(/[\s,]+/) : [];
  // An entry is `id:key`; neither it nor the key alone may be shown.
  const secretKeys = keys.flatMap((entry) => [entry, entry.slice(entry.indexOf(":") + 1)]).filter((key) => key !== "");
  return [...webhookSecrets, ...secretKeys, ...variables, ...uris.filter((uri) => redactUri(uri) !== uri)];
}

function describeEncryption({ encryption }: ResolvedConfig): string {
  const from = encryption?.from;
  if (from === undefined) return "off";
  if (from.kind === "function") return "keys from a function of your own";
  return `keys from ${from.kind === "text" ? from.name : from.path}`;
}

function describeCheckpointer({ checkpointer }: ResolvedConfig): string {
  if (checkpointer.kind === "storage") return "where storage points";
  return checkpointer.kind === "uri" ? redactUri(checkpointer.uri) : "a saver of your own";
}

function describeAuth({ auth }: ResolvedConfig): string {
  if (auth === null) return "nobody is asked";
  if (auth.source.kind === "ready-made") return `${auth.source.method}()`;
  return auth.source.kind === "file" ? auth.source.path : "an object of your own";
}

function describeCustomApp({ http: { app } }: ResolvedConfig): string {
  if (app === null) return "none";
  return app.source.kind === "file" ? app.source.path : "an app of your own";
}

function describePatterns(patterns: ResolvedHeaderPatterns | null): string {
  if (patterns === null || patterns.includes.length === 0) return "none";
  return list(patterns.includes) + (patterns.excludes.length === 0 ? "" : ` without ${list(patterns.excludes)}`);
}

function describeLimit(value: ResolvedLimits[keyof ResolvedLimits]): string | number {
  if (value === null) return "no limit";
  return typeof value === "number" ? value : `${value.perSecond} per second, ${value.burst} at once`;
}

function describeAudit({ audit }: ResolvedConfig): string {
  if (audit === null) return "off";
  const where = audit.kind === "file" ? audit.path : "a function of your own";
  return audit.required ? `${where}, required` : where;
}

function describeIndex({ store: { index } }: ResolvedConfig): string {
  if (index === null) return "off";
  const { embed, dims, fields } = index;
  const model =
    embed.kind === "value"
      ? "a model of your own"
      : embed.kind === "file"
        ? embed.path
        : `${embed.provider}:${embed.model}`;
  return `${model}, ${dims} dimensions, fields ${list(fields)}`;
}

function describeCors(cors: ResolvedCors): string {
  const origins =
    cors.allowOriginRegex === null ? cors.allowOrigins : [cors.allowOriginRegex.source, ...cors.allowOrigins];
  return `${list(origins)}${cors.allowCredentials ? " with credentials" : ""}`;
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}
