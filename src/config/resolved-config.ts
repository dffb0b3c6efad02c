import type { RunConfig } from "../core/assistant.js";
import type { CipherSettings } from "../core/cipher.js";
import type { JsonValue } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { ThreadTtl } from "../core/thread.js";
import type { ReadyMadeAuth } from "./ready-made-auth.js";
import type { ResolvedCrons } from "./resolve-crons.js";
import type { ResolvedProtocol } from "./resolve-protocols.js";
import type { ResolvedWebhooks } from "./resolve-webhooks.js";
import type { AuditSink } from "./limits-options.js";
import type {
  AuthOpenapi,
  CheckpointSaverLike,
  DatabaseOptions,
  LogLevel,
  MiddlewareOrder,
  Role,
  RouteGroup,
} from "./options.js";

/** Who decided a setting. */
export type SettingOrigin = "option" | "flag" | "environment" | "langgraph.json" | "default";

/** A storage by URI; relative files in it are relative to `cwd` (the folder of whoever wrote the URI). */
export interface StorageLocation {
  readonly uri: string;
  /** Without the colon, lower case: `sqlite`. */
  readonly scheme: string;
  readonly cwd: string;
}

export type ResolvedGraph =
  /** Given to `createApp` as an object, function or promise. */
  | { readonly kind: "value"; readonly value: object; readonly description: null }
  /** `path` is `file:export` relative to {@link ResolvedConfig.graphsDir}; the export defaults to `default`. */
  | { readonly kind: "file"; readonly path: string; readonly description: string | null };

export type ResolvedCheckpointer =
  /** Where `storage` points. */
  | { readonly kind: "storage" }
  | ({ readonly kind: "uri" } & StorageLocation)
  | { readonly kind: "instance"; readonly saver: CheckpointSaverLike };

export interface ResolvedWorker {
  /** 0 = this process executes nothing. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly drainMs: number;
  readonly maxAttempts: number;
  readonly pollMs: number;
  /** `null`: no limit but a run's own. */
  readonly runTimeoutMs: number | null;
  readonly maxBlockedMs: number;
}

/** Cross-origin rules, complete (docs/wire/langgraph-api.md §2.1.3). */
export interface ResolvedCors {
  /** `["*"]` for any. */
  readonly allowOrigins: readonly string[];
  /** Anchored at both ends; wins over `allowOrigins`, and a match is echoed. */
  readonly allowOriginRegex: RegExp | null;
  readonly allowMethods: readonly string[];
  /** `null`: echo what the preflight asks for. */
  readonly allowHeaders: readonly string[] | null;
  /** Never true beside a wildcard origin. */
  readonly allowCredentials: boolean;
  /** Always holds the four that clients read. */
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds: number | null;
}

export interface ResolvedHttp {
  /** `""`, or `/` + segments without a trailing slash. */
  readonly basePath: string;
  /** `null`: send no CORS headers. */
  readonly cors: ResolvedCors | null;
  readonly disabled: Readonly<Record<RouteGroup, boolean>>;
  readonly maxBodyBytes: number;
  /** `null`: no routes but ours. */
  readonly app: ResolvedCustomApp | null;
  /** `null`: none are taken. */
  readonly configurableHeaders: ResolvedHeaderPatterns | null;
  readonly loggingHeaders: ResolvedHeaderPatterns | null;
  /** 0: `X-Forwarded-For` means nothing. */
  readonly trustedProxyHops: number;
}

/** Routes and middleware of the deployer's own. */
export interface ResolvedCustomApp {
  readonly source:
    | { readonly kind: "value"; readonly value: object }
    /** `path` is `file:export` relative to `cwd`; the export defaults to `default`. */
    | { readonly kind: "file"; readonly path: string; readonly cwd: string };
  readonly middlewareOrder: MiddlewareOrder;
  readonly isAuthenticated: boolean;
}

export interface ResolvedHeaderPatterns {
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
}

/** Limits that have no other name: those of bodies, run times and event logs stand in `http`, `worker` and `streaming`. */
export interface ResolvedLimits {
  readonly maxJsonDepth: number;
  readonly maxUrlBytes: number;
  readonly maxNameChars: number;
  readonly maxMetadataChars: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly stalledMs: number;
  /** 0: never. */
  readonly reauthenticateMs: number;
  /** `null`: what the HTTP server allows. */
  readonly maxHeaderBytes: number | null;
  /** `null`, here and below: no limit. */
  readonly requestsPerCaller: { readonly perSecond: number; readonly burst: number } | null;
  readonly streamsPerCaller: number | null;
  readonly queuedRunsPerCaller: number | null;
  readonly queuedRunsPerThread: number | null;
}

/** The index of the long-term store: what embeds which texts. */
export interface ResolvedStoreIndex {
  readonly dims: number;
  readonly embed:
    | { readonly kind: "value"; readonly value: object }
    /** `path` is `file:export` relative to `cwd`; the export defaults to `default`. */
    | { readonly kind: "file"; readonly path: string; readonly cwd: string }
    /** Through LangChain, from the packages of the project in `cwd`. */
    | { readonly kind: "model"; readonly provider: string; readonly model: string; readonly cwd: string };
  readonly fields: readonly string[];
  /** Changed by hand, where the same name gives other vectors. */
  readonly version: string | null;
  readonly maxTexts: number;
  readonly concurrency: number;
  readonly timeoutMs: number;
}

