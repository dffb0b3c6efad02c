import type { AuditEntry } from "../core/audit.js";

/** How many requests of one caller are let in. */
export interface RequestRate {
  /** On average; may be a fraction: 0.5 is one in two seconds. */
  readonly perSecond: number;
  /** So many may come at once. Default: `perSecond`, at least 1. */
  readonly burst?: number;
}

/**
 * What one client may ask of the server. What is over a limit is refused with an answer that names the limit
 * (docs/guides/limits.md).
 */
export interface LimitsOptions {
  /** Larger request bodies and WebSocket messages are refused with 413. Default 314,572,800 (300 MB). The same as `http.maxBodyBytes`. */
  readonly maxBodyBytes?: number;
  /** Objects and arrays inside one another in a JSON body; 422. At most 1,000. Default 500. */
  readonly maxJsonDepth?: number;
  /** Path and query; 414. Default 8,192. */
  readonly maxUrlBytes?: number;
  /** All headers; 431. Default: what the HTTP server allows, with `listen` 16,384. */
  readonly maxHeaderBytes?: number;
  /** Ids, names, keys of items and labels of their namespaces in a body; 422. Default 1,024. */
  readonly maxNameChars?: number;
  /** `metadata` of a body, as JSON; 422. Default 1,048,576. */
  readonly maxMetadataChars?: number;
  /** 429 with `Retry-After`. With `redis` it is one limit for all processes, otherwise for each. Default: no limit. */
  readonly requestsPerCaller?: RequestRate;
  /** Streams, waits and WebSocket subscriptions that a caller has open at once in one process; 429. Default: no limit. */
  readonly streamsPerCaller?: number;
  /** Runs of a caller that wait for a worker, of those that this process took in; 429. Default: no limit. */
  readonly queuedRunsPerCaller?: number;
  /** Runs of a thread that wait for a worker; 429. Default: no limit. */
  readonly queuedRunsPerThread?: number;
  /** One attempt of a run may take this long; then it ends as `timeout`. Default: no limit. The same as `worker.runTimeoutMs`. */
  readonly runTimeoutMs?: number;
  /** Events kept per run. Default 67,108,864 (64 MiB). The same as `streaming.maxBytes`. */
  readonly maxEventLogBytes?: number;
  /** A request's headers must be there within this time; 408. For `heddle serve` and `listen`. Default 30,000. */
  readonly headersTimeoutMs?: number;
  /** A whole request must be there within this time; 408. For `heddle serve` and `listen`. Default 300,000. */
  readonly requestTimeoutMs?: number;
  /** A client that has taken nothing of its answer for so long is cut off. Default 120,000. */
  readonly stalledMs?: number;
  /**
   * The callers of open streams are asked again who they are this often: a revoked key and an expired token end them. From 1,000;
   * 0: credentials count only when a stream opens. Default 30,000.
   */
  readonly reauthenticateMs?: number;
}

/** Takes audit entries. What it throws is logged, and refuses requests when the log is required. */
export type AuditSink = (entry: AuditEntry) => void | Promise<void>;

/** Who did what, and what came of it (docs/guides/audit-log.md). */
export interface AuditOptions {
  /** A file that a line of JSON per operation is appended to; relative to `cwd`. */
  readonly file?: string;
  /** A function of your own, instead of a file. */
  readonly write?: AuditSink;
  /** Answer requests with 503 while entries can't be written. Default false: that is only logged. */
  readonly required?: boolean;
}
