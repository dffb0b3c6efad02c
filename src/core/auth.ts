import type { JsonObject, JsonValue } from "./json.js";

/** Who asks. The first argument of every service method. */
export interface Caller {
  /** `null` without authentication. */
  readonly identity: string | null;
  readonly permissions: readonly string[];
  /** What `authenticate` returned; passed to graphs as `langgraph_auth_user`. `null` without authentication. */
  readonly user: JsonObject | null;
}

/** The caller of a server without authentication. */
export const ANONYMOUS: Caller = Object.freeze({ identity: null, permissions: [], user: null });

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
}
