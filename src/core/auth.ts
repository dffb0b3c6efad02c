import type { ApiKeyStore } from "./api-key.js";
import type { Clock } from "./clock.js";
import type { ErrorCode } from "./errors.js";
import { ERROR_MESSAGES, HeddleError, isHeddleError } from "./errors.js";
import { namespaceLabel } from "./item-namespace.js";
import type { EpochMs, JsonObject, JsonValue } from "./json.js";
import type { Logger } from "./logger.js";

/** Who asks. The first argument of every service method. */
export interface Caller {
  /** `null` without authentication. */
  readonly identity: string | null;
  readonly permissions: readonly string[];
  /** What `authenticate` returned; passed to graphs as `langgraph_auth_user`. `null` without authentication. */
  readonly user: JsonObject | null;
  /** Until when the credentials hold, by the process's clock: then the streams of the caller end. Absent: no end is known. */
  readonly validUntil?: EpochMs;
  /**
   * What the provider knows the credentials by, for {@link AuthProvider.stillValid}. No secret, and nothing that graphs or logs
   * get; kept with stream tickets.
   */
  readonly credential?: string;
}

/** The caller of a server without authentication. Where there is an authorizer, it refuses this one. */
export const ANONYMOUS: Caller = Object.freeze({ identity: null, permissions: [], user: null });

/**
 * The deployer's own code, which may do everything: authorizers are not asked. Recognised by identity of this very object,
 * so that nothing a client sends can become it.
 */
export const SERVER: Caller = Object.freeze({ identity: null, permissions: [], user: null });

/**
 * Which rows a caller may see, as data that stores push into their queries. A store method that reads or changes rows
 * requires one, so that forgetting it does not compile.
 */
export type AccessFilter = { readonly kind: "all" } | { readonly kind: "match"; readonly where: AccessCondition };

/**
 * Per metadata key: a plain value (strict equality), `{$eq}` or `{$contains}`; `$and` / `$or` combine conditions
 * (docs/wire/langgraph-api.md §7.4).
 */
export type AccessCondition = JsonObject;

/** Sees every row. */
export const ALL_ROWS: AccessFilter = Object.freeze({ kind: "all" });

export type AuthResource = "assistants" | "threads" | "crons" | "store";
export type AuthAction =
  "create" | "read" | "update" | "delete" | "search" | "create_run" | "put" | "get" | "list_namespaces";

/** Outcome of an allowed operation; a refusal is thrown as `FORBIDDEN`. */
export interface Grant<V> {
  readonly access: AccessFilter;
  /** The value, as an authorization handler may have changed it. */
  readonly value: V;
}

/** Decides what a caller may do (docs/wire/langgraph-api.md §7.3). Throws `HeddleError("FORBIDDEN")` to refuse. */
export interface Authorizer {
  authorize<V extends Readonly<Record<string, JsonValue | undefined>>>(
    caller: Caller,
    operation: { readonly resource: AuthResource; readonly action: AuthAction; readonly value: V },
  ): Grant<V> | Promise<Grant<V>>;
  /**
   * The labels that namespaces of this caller's items have to begin with, for who chooses a namespace on its behalf. Absent: the
   * authorizer does not say.
   */
  itemPrefix?(caller: Caller): readonly string[];
}

/**
 * The labels that a namespace begins with which the server chooses for a caller: those that the authorizer wants; where it does not say,
 * the caller's identity. None without authentication.
 */
export function itemPrefixOf(authorizer: Authorizer | null, caller: Caller): readonly string[] {
  if (authorizer === null || caller.identity === null) return [];
  return authorizer.itemPrefix?.(caller) ?? [namespaceLabel(caller.identity)];
}

/** Who asks, and what they may do. Made by an {@link AuthFactory}; closed with the server. */
export interface AuthProvider {
  /**
   * The caller of a request, which may be a WebSocket's upgrade. The body must not be read.
   * @throws HeddleError `UNAUTHENTICATED`, `FORBIDDEN`, or an {@link AuthRefusal} with a status and headers of its own. Any
   * other exception is a 500, logged and answered without its text
   */
  authenticate(request: Request): Caller | Promise<Caller>;
  /**
   * Whether a caller's credentials still hold, for streams whose request can't be asked again: of tickets. Absent: nothing but
   * `validUntil` ends them.
   */
  stillValid?(caller: Caller): boolean | Promise<boolean>;
  /** `null`: whoever is authenticated may do everything. */
  readonly authorizer: Authorizer | null;
  close?(): Promise<void>;
}

/** What the server hands to an {@link AuthFactory}. */
export interface AuthDeps {
  /** Keys that are kept in the storage. */
  readonly keys: ApiKeyStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

const FACTORY = Symbol.for("heddle.auth");

/** What `createApp({ auth })` and a module at `auth.path` may give beside the SDK's `Auth`. Made by {@link authFactory}. */
export interface AuthFactory {
  readonly [FACTORY]: true;
  /** Called once, when the server opens. @throws HeddleError `CONFIG_INVALID` */
  open(deps: AuthDeps): AuthProvider | Promise<AuthProvider>;
}

/** Brand a way to authenticate, so that it is recognised also across two copies of this package. */
export function authFactory(open: AuthFactory["open"]): AuthFactory {
  return Object.freeze({ [FACTORY]: true as const, open });
}

export function isAuthFactory(value: unknown): value is AuthFactory {
  return typeof value === "object" && value !== null && FACTORY in value;
}

/**
 * A refusal with a status and headers of its own (docs/wire/langgraph-api.md §7.2). Its code is the nearest one, for
 * protocols that have no statuses.
 * @example throw new AuthRefusal({ status: 401, message: "Expired", headers: { "www-authenticate": "Bearer" } });
 */
export class AuthRefusal extends HeddleError {
  readonly status: number;
  /** Lower-case names; they don't replace the answer's own content type and length. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(refusal: {
    /** 400–599; anything else is a fault of the handler and answered as 500. */
    readonly status: number;
    /** Default: the code's own. Empty counts as absent. */
    readonly message?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly cause?: unknown;
  }) {
    const { status, message, headers = {}, cause } = refusal;
    const code = codeOf(status);
    super(code, { message: message || ERROR_MESSAGES[code], cause });
    this.name = "AuthRefusal";
    this.status = code === "INTERNAL" && status < 500 ? 500 : status;
    this.headers = headers;
  }
}

/** True for an {@link AuthRefusal} of any copy of this package. */
export function isAuthRefusal(value: unknown): value is AuthRefusal {
  return isHeddleError(value) && value.name === "AuthRefusal";
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return "UNAUTHENTICATED";
  if (status === 404) return "NOT_FOUND";
  return Number.isInteger(status) && status >= 400 && status < 500 ? "FORBIDDEN" : "INTERNAL";
}
