import type { Caller } from "./auth.js";
import type { JsonText, JsonValue } from "./json.js";

/** A request that must be carried out once, however often it is sent. */
export interface IdempotentRequest {
  readonly caller: Pick<Caller, "identity" | "user">;
  /** What is asked for; the same key for another operation is another request. With the ids that its path has. */
  readonly operation: string;
  /** As the client chose it, up to {@link MAX_IDEMPOTENCY_KEY_CHARS} characters. */
  readonly key: string;
  /** Told apart by canonical JSON: the order of its members does not matter. */
  readonly body: JsonValue;
  /** How long the answer is kept. Default 24 h. */
  readonly ttlMs?: number;
  /** While it is carried out elsewhere, wait for its answer this long. Default 0: `in-flight` at once. */
  readonly waitMs?: number;
}

/** What a request was answered with. */
export interface IdempotentAnswer {
  readonly status: number;
  /** Names in lower case; only those that a repetition must have, too. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonText;
}

/** One execution of a request. */
export interface IdempotentAttempt {
  /** A UUID that all attempts of this request have: what they create should be called by it. */
  readonly id: string;
  /** Another process has begun before, and died: what it would have created may be there. */
  readonly isRepeated: boolean;
}

export type IdempotentOutcome =
  | {
      readonly kind: "done";
      readonly answer: IdempotentAnswer;
      /** It was carried out before, and nothing was done now. */
      readonly replayed: boolean;
    }
  /** The key was used with another body. */
  | { readonly kind: "mismatch" }
  /** The first one is being carried out, here or in another process. */
  | { readonly kind: "in-flight"; readonly retryAfterMs: number };

export const MAX_IDEMPOTENCY_KEY_CHARS = 255;
export const IDEMPOTENCY_TTL_MS = 24 * 3_600_000;
/** An execution holds its key this long without a sign of life. */
export const IDEMPOTENCY_LEASE_MS = 15_000;

/** Answers by idempotency key, in the storage. Keys are scoped by owner (core/owner.ts) and operation. */
export interface Idempotency {
  /**
   * Carry out a request, or answer as it was answered before. What `execute` throws is thrown and forgotten: the key is free again.
   * A process that dies while it executes leaves the key taken until its lease ends, after {@link IDEMPOTENCY_LEASE_MS} at most; then a
   * repetition executes anew, and is told so.
   * @param execute `store: false`: the answer is not kept, and the key is free again
   */
  run(
    request: IdempotentRequest,
    execute: (attempt: IdempotentAttempt) => Promise<IdempotentAnswer & { readonly store: boolean }>,
  ): Promise<IdempotentOutcome>;
}
