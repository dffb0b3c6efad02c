import type { AuthAction, Authorizer, AuthResource, Caller, Grant } from "../core/auth.js";
import { ALL_ROWS, isAuthRefusal, SERVER } from "../core/auth.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { copyJson, isJsonObject } from "../core/json.js";
import { MAX_TTL_MINUTES, threadTtl, TTL_STRATEGIES, type ThreadTtl, type TtlStrategy } from "../core/thread.js";

export { itemPrefixOf } from "../core/auth.js";

/** The value of an authorization event. */
export type AuthValue = Readonly<Record<string, JsonValue | undefined>>;

/** Authorize one operation of a caller; the returned grant carries the filter that the store must apply. */
export type Authorize = <V extends AuthValue>(
  caller: Caller,
  resource: AuthResource,
  action: AuthAction,
  value: V,
) => Promise<Grant<V>>;

/**
 * Bind an authorizer, or allow everything when there is none. Where there is one, it is asked about everybody but the server
 * itself, and a caller without an identity is refused. What a handler left in the value is checked: fields that services go on
 * with have the type they had (422 otherwise, as on the Platform: docs/wire/langgraph-api.md Appendix E, 0.16).
 */
export function createAuthorize(authorizer: Authorizer | null): Authorize {
  return async (caller, resource, action, value) => {
    if (authorizer === null || caller === SERVER) return { access: ALL_ROWS, value };
    if (caller.identity === null) throw new HeddleError("UNAUTHENTICATED");
    const grant = await authorizer.authorize(caller, { resource, action, value });
    return { access: grant.access, value: checkedValue(resource, action, grant.value) };
  };
}

/** Whether an error says that the caller may not do it, and not that it could not be found out. */
export function isRefusal(error: unknown): boolean {
  return isAuthRefusal(error) ? error.status < 500 : isHeddleError(error) && error.code === "FORBIDDEN";
}

/** Metadata of a grant's value, which an authorization handler may have added or changed. */
export function grantedMetadata<F extends JsonObject | undefined>(grant: Grant<AuthValue>, absent: F): JsonObject | F {
  const metadata = grant.value["metadata"];
  return isJsonObject(metadata) ? metadata : absent;
}

/** A thread's time to live as a grant's value has it, which an authorization handler may have added or changed. */
export function grantedTtl(grant: Grant<AuthValue>): { readonly ttl?: ThreadTtl | null } {
  const ttl = grant.value["ttl"];
  if (ttl === null) return { ttl };
  return isThreadTtl(ttl) ? { ttl: threadTtl(ttl.strategy, ttl.ttl) } : {};
}

/** As authorization handlers see it: in the words of the wire. */
export interface HandlerTtl extends JsonObject {
  readonly strategy: TtlStrategy;
  /** In minutes. */
  readonly ttl: number;
}

export function handlerTtl({ strategy, ttlMs }: ThreadTtl): HandlerTtl {
  return { strategy, ttl: ttlMs / 60_000 };
}

function isThreadTtl(value: unknown): value is HandlerTtl {
  if (!isJsonObject(value)) return false;
  const { strategy, ttl } = value as Partial<HandlerTtl>;
  return TTL_STRATEGIES.some((one) => one === strategy) && typeof ttl === "number" && ttl > 0 && ttl <= MAX_TTL_MINUTES;
}

/** What a search filters by, once a handler may have narrowed it. */
export function grantedFilter(grant: Grant<AuthValue>): { readonly metadata?: JsonObject } {
  const metadata = grantedMetadata(grant, undefined);
  return metadata === undefined ? {} : { metadata };
}

type Check = (value: unknown) => boolean;

/** A field that services take from a value; everything else is only for handlers to read. */
interface Field {
  readonly name: string;
  readonly isValid: Check;
  readonly isRequired?: true;
  /** A null says something else than its absence. */
  readonly takesNull?: true;
}

const isStrings: Check = (value) => Array.isArray(value) && value.every((one) => typeof one === "string");
const isBoolean: Check = (value) => typeof value === "boolean";
const isText: Check = (value) => typeof value === "string";
const isMinutes: Check = (value) => typeof value === "number" && value > 0;
const isKey: Check = (value) => typeof value === "string" && value !== "";

const METADATA: readonly Field[] = [{ name: "metadata", isValid: isJsonObject }];
const THREAD: readonly Field[] = [...METADATA, { name: "ttl", isValid: isThreadTtl, takesNull: true }];
const RUN: readonly Field[] = [...METADATA, { name: "kwargs", isValid: isJsonObject, isRequired: true }];
const REFRESH: Field = { name: "refresh_ttl", isValid: isBoolean };
const LISTED: readonly Field[] = [
  { name: "namespace", isValid: isStrings },
  { name: "filter", isValid: isJsonObject },
  { name: "query", isValid: isText },
  REFRESH,
];
const PLACE: readonly Field[] = [
  { name: "namespace", isValid: isStrings, isRequired: true },
  { name: "key", isValid: isKey, isRequired: true },
];
const ITEM: readonly Field[] = [
  ...PLACE,
  { name: "value", isValid: isJsonObject, isRequired: true },
  { name: "index", isValid: (value) => value === false || isStrings(value) },
  { name: "ttl", isValid: isMinutes, takesNull: true },
];

function fieldsOf(resource: AuthResource, action: AuthAction): readonly Field[] {
  if (resource === "threads" && (action === "create" || action === "update")) return THREAD;
  if (resource !== "store") return action === "create_run" ? RUN : METADATA;
  if (action === "put") return ITEM;
  if (action === "delete") return PLACE;
  return action === "get" ? [...PLACE, REFRESH] : LISTED;
}

function checkedValue<V extends AuthValue>(resource: AuthResource, action: AuthAction, value: V): V {
  let checked: Record<string, JsonValue | undefined> | null = null;
  for (const { name, isValid, isRequired, takesNull } of fieldsOf(resource, action)) {
    const given = value[name];
    if (given === null && takesNull === true) continue;
    // A null is absent, too: the SDK's types have `Maybe`.
    const isAbsent = given === undefined || given === null;
    if (isAbsent ? isRequired === true : !isValid(given)) throw invalid(resource, action, name);
    // Inputs may be large, and go to the engine as they are.
    if (given === undefined || name === "kwargs") continue;
    checked ??= { ...value };
    checked[name] = given === null ? undefined : plain(resource, action, name, given);
  }
  return checked === null ? value : (checked as V);
}

/** Handlers change values in place, also to what no store can keep. */
function plain(resource: AuthResource, action: AuthAction, field: string, value: JsonValue): JsonValue {
  try {
    return copyJson(value);
  } catch (error) {
    throw invalid(resource, action, field, error);
  }
}

function invalid(resource: AuthResource, action: AuthAction, field: string, cause?: unknown): HeddleError {
  return new HeddleError("INVALID_REQUEST", {
    message: `The authorization of ${resource}:${action} left a value whose ${field} is not valid.`,
    cause,
  });
}
