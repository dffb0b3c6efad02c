import type { AuthFactory } from "../core/auth.js";
import type { EncryptionKeySource } from "../core/cipher.js";
import type { ProtocolMount } from "../core/protocol.js";
import type { JsonObject } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { CronsOptions } from "./resolve-crons.js";
import type { NamedProtocol } from "./protocol-text.js";
import type { WebhooksOptions } from "./resolve-webhooks.js";
import type { AuditOptions, AuditSink, LimitsOptions } from "./limits-options.js";
import type { ThreadsOptions } from "./threads-options.js";
import type { StoreOptions } from "./store-options.js";

/** Levels of the log, from most to least. `silent` writes nothing. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * What Heddle needs of a LangGraph `BaseCheckpointSaver`, by shape: the user's project may carry another copy of the
 * package (design §7.10).
 */
export interface CheckpointSaverLike {
  getTuple(...args: never[]): Promise<unknown>;
  list(...args: never[]): AsyncIterable<unknown>;
  put(...args: never[]): Promise<unknown>;
  putWrites(...args: never[]): Promise<unknown>;
  deleteThread(...args: never[]): Promise<unknown>;
}

/** How this process executes runs. */
export interface WorkerOptions {
  /** Runs executed at once by this process; 0 = serve requests only. Default 10. */
  readonly concurrency?: number;
  /** How long a claim lasts without a heartbeat. Default 15,000. */
  readonly leaseMs?: number;
  /** How long a stop waits for runs to end before it hands them back. Default 10,000. */
  readonly drainMs?: number;
  /**
   * How often a run may be started before it ends as `error`. After its worker was lost it starts again at once, then after
   * 1 s, 5 s, 30 s, and a minute from there on. Default 3.
   */
  readonly maxAttempts?: number;
  /** How often to look for work and expired leases when nobody notifies. Default 1,000. */
  readonly pollMs?: number;
  /**
   * One attempt of a run may take this long; then it is aborted and ends as `timeout`. A run's own `timeout_seconds` may
   * shorten it. Default: no limit.
   */
  readonly runTimeoutMs?: number;
  /**
   * How long a graph may keep the event loop busy before its leases are no longer renewed and another process takes over.
   * Only where a thread renews leases (Postgres, MongoDB); elsewhere `leaseMs` decides. Default 60,000.
   */
  readonly maxBlockedMs?: number;
}

/** Encryption at rest (docs/guides/encryption.md). One of `keys` and `keyFile`. */
export interface EncryptionOptions {
  /**
   * Master keys, the active one first: `"id:key"` or only the key, 32 bytes in base64 or hex. Or a function that fetches them, called
   * once when the server opens.
   */
  readonly keys?: string | readonly string[] | EncryptionKeySource;
  /** A file with the same, one key per line, relative to `cwd`. */
  readonly keyFile?: string;
  /** Refuse stored values that are not encrypted, instead of taking them for older than the encryption. Default false. */
  readonly strict?: boolean;
  /** Top-level fields of the long-term store's values that filters may name: a clear copy of them is kept. Default none. */
  readonly clearItemFields?: readonly string[];
}

/** How databases behind `storage` and `checkpointer` are reached. */
export interface DatabaseOptions {
  /** Connections that one pool of this process holds at most. Default 10. */
  readonly maxConnections?: number;
  /**
   * Address of the storage's Postgres without PgBouncer in between, for LISTEN and session locks. Default: the storage's own.
   */
  readonly directUri?: string;
  /**
   * Checkpoints are compressed and share what they have in common (docs/guides/checkpoint-storage.md). Default: true in SQLite; false
   * in Postgres, whose tables other programs may read. Other databases don't offer it.
   */
  readonly compressCheckpoints?: boolean;
}

/**
 * What a process does: `all` serves requests and executes runs, `api` only serves, `worker` only executes and answers
 * nothing but `/ok` and `/info`.
 */
export const ROLES = ["all", "api", "worker"] as const;
export type Role = (typeof ROLES)[number];

