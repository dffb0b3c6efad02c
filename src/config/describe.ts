import { REDACTED, redactUri } from "./redact.js";
import type { ResolvedConfig, ResolvedCors, SettingOrigin } from "./resolved-config.js";

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
    ["database.maxConnections", database.maxConnections ?? "the driver's default"],
    ["database.directUri", database.directUri === undefined ? "where storage points" : redactUri(database.directUri)],
    ["role", config.role],
    ["host", listen.host],
    ["port", listen.port],
    ...Object.entries(worker).map(([key, value]) => [`worker.${key}`, value ?? "no limit"] as const),
    ["http.basePath", http.basePath === "" ? "/" : http.basePath],
    ["http.cors", http.cors === null ? "off" : describeCors(http.cors)],
    ["http.disable", list(Object.entries(http.disabled).flatMap(([group, off]) => (off ? [group] : [])))],
    ["http.maxBodyBytes", http.maxBodyBytes],
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
  return [...variables, ...uris.filter((uri) => redactUri(uri) !== uri)];
}

function describeCheckpointer({ checkpointer }: ResolvedConfig): string {
  if (checkpointer.kind === "storage") return "where storage points";
  return checkpointer.kind === "uri" ? redactUri(checkpointer.uri) : "a saver of your own";
}

function describeAuth({ auth }: ResolvedConfig): string {
  if (auth === null) return "nobody is asked";
  return auth.source.kind === "file" ? auth.source.path : "an object of your own";
}

function describeCors(cors: ResolvedCors): string {
  const origins =
    cors.allowOriginRegex === null ? cors.allowOrigins : [cors.allowOriginRegex.source, ...cors.allowOrigins];
  return `${list(origins)}${cors.allowCredentials ? " with credentials" : ""}`;
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}
