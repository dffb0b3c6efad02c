import { schemeOf } from "../core/driver.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import { type LogLevel, ROLES, type Role } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { SystemAssistantSeed } from "./resolved-config.js";

/** Variables by name, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's own environment. This file is the only reader of it (design §1, rule 4). */
export function processEnvironment(): Environment {
  return process.env;
}

/**
 * Set variables that the process does not have; what it has stays (docs/wire/langgraph-api.md §5.1 `env`).
 * @returns removes what was set, unless somebody changed it since: for a reload
 */
export function populateEnv(values: Readonly<Record<string, string>>): () => void {
  const added = Object.entries(values).filter(([name]) => process.env[name] === undefined);
  for (const [name, value] of added) process.env[name] = value;
  return () => {
    for (const [name, value] of added) if (process.env[name] === value) delete process.env[name];
  };
}

/**
 * Tell graphs the address of this server (docs/wire/langgraph-api.md §5.2 `LANGGRAPH_API_URL`, `PORT`).
 * @returns as {@link populateEnv}
 */
export function announceUrl(url: string, port: number): () => void {
  return populateEnv({ LANGGRAPH_API_URL: url, PORT: String(port) });
}

/** Sections of `langgraph.json` that a variable may replace (docs/wire/langgraph-api.md §5.2). */
const SECTION_VARIABLES = {
  LANGSERVE_GRAPHS: "graphs",
  LANGGRAPH_UI: "ui",
  LANGGRAPH_UI_CONFIG: "ui_config",
  LANGGRAPH_STORE: "store",
  LANGGRAPH_AUTH: "auth",
  LANGGRAPH_HTTP: "http",
  LANGGRAPH_WEBHOOKS: "webhooks",
  LANGGRAPH_ENCRYPTION: "encryption",
  HEDDLE_LIMITS: "limits",
  HEDDLE_CRONS: "crons",
  HEDDLE_PROTOCOLS: "protocols",
} as const;

/** Secrets that webhooks are signed with. */
export const SECRETS_VARIABLE = "HEDDLE_WEBHOOK_SECRETS";

/** A URI, or the section as the others. */
export const CHECKPOINTER_VARIABLE = "LANGGRAPH_CHECKPOINTER";

/** What Heddle takes from each variable; tests hold docs/compat.md against it. */
export const ENVIRONMENT_VARIABLES: readonly { readonly name: string; readonly note: string }[] = [
  { name: "DATABASE_URI", note: "storage" },
  { name: "POSTGRES_URI", note: "storage, after DATABASE_URI" },
  { name: "MONGODB_URI", note: "storage, after POSTGRES_URI" },
  { name: "POSTGRES_DIRECT_URI", note: "the storage's Postgres without PgBouncer, for LISTEN and session locks" },
  { name: "LANGGRAPH_POSTGRES_POOL_MAX_SIZE", note: "connections of one database pool, default 10" },
  { name: "HEDDLE_COMPRESS_CHECKPOINTS", note: "true or false; default true in SQLite, false in Postgres" },
  { name: "REDIS_URI", note: "event logs and notifications of several processes" },
  { name: "HEDDLE_ROLE", note: "all, api or worker: what this process does" },
  { name: "HEDDLE_AUDIT_LOG", note: "file of the audit log" },
  { name: "HEDDLE_TRUSTED_PROXY_HOPS", note: "proxies in front that append to X-Forwarded-For, default 0" },
  { name: "HEDDLE_ENCRYPTION_KEY", note: "keys of encryption at rest, the active one first: id:base64,id:base64" },
  { name: "HEDDLE_ENCRYPTION_KEY_FILE", note: "a file with the same, one key per line" },
  { name: "HEDDLE_ENCRYPTION_STRICT", note: "true: stored values that are not encrypted are refused" },
  { name: "HEDDLE_ENCRYPTION_CLEAR_ITEM_FIELDS", note: "fields of store items that filters may name, with commas" },
  { name: SECRETS_VARIABLE, note: "whsec_… secrets that sign webhooks, with commas; all of them sign" },
  { name: "BG_JOB_TIMEOUT_SECS", note: "one attempt of a run may take this long, default no limit" },
  { name: "PORT", note: "port of `heddle serve` and `dev`; set for graphs when the process has none" },
  { name: "HOST", note: "host of `heddle serve` and `dev`" },
  { name: "LOG_LEVEL", note: "debug, info, warn, error or silent" },
  { name: "LOG_JSON", note: "true: JSON lines also on a terminal; false: never" },
  { name: "LANGGRAPH_CONFIG", note: "config and context of new system assistants, by graph id" },
  ...Object.entries(SECTION_VARIABLES).map(([name, key]) => ({ name, note: `replaces \`${key}\` of langgraph.json` })),
  { name: CHECKPOINTER_VARIABLE, note: "URI for checkpoints; JSON replaces `checkpointer` of langgraph.json" },
  { name: "LANGGRAPH_NODE_LOADER", note: "replaces `node_loader` of langgraph.json" },
  { name: "LANGGRAPH_API_URL", note: "goes into run metadata; set by the CLI when the process has none" },
  { name: "LANGGRAPH_SCHEMA_RESOLVE_TIMEOUT_MS", note: "limit of static schema extraction, default 30000" },
  { name: "LANGSMITH_API_KEY", note: "read by LangChain's tracer; `/info` says whether it is set" },
  { name: "LANGCHAIN_API_KEY", note: "the same" },
  { name: "LANGSMITH_TRACING", note: "read by LangChain's tracer; `false` clears the flag of `/info`" },
  { name: "LANGSMITH_TRACING_V2", note: "the same" },
  { name: "LANGCHAIN_TRACING", note: "the same" },
  { name: "LANGCHAIN_TRACING_V2", note: "the same" },
  { name: "HTTP_MAX_REQUEST_BODY_BYTES", note: "limit of request bodies, default 314572800" },
  { name: "BROWSER", note: "nothing to switch off: Heddle never opens a browser" },
];