/** Cross-origin rules (docs/wire/langgraph-api.md §2.1.3). */
export interface CorsOptions {
  /** Default `["*"]`. A wildcard disables credentials. */
  readonly allowOrigins?: readonly string[];
  /** Regular expression that a whole origin must match; wins over `allowOrigins`. */
  readonly allowOriginRegex?: string;
  /** Default GET, HEAD, PUT, POST, DELETE, PATCH, QUERY. */
  readonly allowMethods?: readonly string[];
  /** Default: those that the preflight asks for. */
  readonly allowHeaders?: readonly string[];
  /** Default false. */
  readonly allowCredentials?: boolean;
  /** Added to the four that clients read. */
  readonly exposeHeaders?: readonly string[];
  /** How long a browser may keep a preflight's answer, in seconds. Default: not sent. */
  readonly maxAgeSeconds?: number;
}

/** Groups of routes that can be switched off (docs/wire/langgraph-api.md §2.11). */
export const ROUTE_GROUPS = ["assistants", "threads", "runs", "store", "meta", "mcp", "a2a", "ui", "webhooks"] as const;
export type RouteGroup = (typeof ROUTE_GROUPS)[number];

/** How components of `ui` are bundled. */
export interface UiConfigOptions {
  /**
   * Packages, or modules of one, that the page supplies with `experimental_loadShare` and no bundle holds. React and the
   * SDK's React parts always are. Default none.
   */
  readonly shared?: readonly string[];
}

/** The SDK's `Auth` by its shape (docs/wire/langgraph-api.md §7.1). */
export interface LanggraphAuthLike {
  readonly "~handlerCache": object;
}

/** Who may ask, with what goes with it in `langgraph.json`. */
export interface AuthOptions {
  /** The SDK's `Auth`, one of Heddle's own (`apiKey()`, `jwt()`), or `"file:export"` of one, relative to `cwd`. */
  readonly use: LanggraphAuthLike | AuthFactory | string;
  /** Don't let Studio in. It is only ever let in by `heddle dev`. Default false. */
  readonly disableStudioAuth?: boolean;
  /** Ask once for requests with the same values of some headers. Default: ask each time. */
  readonly cache?: {
    /** Names of the headers that decide who asks. */
    readonly headers: readonly string[];
    /** How long an answer stands, also when the user is revoked meanwhile. Default 60,000. */
    readonly ttlMs?: number;
    /** Default 1,000. */
    readonly maxEntries?: number;
  };
  /** Merged into `/openapi.json`. */
  readonly openapi?: AuthOpenapi;
}

/** What `/openapi.json` says of authentication; in OpenAPI's own words. */
export interface AuthOpenapi {
  readonly securitySchemes?: JsonObject | undefined;
  readonly security?: readonly JsonObject[] | undefined;
  /** Members of operations, by path and method. */
  readonly paths?: JsonObject | undefined;
}

/** Order of authentication and the middleware of a custom app (docs/wire/langgraph-api.md §5.1). */
export const MIDDLEWARE_ORDERS = ["auth_first", "middleware_first"] as const;
export type MiddlewareOrder = (typeof MIDDLEWARE_ORDERS)[number];

/** Names of headers; `*` stands for any characters. What is excluded is never taken. */
export interface HeaderSelection {
  readonly includes?: readonly string[] | null | undefined;
  readonly excludes?: readonly string[] | null | undefined;
}

export interface HttpOptions {
  /** Path under which everything is served, e.g. `/agent`. Default none. */
  readonly basePath?: string;
  /** `false`: no CORS headers at all. Default: any origin, no credentials. */
  readonly cors?: CorsOptions | false;
  /** Groups of routes that are not served. Default none. */
  readonly disable?: readonly RouteGroup[];
  /** Larger request bodies are answered with 413. Default 314,572,800 (300 MB). */
  readonly maxBodyBytes?: number;
  /**
   * Routes and middleware of your own, as a Hono app, or `"file:export"` of one relative to `cwd`. Its routes win over Heddle's
   * (docs/guides/embedding.md).
   */
  readonly app?: object | string;
  /** Whether authentication comes before the middleware of `app` or after it. Default `middleware_first`. */
  readonly middlewareOrder?: MiddlewareOrder;
  /** Ask who calls a route of `app`, too. Default false. */
  readonly enableCustomRouteAuth?: boolean;
  /** Request headers that runs find in their `configurable`. Default none. */
  readonly configurableHeaders?: HeaderSelection;
  /** Request headers that log lines have. Default none. */
  readonly loggingHeaders?: HeaderSelection;
  /**
   * How many proxies in front of this server append to `X-Forwarded-For`: by that many entries from its right a client is known by its
   * address. Default 0: the header means nothing.
   */
  readonly trustedProxyHops?: number;
}

