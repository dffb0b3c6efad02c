/** What stands for a secret in anything that is printed. */
export const REDACTED = "***";

/** Query parameters of connection URIs that are never secret. */
const OPEN_PARAMETERS = new Set([
  "application_name",
  "authmechanism",
  "authsource",
  "connect_timeout",
  "db",
  "directconnection",
  "family",
  "journal",
  "maxpoolsize",
  "minpoolsize",
  "readpreference",
  "replicaset",
  "retryreads",
  "retrywrites",
  "search_path",
  "ssl",
  "sslmode",
  "target_session_attrs",
  "tls",
  "w",
]);

/**
 * A URI without its secrets: password, a user name without password (tokens travel there), values of query parameters
 * except a few known ones, fragment. Rather hides too much: `postgres://u:p@h/db?sslmode=require&x=1` →
 * `postgres://u:***@h/db?sslmode=require&x=***`.
 */
export function redactUri(uri: string): string {
  const head = /^[a-z][a-z0-9+.-]*:(?:\/\/)?/i.exec(uri)?.[0] ?? "";
  const rest = uri.slice(head.length);
  // Unescaped `/` and `@` occur in passwords: whatever precedes the last `@` is taken for credentials.
  const at = /^(?:sqlite|memory|file):$/i.test(head) ? -1 : rest.lastIndexOf("@");
  // An `@` behind `?` or `#` may as well belong to a query or fragment: no telling where the secret ends.
  if (/[?#]/.test(rest.slice(0, at + 1))) return head + REDACTED;
  const credentials = at === -1 ? "" : `${redactCredentials(rest.slice(0, at))}@`;
  return head + credentials + redactQuery(rest.slice(at + 1));
}

function redactCredentials(credentials: string): string {
  const user = /^([\w.%+-]*):./.exec(credentials)?.[1];
  return user === undefined ? REDACTED : `${user}:${REDACTED}`;
}

function redactQuery(rest: string): string {
  const start = rest.search(/[?#]/);
  if (start === -1) return rest;
  const path = rest.slice(0, start);
  if (rest[start] === "#") return `${path}#${REDACTED}`;
  const [query = "", ...fragment] = rest.slice(start + 1).split("#");
  const parameters = query.split("&").map((parameter) => {
    const [name = "", ...value] = parameter.split("=");
    if (value.length === 0) return REDACTED;
    return OPEN_PARAMETERS.has(name.toLowerCase()) ? parameter : `${name}=${REDACTED}`;
  });
  return `${path}?${parameters.join("&")}${fragment.length === 0 ? "" : `#${REDACTED}`}`;
}

/**
 * Text (an error's message, a log line) with every URI in it redacted, and with every given secret replaced.
 * @param secrets values that must not appear, e.g. those of `langgraph.json`'s `env`; ones under 4 characters are left,
 * for they would blank out half of the text.
 */
export function redactText(text: string, secrets: readonly string[] = []): string {
  const longestFirst = secrets.filter((secret) => secret.length >= 4).sort((a, b) => b.length - a.length);
  const withoutSecrets = longestFirst.reduce((result, secret) => result.replaceAll(secret, REDACTED), text);
  return withoutSecrets.replaceAll(/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'`<>]+/gi, redactUri);
}