export interface ResolvedStore {
  /** `null`: nothing is embedded. */
  readonly index: ResolvedStoreIndex | null;
  readonly ttl: {
    /** `null`: items live for ever unless their put says otherwise. */
    readonly defaultTtlMs: number | null;
    readonly refreshOnRead: boolean;
    readonly sweepEveryMs: number;
  };
}

/** How long threads live (docs/guides/retention.md). */
export interface ResolvedThreads {
  /** Of new threads that ask for none; `null`: they live until somebody deletes them. */
  readonly ttl: ThreadTtl | null;
  readonly sweepEveryMs: number;
  /** Threads that one sweep takes. */
  readonly sweepLimit: number;
}

/** Where audit entries go; a path is absolute. */
export type ResolvedAudit = { readonly required: boolean } & (
  { readonly kind: "file"; readonly path: string } | { readonly kind: "function"; readonly write: AuditSink }
);

export interface ResolvedAuth {
  readonly source:
    /** The SDK's `Auth`, or an `AuthFactory`. */
    | { readonly kind: "value"; readonly value: object }
    /** `path` is `file:export` relative to `cwd`; the export defaults to `default`. */
    | { readonly kind: "file"; readonly path: string; readonly cwd: string }
    | ({ readonly kind: "ready-made" } & ReadyMadeAuth);
  readonly disableStudioAuth: boolean;
  /** `null`: ask for each request. Names are lower case. */
  readonly cache: { readonly headers: readonly string[]; readonly ttlMs: number; readonly maxEntries: number } | null;
  readonly openapi: AuthOpenapi | null;
}

export interface ResolvedUi {
  /** By graph id or alias, relative to `dir`. */
  readonly files: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly dir: string;
  /** Packages that the page supplies. */
  readonly shared: readonly string[];
}

export interface ResolvedStreaming {
  readonly eventLogTtlMs: number;
  readonly unreadTtlMs: number;
  readonly maxBytes: number;
  readonly heartbeatMs: number;
}

/** What `LANGGRAPH_CONFIG` seeds a graph's system assistant with (docs/wire/langgraph-api.md §5.2). */
export interface SystemAssistantSeed {
  readonly config: RunConfig;
  /** Absent when the variable gives none. */
  readonly context?: JsonValue;
}

/** Every setting, decided; deeply frozen except what users own (graphs, saver, logger). */
export interface ResolvedConfig {
  /** The folder of `langgraph.json`, else the working folder. The default storage lies here. */
  readonly rootDir: string;
  /** Absolute; `null` without one. */
  readonly manifestPath: string | null;
  /** Absolute path of the `env` file that `langgraph.json` names, also when it is missing; `null` without one. */
  readonly envFilePath: string | null;
  /** Variables of `langgraph.json`'s `env` that the process does not have. Set them with `populateEnv` before graphs load. */
  readonly graphEnv: Readonly<Record<string, string>>;
  /** At least one. */
  readonly graphs: Readonly<Record<string, ResolvedGraph>>;
  /** What `file` graphs are relative to. */
  readonly graphsDir: string;
  readonly schemaTimeoutMs: number;
  readonly systemAssistants: Readonly<Record<string, SystemAssistantSeed>>;
  readonly storage: StorageLocation;
  readonly checkpointer: ResolvedCheckpointer;
  /** Event log and dispatcher of several processes; `null`: where `storage` points. */
  readonly redis: string | null;
  /** `null`: nothing is encrypted at rest. */
  readonly encryption: CipherSettings | null;
  /** How databases are reached; absent keys have the driver's defaults. */
  readonly database: DatabaseOptions;
  /** What this process does: serve requests, execute runs, or both. */
  readonly role: Role;
  /** True allows a durable checkpointer beside a memory metadata store, and the reverse. */
  readonly allowEphemeral: boolean;
  readonly worker: ResolvedWorker;
  readonly http: ResolvedHttp;
  readonly protocols: readonly ResolvedProtocol[];
  readonly limits: ResolvedLimits;
  readonly webhooks: ResolvedWebhooks;
  readonly crons: ResolvedCrons;
  readonly store: ResolvedStore;
  readonly threads: ResolvedThreads;
  /** `null`: nothing is written down. */
  readonly audit: ResolvedAudit | null;
  /** `null`: nobody is asked who they are. */
  readonly auth: ResolvedAuth | null;
  readonly streaming: ResolvedStreaming;
  readonly ui: ResolvedUi;
  /** For `heddle serve` and `heddle dev`. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly logging: {
    readonly level: LogLevel;
    /** `auto`: JSON unless standard output is a terminal. */
    readonly format: "json" | "line" | "auto";
    /** The user's own; `null` → Heddle makes one. */
    readonly logger: Logger | null;
  };
  readonly langsmith: {
    /** A key is set: `feedback_keys` can be honoured. */
    readonly hasApiKey: boolean;
    /** `/info` `flags.langsmith` (docs/wire/langgraph-api.md §2.11). */
    readonly tracing: boolean;
  };
  /** `LANGGRAPH_API_URL`, copied to run metadata; `null` → the CLI sets it once it listens. */
  readonly apiUrl: string | null;
  /** To be logged once at start. No secrets. */
  readonly warnings: readonly string[];
  /** Who decided the settings that `heddle check` prints, by dotted name (`storage`, `worker.concurrency`). */
  readonly origins: Readonly<Record<string, SettingOrigin>>;
}
