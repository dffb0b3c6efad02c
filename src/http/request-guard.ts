import type { Context } from "hono";
import type { AuditEntry, AuditLog } from "../core/audit.js";
import type { Caller } from "../core/auth.js";
import { SERVER } from "../core/auth.js";
import type { StoreClock } from "../core/clock.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { ErrorCode } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import type { ConcurrencyGauge, RequestLimiter } from "../core/limits.js";
import { addressKey, callerKey } from "../core/limits.js";
import type { OperationListener, RequestScope, RequestScopes } from "../core/request-scope.js";
import { encodeError, encodeUnexpected } from "../wire/errors.js";
import { isInternal, remoteAddress } from "./remote-address.js";
import { RefusedAddresses } from "./refused-addresses.js";
import { releasedBody, StreamPermits } from "./stream-permits.js";

/** What requests are held to, and where it is written down. Absent parts cost nothing. */
export interface GuardDeps {
  /** `null`: no limit. */
  readonly requests: RequestLimiter | null;
  /** `null`: no limit. */
  readonly streams: ConcurrencyGauge | null;
  /** `null`: nothing is written down. */
  readonly audit: AuditLog | null;
  /** For services, which are told nothing of requests. */
  readonly scopes: RequestScopes;
  /** Headers for the `configurable` of runs; `null`: none. */
  readonly configurableHeaders: ((headers: Headers) => JsonObject) | null;
  /** How many proxies in front of this server append to `X-Forwarded-For`. */
  readonly trustedProxyHops: number;
  readonly clock: StoreClock;
}

/** What the outcome of an operation is told by. */
export interface Outcome {
  readonly status: number | null;
  readonly code: ErrorCode | null;
}

/** A request that was let in. */
export interface GuardedRequest {
  readonly caller: Caller;
  /** Carry it out. */
  run<T>(fn: () => T): T;
  /**
   * One command of several that may come over it: over a WebSocket it counts as a request, and it is written down on its own.
   * @param code of what went wrong, for the audit log
   */
  command<T>(name: string, carryOut: () => Promise<T>, code: (error: unknown) => ErrorCode): Promise<T>;
  readonly permits: StreamPermits;
  /**
   * It is answered: write it down, and give its stream back when the body has ended.
   * @throws HeddleError `STORAGE_UNAVAILABLE`, as `AuditLog.write` does
   */
  answered(response: Response, code: ErrorCode | null, signal: AbortSignal): Promise<Response>;
  /** Its stream was ended: write down why. @throws HeddleError `STORAGE_UNAVAILABLE`, as `AuditLog.write` does */
  withdrawn(code: ErrorCode): Promise<void>;
}

/** Limits and audit around requests: of routes, of custom routes, and of commands on a WebSocket. */
export class RequestGuard {
  readonly #deps: GuardDeps;
  readonly #refused: RefusedAddresses;

  constructor(deps: GuardDeps) {
    this.#deps = deps;
    this.#refused = new RefusedAddresses(deps.clock);
  }