/** Longest delay that Node's timers take: 24.8 days. */
const MAX_TIMER_SECONDS = 2_147_483;

/** The environment, typed; `undefined` where a variable is not set or empty. */
export interface EnvSettings {
  readonly storage: string | undefined;
  /** A URI. */
  readonly checkpointer: string | undefined;
  readonly redis: string | undefined;
  readonly maxConnections: number | undefined;
  readonly directUri: string | undefined;
  readonly compressCheckpoints: boolean | undefined;
  readonly role: Role | undefined;
  readonly runTimeoutMs: number | undefined;
  readonly encryption: {
    readonly keys: string | undefined;
    readonly keyFile: string | undefined;
    readonly strict: boolean | undefined;
    readonly clearItemFields: readonly string[] | undefined;
  };
  readonly webhookSecrets: readonly string[] | undefined;
  readonly auditFile: string | undefined;
  readonly trustedProxyHops: number | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly logLevel: LogLevel | undefined;
  readonly logJson: boolean | undefined;
  readonly maxBodyBytes: number | undefined;
  readonly schemaTimeoutMs: number | undefined;
  readonly apiUrl: string | undefined;
  readonly langsmith: { readonly hasApiKey: boolean; readonly tracing: boolean };
  readonly systemAssistants: Readonly<Record<string, SystemAssistantSeed>>;
  /** Sections that replace those of `langgraph.json`, with the variable that gave each. */
  readonly sections: Readonly<Record<string, { readonly value: unknown; readonly variable: string }>>;
  /** Which variable decided `storage`. */
  readonly storageVariable: string | undefined;
}

const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ["trace", "debug"],
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["warning", "warn"],
  ["error", "error"],
  ["critical", "error"],
  ["fatal", "error"],
  ["silent", "silent"],
]);

/** A log level by any of the names in use (`warning`, `trace`, any case); `undefined` for no such level. */
export function parseLogLevel(text: string): LogLevel | undefined {
  return LEVELS.get(text.toLowerCase());
}

