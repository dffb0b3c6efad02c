import type { AuthAction, AuthResource, Caller } from "./auth.js";
import type { JsonObject } from "./json.js";

/** One operation that was authorized, or refused. Ids only, never payloads. */
export interface AuditedOperation {
  readonly action: `${AuthResource}:${AuthAction}`;
  /** Ids by their names on the wire: `thread_id`, `run_id`, `namespace` … */
  readonly resource: Readonly<Record<string, string | readonly string[]>>;
  readonly allowed: boolean;
  /** It was neither allowed nor refused: whoever decides that has failed. */
  readonly isUndecided?: boolean;
}

/** What is known of a request, or of a command on a connection, while it is carried out. */
export interface RequestScope {
  readonly requestId: string;
  /** Method and path as the route has them, and the command: `POST /threads/{thread_id}/commands run.start`. */
  readonly route: string;
  readonly caller: Caller;
  /** Of the client; `null` when it came without a socket. */
  readonly address: string | null;
  /** A graph of this server asks, in its own process. */
  readonly isInternal: boolean;
  /** From headers, for the `configurable` of its runs. */
  readonly configurable: JsonObject;
  /** Filled in as it goes on, when there is an audit log. */
  readonly operations: AuditedOperation[];
  /** It is answered: what comes now, while its stream is read, is written down at once. */
  isAnswered: boolean;
}

/** Told of each operation that is authorized, or refused. */
export type OperationListener = (caller: Caller, operation: AuditedOperation) => void;

/** The scope of the request that the code at hand belongs to. */
export interface RequestScopes {
  run<T>(scope: RequestScope, fn: () => T): T;
  /** `null` outside of a request. */
  current(): RequestScope | null;
}
