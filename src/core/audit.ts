import type { ErrorCode } from "./errors.js";
import type { AuditedOperation } from "./request-scope.js";

/**
 * Who did what, and what came of it: ids and names only, never payloads, tokens or queries. One per operation that was asked for; a
 * request that came to none has one with `action: null`.
 */
export interface AuditEntry {
  /** ISO 8601, UTC. */
  readonly time: string;
  /** As in the answer's `x-request-id` and in the log. */
  readonly requestId: string;
  /** `null`: not authenticated. */
  readonly identity: string | null;
  /**
   * `server` (the deployer's own code, which asks without a request), `anonymous`, or how the user says it was authenticated
   * (`user.kind`), else `authenticated`.
   */
  readonly auth: string;
  /** Of the client; `null` when it came without a socket. */
  readonly address: string | null;
  /** A graph of this server asked, in its own process. */
  readonly internal: boolean;
  /** Method and path as the route has them, and the command: `POST /threads/{thread_id}/commands run.start`. */
  readonly route: string;
  /** `threads:create_run`; `null`: nothing was authorized, for example because authentication failed. */
  readonly action: AuditedOperation["action"] | null;
  /** Ids by their names on the wire. */
  readonly resource: AuditedOperation["resource"];
  /** `denied`: not authenticated, or refused by an authorization handler; `failed`: allowed, and not carried out. */
  readonly result: "allowed" | "denied" | "failed";
  /** What went wrong. */
  readonly code: ErrorCode | null;
  /** Of the answer; `null` for a command on a WebSocket. */
  readonly status: number | null;
}

/** Where audit entries go. */
export interface AuditLog {
  /**
   * Resolves at once, or, when the log is required, when the entries are written.
   * @throws HeddleError `STORAGE_UNAVAILABLE` when it is required and they can't be
   */
  write(entries: readonly AuditEntry[]): Promise<void>;
  /** @throws HeddleError `STORAGE_UNAVAILABLE` when the log is required and the last entries could not be written */
  ready(): Promise<void>;
  close(): Promise<void>;
}