export interface StreamingOptions {
  /** How long a run's event log is kept after its end. Default 120,000. */
  readonly eventLogTtlMs?: number;
  /** The same for a log of a run that is not resumable and that nobody reads. Default 10,000. */
  readonly unreadTtlMs?: number;
  /** Bytes kept per run; token frames are evicted before state frames. Default 67,108,864 (64 MiB). */
  readonly maxBytes?: number;
  /** A comment is sent to idle streams this often. Default 5,000 (docs/wire/langgraph-api.md §3.1). */
  readonly heartbeatMs?: number;
}

/**
 * Options of `createApp`. Order: option > CLI flag > environment > `langgraph.json` > default (design §3).
 * Anything that is not known or not supported yet is refused by name.
 */
export interface AppOptions {
  /**
   * Graphs by id: compiled graphs, uncompiled builders, factories, `createAgent` results, promises of them, or
   * `"file:export"` relative to `cwd`. Replaces the `graphs` of `config`.
   */
  readonly graphs?: Readonly<Record<string, object | string>>;
  /** Path of a `langgraph.json`, or of the folder that has one. */
  readonly config?: string;
  /**
   * URI of the storage of assistants, threads, runs, items, events and, unless `checkpointer` says otherwise,
   * checkpoints: `memory:`, `sqlite:<file>`, `postgres://…` or `mongodb://…`. Default `sqlite:.heddle/heddle.db`.
   */
  readonly storage?: string;
  /** Another URI (also `redis://…`), or a saver, for checkpoints. Default: where `storage` points. */
  readonly checkpointer?: string | CheckpointSaverLike;
  /** Accept that a restart loses checkpoints but not threads, or threads but not checkpoints. Default false. */
  readonly allowEphemeral?: boolean;
  /**
   * `redis://…` or `rediss://…`: event logs and notifications of several processes on one storage. Never the truth: it may be
   * flushed. Default: where `storage` points.
   */
  readonly redis?: string;
  readonly database?: DatabaseOptions;
  /** Default: nothing is encrypted. Replaces the `encryption` of `config`. */
  readonly encryption?: EncryptionOptions;
  /** Default `all`. */
  readonly role?: Role;
  readonly worker?: WorkerOptions;
  readonly http?: HttpOptions;
  /**
   * Who may ask, and for what: the SDK's `Auth` object, one of Heddle's own, `"file:export"`, or {@link AuthOptions}. Replaces
   * the `auth` of `config`. Default: nobody is asked who they are.
   */
  readonly auth?: LanggraphAuthLike | AuthFactory | string | AuthOptions;
  readonly limits?: LimitsOptions;
  readonly crons?: CronsOptions;
  /** Semantic search and times to live in the long-term store. Default: neither. */
  readonly store?: StoreOptions;
  /** How long threads live. Default: for ever. */
  readonly threads?: ThreadsOptions;
  readonly webhooks?: WebhooksOptions;
  /**
   * Other protocols over the same graphs, threads and storage: `[stateStore(), openwop({ port: 3001 })]` (docs/protocols/). Replaces the
   * `protocols` of `config`. Default none.
   */
  readonly protocols?: readonly ProtocolMount[];
  /** Who did what, and what came of it: a function that takes entries, or {@link AuditOptions}. Default: nothing is written down. */
  readonly audit?: AuditSink | AuditOptions;
  readonly streaming?: StreamingOptions;
  /**
   * Generative UI: files whose default export holds React components by name, by graph id or alias, relative to `cwd`.
   * Replaces the `ui` of `config`.
   */
  readonly ui?: Readonly<Record<string, string>>;
  readonly uiConfig?: UiConfigOptions;
  /** Where log lines go. Default: standard output, one line each. */
  readonly logger?: Logger;
  /** Default `info`. */
  readonly logLevel?: LogLevel;
  /** The environment to read settings from. Default the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What relative paths of these options are relative to. Default the process's working folder. */
  readonly cwd?: string;
}

/** Settings that the command line may give. */
export interface CliFlags {
  readonly config?: string;
  readonly host?: string;
  readonly port?: number;
  readonly storage?: string;
  readonly checkpointer?: string;
  /** Run slots of this process. */
  readonly workers?: number;
  /** Replace the `protocols` of `langgraph.json`. */
  readonly protocols?: readonly NamedProtocol[];
  readonly role?: Role;
  readonly logLevel?: LogLevel;
}