/** Read every variable of docs/wire/langgraph-api.md §5.2 and Heddle's own. What is wrong goes into `problems`. */
export function readEnv(env: Environment, problems: ConfigProblem[]): EnvSettings {
  const read = reader(env, problems);
  const storageVariable = ["DATABASE_URI", "POSTGRES_URI", "MONGODB_URI"].find((name) => read.text(name) !== undefined);
  const runTimeoutSeconds = read.integer("BG_JOB_TIMEOUT_SECS", 1, MAX_TIMER_SECONDS);
  const nodeLoader = read.text("LANGGRAPH_NODE_LOADER");
  const sections: Record<string, { value: unknown; variable: string }> = {};
  for (const [variable, key] of Object.entries(SECTION_VARIABLES)) {
    const value = read.json(variable);
    if (value !== undefined) sections[key] = { value, variable };
  }
  const checkpointer = read.uriOrJson(CHECKPOINTER_VARIABLE);
  if (checkpointer !== undefined && "json" in checkpointer) {
    sections["checkpointer"] = { value: checkpointer.json, variable: CHECKPOINTER_VARIABLE };
  }
  if (nodeLoader !== undefined) sections["node_loader"] = { value: nodeLoader, variable: "LANGGRAPH_NODE_LOADER" };
  const hasApiKey = (read.text("LANGSMITH_API_KEY") ?? read.text("LANGCHAIN_API_KEY")) !== undefined;
  const switches = ["LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING", "LANGSMITH_TRACING_V2", "LANGSMITH_TRACING"];
  return {
    storage: storageVariable === undefined ? undefined : read.text(storageVariable),
    storageVariable,
    checkpointer: checkpointer !== undefined && "uri" in checkpointer ? checkpointer.uri : undefined,
    redis: read.text("REDIS_URI"),
    maxConnections: read.integer("LANGGRAPH_POSTGRES_POOL_MAX_SIZE", 1, 10_000),
    directUri: read.text("POSTGRES_DIRECT_URI"),
    compressCheckpoints: read.boolean("HEDDLE_COMPRESS_CHECKPOINTS"),
    role: read.role("HEDDLE_ROLE"),
    runTimeoutMs: runTimeoutSeconds === undefined ? undefined : runTimeoutSeconds * 1000,
    encryption: {
      keys: read.text("HEDDLE_ENCRYPTION_KEY"),
      keyFile: read.text("HEDDLE_ENCRYPTION_KEY_FILE"),
      strict: read.boolean("HEDDLE_ENCRYPTION_STRICT"),
      clearItemFields: read
        .text("HEDDLE_ENCRYPTION_CLEAR_ITEM_FIELDS")
        ?.split(",")
        .map((field) => field.trim()),
    },
    webhookSecrets: read
      .text(SECRETS_VARIABLE)
      ?.split(/[\s,]+/)
      .filter((text) => text !== ""),
    auditFile: read.text("HEDDLE_AUDIT_LOG"),
    trustedProxyHops: read.integer("HEDDLE_TRUSTED_PROXY_HOPS", 0, 32),
    host: read.text("HOST"),
    port: read.integer("PORT", 0, 65_535),
    logLevel: read.logLevel("LOG_LEVEL"),
    logJson: read.boolean("LOG_JSON"),
    maxBodyBytes: read.integer("HTTP_MAX_REQUEST_BODY_BYTES", 1, Number.MAX_SAFE_INTEGER),
    schemaTimeoutMs: read.integer("LANGGRAPH_SCHEMA_RESOLVE_TIMEOUT_MS", 1, 2 ** 31 - 1),
    apiUrl: read.text("LANGGRAPH_API_URL"),
    langsmith: { hasApiKey, tracing: hasApiKey && !switches.some((name) => /^false$/i.test(read.text(name) ?? "")) },
    systemAssistants: systemAssistants(read.json("LANGGRAPH_CONFIG"), problems),
    sections,
  };
}

function reader(env: Environment, problems: ConfigProblem[]) {
  const invalid = (field: string, message: string): void => {
    problems.push({ code: "CONFIG_INVALID", field, message });
  };
  const text = (name: string) => {
    const value = env[name]?.trim();
    return value === undefined || value === "" ? undefined : value;
  };
  const json = (name: string, message = "must be JSON."): JsonValue | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    try {
      return JSON.parse(value) as JsonValue;
    } catch {
      // The parser's message quotes the text, which may hold secrets.
      invalid(name, message);
      return undefined;
    }
  };
  return {
    text,
    integer(name: string, min: number, max: number): number | undefined {
      const value = text(name);
      if (value === undefined) return undefined;
      const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      invalid(name, `must be a whole number from ${min} to ${max}.`);
      return undefined;
    },
    boolean(name: string): boolean | undefined {
      const value = text(name)?.toLowerCase();
      if (value === undefined) return undefined;
      if (value === "true" || value === "1" || value === "yes") return true;
      if (value === "false" || value === "0" || value === "no") return false;
      invalid(name, "must be true or false.");
      return undefined;
    },
    logLevel(name: string): LogLevel | undefined {
      const value = text(name);
      if (value === undefined) return undefined;
      const level = parseLogLevel(value);
      if (level === undefined) invalid(name, "must be debug, info, warn, error or silent.");
      return level;
    },
    role(name: string): Role | undefined {
      const value = text(name);
      const role = ROLES.find((known) => known === value?.toLowerCase());
      if (value !== undefined && role === undefined) invalid(name, `must be ${ROLES.join(", ")}.`);
      return role;
    },
    json,
    uriOrJson(name: string): { readonly uri: string } | { readonly json: JsonValue } | undefined {
      const value = text(name);
      if (value === undefined) return undefined;
      if (schemeOf(value) !== null) return { uri: value };
      const section = json(name, "must be a URI (postgres://…, mongodb://…, sqlite:<file>, redis://…) or JSON.");
      return section === undefined ? undefined : { json: section };
    },
  };
}

function systemAssistants(
  value: JsonValue | undefined,
  problems: ConfigProblem[],
): Readonly<Record<string, SystemAssistantSeed>> {
  if (value === undefined) return {};
  if (!isJsonObject(value) || !Object.values(value).every(isJsonObject)) {
    const message = 'must be a JSON object of objects, by graph id: {"agent": {"configurable": {…}, "context": {…}}}.';
    problems.push({ code: "CONFIG_INVALID", field: "LANGGRAPH_CONFIG", message });
    return {};
  }
  const seeds = Object.entries(value).map(([graphId, seed]): [string, SystemAssistantSeed] => {
    const { context, ...config } = seed as JsonObject;
    return [graphId, { config, ...(context !== undefined && { context }) }];
  });
  return Object.fromEntries(seeds);
}