  /**
   * Find out who asks, and whether they may ask now.
   * @param request.isSocket commands come over it, each of which counts as a request
   * @throws what `authenticate` throws; HeddleError `RATE_LIMITED`, `LIMIT_REACHED`, `STORAGE_UNAVAILABLE`
   */
  async enter(
    context: Context,
    request: {
      readonly requestId: string;
      readonly route: string;
      readonly isPublic: boolean;
      readonly holdsStream: boolean;
      readonly isSocket: boolean;
      readonly authenticate: () => Caller | Promise<Caller>;
    },
  ): Promise<GuardedRequest> {
    const { audit, streams, trustedProxyHops, configurableHeaders } = this.#deps;
    const { requestId, route, isPublic } = request;
    const internal = isInternal(context);
    const address = internal ? null : remoteAddress(context, trustedProxyHops);
    const at = { requestId, route, address, isInternal: internal };
    if (!isPublic) await audit?.ready();
    const caller = isPublic
      ? await request.authenticate()
      : await this.authenticate(context, request, request.authenticate);
    const headers = context.req.raw.headers;
    const scope: RequestScope = {
      ...at,
      caller,
      configurable: configurableHeaders?.(headers) ?? {},
      operations: [],
      isAnswered: false,
    };
    const key = internal || isPublic ? null : callerKey(caller, address);
    const guarded = new Guarded(this.#deps, { scope, key, isSocket: request.isSocket, isAudited: !isPublic });
    try {
      await guarded.takeToken();
      if (request.holdsStream && streams !== null && key !== null) guarded.permits.open();
    } catch (error) {
      await guarded.refused(error);
      throw error;
    }
    return guarded;
  }

  /**
   * Find out who asks. Who is refused is written down, and slowed down.
   * @throws what `authenticate` throws; HeddleError `RATE_LIMITED`
   */
  async authenticate(
    context: Context,
    { requestId, route }: { readonly requestId: string; readonly route: string },
    authenticate: () => Caller | Promise<Caller>,
  ): Promise<Caller> {
    try {
      this.#refuseBlocked(context);
      return await authenticate();
    } catch (error) {
      const internal = isInternal(context);
      const address = internal ? null : remoteAddress(context, this.#deps.trustedProxyHops);
      const refusal = await this.#refusalOf(error, address);
      const at = { requestId, route, address, isInternal: internal };
      const caller: Caller = { identity: null, permissions: [], user: null };
      const scope: RequestScope = { ...at, caller, configurable: {}, operations: [], isAnswered: true };
      await this.#deps.audit?.write(entriesOf(scope, { status: statusOf(refusal), code: codeOf(refusal) }, true));
      throw refusal;
    }
  }

  /**
   * An answer would tell which of many keys is the right one: nobody at an address that guesses is asked. Callers without an address
   * can't be told apart: one of them must not shut out the others.
   * @throws HeddleError `RATE_LIMITED`
   */
  #refuseBlocked(context: Context): void {
    if (this.#deps.requests === null || isInternal(context)) return;
    const address = remoteAddress(context, this.#deps.trustedProxyHops);
    const forMs = address === null ? 0 : this.#refused.blockedForMs(addressKey(address));
    if (forMs > 0) throw rateLimited(forMs);
  }

  /** Who guesses is slowed down: what is refused counts for the address. */
  async #refusalOf(error: unknown, address: string | null): Promise<unknown> {
    const { requests } = this.#deps;
    if (requests === null || !isHeddleError(error) || error.code === "RATE_LIMITED") return error;
    const key = addressKey(address);
    const admission = await requests.take(`refused:${key}`);
    if (admission.admitted) return error;
    this.#refused.block(key, admission.retryAfterMs);
    return rateLimited(admission.retryAfterMs);
  }
}

class Guarded implements GuardedRequest {
  readonly caller: Caller;
  readonly permits: StreamPermits;
  readonly #deps: GuardDeps;
  readonly #scope: RequestScope;
  readonly #key: string | null;
  readonly #isSocket: boolean;
  readonly #isAudited: boolean;
  #hasCommands = false;

  constructor(
    deps: GuardDeps,
    of: {
      readonly scope: RequestScope;
      readonly key: string | null;
      readonly isSocket: boolean;
      readonly isAudited: boolean;
    },
  ) {
    this.#deps = deps;
    this.#scope = of.scope;
    this.#key = of.key;
    this.#isSocket = of.isSocket;
    this.#isAudited = of.isAudited;
    this.caller = of.scope.caller;
    this.permits = new StreamPermits(of.key === null ? null : deps.streams, of.key ?? "");
  }

  /** @throws HeddleError `RATE_LIMITED` */
  async takeToken(): Promise<void> {
    const { requests } = this.#deps;
    if (requests === null || this.#key === null) return;
    const admission = await requests.take(this.#key);
    if (!admission.admitted) throw rateLimited(admission.retryAfterMs);
  }

  run<T>(fn: () => T): T {
    return this.#deps.scopes.run(this.#scope, fn);
  }

  async command<T>(name: string, carryOut: () => Promise<T>, codeOfError: (error: unknown) => ErrorCode): Promise<T> {
    this.#hasCommands = true;
    const { audit, scopes } = this.#deps;
    const scope = { ...this.#scope, route: `${this.#scope.route} ${name}`, operations: [], isAnswered: false };
    const done = (code: ErrorCode | null) => {
      scope.isAnswered = true;
      return audit?.write(entriesOf(scope, { status: null, code }, false));
    };
    try {
      if (this.#isSocket) {
        await audit?.ready();
        await this.takeToken();
      }
      const result = await scopes.run(scope, carryOut);
      await done(null);
      return result;
    } catch (error) {
      await done(codeOfError(error));
      throw error;
    }
  }

  async answered(response: Response, code: ErrorCode | null, signal: AbortSignal): Promise<Response> {
    const { permits } = this;
    try {
      await this.#written({ status: response.status, code });
    } catch (error) {
      permits.closeAll();
      // Nobody will read it: another answer takes its place.
      if (code === null) await response.body?.cancel().catch(() => {});
      throw error;
    }
    // A socket gives its streams back when it closes.
    if (!permits.holds || (this.#isSocket && code === null)) return response;
    if (response.body === null || code !== null) {
      permits.closeAll();
      return response;
    }
    const release = (): void => permits.closeAll();
    // A request inside the process has no socket whose end would cancel the body.
    signal.addEventListener("abort", release, { once: true });
    const { status, headers } = response;
    return new Response(releasedBody(response.body, release), { status, headers });
  }

  async refused(error: unknown): Promise<void> {
    this.permits.closeAll();
    await this.#written({ status: statusOf(error), code: codeOf(error) });
  }

  async withdrawn(code: ErrorCode): Promise<void> {
    const { audit } = this.#deps;
    if (!this.#isAudited) return;
    await audit?.write(entriesOf({ ...this.#scope, operations: [] }, { status: null, code }, false));
  }

  async #written(outcome: Outcome): Promise<void> {
    const { audit } = this.#deps;
    this.#scope.isAnswered = true;
    if (audit === null || !this.#isAudited) return;
    // Its commands have written what they did.
    if (this.#hasCommands && this.#scope.operations.length === 0) return;
    await audit.write(entriesOf(this.#scope, outcome, false));
  }
}

function statusOf(error: unknown): number {
  return (isHeddleError(error) ? encodeError(error, "") : encodeUnexpected("")).status;
}

/**
 * Keep operations until their request is answered. What comes without one, from the deployer's own code, or later, while a stream is
 * read, is written down at once.
 */
export function auditOperation(audit: AuditLog, scopes: RequestScopes): OperationListener {
  return (caller, operation) => {
    const scope = scopes.current();
    if (scope !== null && !scope.isAnswered) {
      scope.operations.push(operation);
      return;
    }
    const at = scope ?? { requestId: "", route: "services", address: null, isInternal: true, configurable: {} };
    const code = operation.allowed ? null : operation.isUndecided === true ? "INTERNAL" : "FORBIDDEN";
    const entries = entriesOf(
      { ...at, caller, operations: [operation], isAnswered: true },
      { status: null, code },
      false,
    );
    audit.write(scope === null ? entries.map((entry) => ({ ...entry, auth: serverOr(caller, entry) })) : entries).catch(
      // Said by the log itself.
      () => {},
    );
  };
}

const serverOr = (caller: Caller, { auth }: AuditEntry): string => (caller === SERVER ? "server" : auth);

/** What a code-less exception counts as. */
export function codeOf(error: unknown): ErrorCode {
  return isHeddleError(error) ? error.code : "INTERNAL";
}

function rateLimited(retryAfterMs: number): HeddleError {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return new HeddleError("RATE_LIMITED", {
    message: `Too many requests (limits.requestsPerCaller). Try again in ${seconds} s.`,
    details: { retryAfterMs },
  });
}

function entriesOf(scope: RequestScope, { status, code }: Outcome, isUnauthenticated: boolean): readonly AuditEntry[] {
  const { caller } = scope;
  const common = {
    time: new Date().toISOString(),
    requestId: scope.requestId,
    identity: caller.identity,
    auth: authOf(caller),
    address: scope.address,
    internal: scope.isInternal,
    route: scope.route,
    code,
    status,
  };
  if (scope.operations.length === 0) {
    const isDenied = isUnauthenticated || code === "UNAUTHENTICATED" || code === "FORBIDDEN";
    const result = code === null ? "allowed" : isDenied ? "denied" : "failed";
    return [{ ...common, action: null, resource: {}, result }];
  }
  return scope.operations.map(({ action, resource, allowed, isUndecided = false }) => ({
    ...common,
    action,
    resource,
    result: allowed && code === null ? "allowed" : allowed || isUndecided ? "failed" : "denied",
  }));
}

function authOf(caller: Caller): string {
  if (caller.identity === null) return "anonymous";
  const kind = caller.user?.["kind"];
  return typeof kind === "string" ? kind : "authenticated";
}
