import type { Caller } from "../core/auth.js";
import { isAuthRefusal } from "../core/auth.js";
import type { Clock, Timer } from "../core/clock.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { EpochMs } from "../core/json.js";
import type { Exchange } from "./exchange.js";
import type { HttpDeps } from "./http-deps.js";
import { codeOf } from "./request-guard.js";

/** Credentials that were found good are believed for so long: commands come in bursts. */
const FRESH_MS = 1_000;
/** An answer that takes longer counts as none. */
const ASKED_WITHIN_MS = 10_000;
/** Credentials that nobody could be asked about for so many intervals count as bad. */
const INTERVALS_WITHOUT_ANSWER = 3;

/**
 * How credentials ended. `expired`: their time is over; `changed`: they are somebody else's, or allow something else: for both the
 * client may come again. `refused`: who came again would be refused. `unknown`: nobody could be asked for too long.
 */
export type CredentialsEnd =
  { readonly kind: "expired" | "changed" | "unknown" } | { readonly kind: "refused"; readonly status: number };

export interface WatchOptions {
  readonly caller: Caller;
  /** Throws as `AuthProvider.authenticate` does. */
  readonly reauthenticate: () => Caller | Promise<Caller>;
  readonly everyMs: number;
  readonly clock: Clock;
  /** Called once. */
  readonly onEnd: (end: CredentialsEnd) => void;
  /** Nobody could be asked; it is tried again. */
  readonly onFault: (error: unknown) => void;
}

/**
 * The credentials of a stream or socket that is open: looked at again every `everyMs`, and on demand, and over at the caller's
 * `validUntil`.
 */
export class CredentialsWatch {
  readonly #options: WatchOptions;
  #caller: Caller;
  #timer: Timer | null = null;
  #isOver = false;
  #goodAt: EpochMs;
  #asking: Promise<boolean> | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#caller = options.caller;
    this.#goodAt = options.clock.now();
    this.#arm();
  }

  /** Who asks, as of the last look. */
  get caller(): Caller {
    return this.#caller;
  }

  /**
   * Before something is done for the caller.
   * @returns false: the credentials are over, and `onEnd` was called
   * @throws what kept them from being looked at
   */
  async check(): Promise<boolean> {
    if (this.#isOver || this.#isExpired()) return false;
    if (this.#options.clock.now() - this.#goodAt < FRESH_MS) return true;
    return (this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    }));
  }

  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    const { clock, everyMs } = this.#options;
    const { validUntil = Number.POSITIVE_INFINITY } = this.#caller;
    const delayMs = Math.max(0, Math.min(everyMs, validUntil - clock.now()));
    this.#timer = clock.setTimer(() => {
      if (this.#isOver || this.#isExpired()) return;
      this.#arm();
      this.check().catch((error: unknown) => this.#options.onFault(error));
    }, delayMs);
  }

  #isExpired(): boolean {
    const { validUntil } = this.#caller;
    if (validUntil === undefined || validUntil > this.#options.clock.now()) return false;
    this.#end({ kind: "expired" });
    return true;
  }

  async #ask(): Promise<boolean> {
    const { clock, everyMs } = this.#options;
    try {
      const fresh = await this.#answered();
      if (this.#isOver) return false;
      if (!isSame(this.#caller, fresh)) return this.#end({ kind: "changed" });
      this.#goodAt = clock.now();
      this.#caller = fresh;
      return true;
    } catch (error) {
      if (this.#isOver) return false;
      const status = refusedStatus(error);
      if (status !== null) return this.#end(this.#isOfAge() ? { kind: "expired" } : { kind: "refused", status });
      if (clock.now() - this.#goodAt >= INTERVALS_WITHOUT_ANSWER * everyMs) this.#end({ kind: "unknown" });
      throw error;
    }
  }

  /** Timers and clocks differ a little. */
  #isOfAge(): boolean {
    const { validUntil = Number.POSITIVE_INFINITY } = this.#caller;
    return validUntil - this.#options.clock.now() < FRESH_MS;
  }

  #answered(): Promise<Caller> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.setTimer(
        () => reject(new Error(`authenticate has not answered within ${String(ASKED_WITHIN_MS)} ms`)),
        ASKED_WITHIN_MS,
      );
      const asked = Promise.resolve().then(() => this.#options.reauthenticate());
      asked.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  #end(end: CredentialsEnd): false {
    if (this.#isOver) return false;
    this.close();
    this.#options.onEnd(end);
    return false;
  }
}

/**
 * Watch the credentials that an exchange came with; `null` where nobody is asked, or only when streams open. How they end is logged
 * and written down.
 */
export function watchCredentials(
  exchange: Exchange,
  deps: Pick<HttpDeps, "clock" | "logger" | "settings" | "reauthenticate">,
  options: {
    /** Whose stream it is, for the log. */
    readonly subject: Readonly<Record<string, string>>;
    readonly onEnd: (end: CredentialsEnd) => void;
  },
): CredentialsWatch | null {
  const { clock, logger, settings, reauthenticate = null } = deps;
  const { reauthenticateMs: everyMs = 0 } = settings;
  const { caller, request, requestId, guarded } = exchange;
  if (reauthenticate === null || everyMs === 0 || caller.identity === null) return null;
  const about = { requestId, ...options.subject };
  return new CredentialsWatch({
    caller,
    everyMs,
    clock,
    reauthenticate: () => reauthenticate(request, caller),
    onEnd(end) {
      logger.info({ ...about, credentials: end.kind }, "a stream ended with its caller's credentials");
      const refusal = new HeddleError("UNAUTHENTICATED", { message: CREDENTIALS_OVER[end.kind] });
      void guarded?.withdrawn(codeOf(refusal)).catch(() => {});
      options.onEnd(end);
    },
    onFault: (error) => logger.warn({ ...about, err: error }, "a stream's caller could not be asked again who it is"),
  });
}

/** What a client is told. */
export const CREDENTIALS_OVER: Readonly<Record<CredentialsEnd["kind"], string>> = {
  expired: "The credentials have expired: connect again with fresh ones",
  changed: "The credentials allow something else by now: connect again",
  refused: "The credentials are no longer valid",
  unknown: "The credentials could not be checked for too long",
};

/** A request to be authenticated by once more: its body has been read. */
export function askedAgain({ url, method, headers }: Request): Request {
  return new Request(url, { method, headers });
}

function isSame(a: Caller, b: Caller): boolean {
  return (
    a.identity === b.identity &&
    a.permissions.length === b.permissions.length &&
    a.permissions.every((permission, index) => permission === b.permissions[index])
  );
}

/** The status that a client would get now; `null`: it is no refusal of its credentials. */
function refusedStatus(error: unknown): number | null {
  if (!isHeddleError(error)) return null;
  if (isAuthRefusal(error)) {
    const { status } = error;
    return status >= 400 && status < 500 && status !== 408 && status !== 429 ? status : null;
  }
  if (error.code === "UNAUTHENTICATED") return 401;
  return error.code === "FORBIDDEN" ? 403 : null;
}
