import type { AuthDeps, Authorizer, AuthProvider, Caller, Grant } from "../core/auth.js";
import { ALL_ROWS, ANONYMOUS } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import { checkedFilter } from "./langgraph-filter.js";
import { refusalOf } from "./langgraph-refusal.js";
import { authenticatedUser } from "./langgraph-user.js";

/** The SDK's `Auth` by its shape: the user's project may carry another copy of the package (docs/wire/langgraph-api.md §7.1). */
export interface LanggraphAuth {
  readonly "~handlerCache": HandlerCache;
}

interface HandlerCache {
  readonly authenticate?: (request: Request) => unknown;
  readonly callbacks?: Readonly<Record<string, Handler>>;
}

type Handler = (operation: Readonly<Record<string, unknown>>) => unknown;

export function isLanggraphAuth(value: unknown): value is LanggraphAuth {
  if (typeof value !== "object" || value === null || !("~handlerCache" in value)) return false;
  const cache = value["~handlerCache"];
  return typeof cache === "object" && cache !== null;
}

/** The user of a caller as `authenticate` returned it; a caller that came another way has only its JSON. */
type Users = WeakMap<Caller, Readonly<Record<string, unknown>>>;

/**
 * The SDK's `Auth` object as it is. Without an `authenticate` handler nobody is authenticated, and the authorization handlers
 * are never asked (§7.2): that is said in the log.
 */
export function openLanggraphAuth(auth: LanggraphAuth, { logger }: Pick<AuthDeps, "logger">): AuthProvider {
  const cache = auth["~handlerCache"];
  if (cache.authenticate === undefined) {
    logger.warn({}, "auth has no authenticate handler: nobody is asked who they are, and every request is allowed");
    return { authenticate: () => ANONYMOUS, authorizer: null };
  }
  const users: Users = new WeakMap();
  return {
    async authenticate(request) {
      let returned: unknown;
      try {
        returned = await cache.authenticate?.(request);
      } catch (error) {
        throw refusalOf(error);
      }
      if (request.bodyUsed) {
        throw new Error(
          "authenticate has read the request's body, which the route needs: read request.clone() instead",
        );
      }
      const { caller, user } = authenticatedUser(returned);
      users.set(caller, user);
      return caller;
    },
    authorizer: createHandlerAuthorizer(cache, users),
  };
}

function createHandlerAuthorizer(cache: HandlerCache, users: Users): Authorizer {
  return {
    async authorize(caller, { resource, action, value }) {
      const event = `${resource}:${action}`;
      const handler = handlerOf(cache.callbacks, [event, resource, `*:${action}`, "*"]);
      if (handler === null) return { access: ALL_ROWS, value };
      const user = users.get(caller) ?? caller.user ?? {};
      let result: unknown;
      try {
        result = await handler({ event, resource, action, value, user, permissions: caller.permissions });
      } catch (error) {
        throw refusalOf(error);
      }
      return grantOf(event, result, value);
    },
  };
}

/** Only the first that exists is asked (§7.3). */
function handlerOf(callbacks: HandlerCache["callbacks"], keys: readonly string[]): Handler | null {
  if (callbacks === undefined) return null;
  for (const key of keys) {
    const handler = Object.hasOwn(callbacks, key) ? callbacks[key] : undefined;
    if (handler !== undefined) return handler;
  }
  return null;
}

function grantOf<V>(event: string, result: unknown, value: V): Grant<V> {
  if (result === undefined || result === null || result === true) return { access: ALL_ROWS, value };
  if (result === false) throw new HeddleError("FORBIDDEN");
  if (typeof result !== "object" || Array.isArray(result)) {
    const type = Array.isArray(result) ? "array" : typeof result;
    throw invalidResult(event, `Expected filter object, null, undefined or boolean. Got "${type}" instead.`);
  }
  try {
    const where = checkedFilter(result);
    return { access: Object.keys(where).length === 0 ? ALL_ROWS : { kind: "match", where }, value };
  } catch (error) {
    throw invalidResult(event, `Its filter is not valid: ${(error as Error).message}.`, error);
  }
}

/** A fault of the deployer's handler: told in the log, answered as 500 without this text. */
function invalidResult(event: string, reason: string, cause?: unknown): HeddleError {
  return new HeddleError("INTERNAL", {
    message: `Auth handler returned invalid result. ${reason} (event ${event})`,
    details: { event },
    cause,
  });
}
