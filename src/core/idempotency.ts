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
  /** How long an execution is waited for that another process may have begun: its lease is renewed meanwhile. Default 10 s. */
  readonly leaseMs?: number;
}

/** What a request was answered with. */
export interface IdempotentAnswer {
  readonly status: number;
  /** Names in lower case; only those that a repetition must have, too. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonText;
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

/** Answers by idempotency key, in the storage. Keys are scoped by owner (core/owner.ts) and operation. */
export interface Idempotency {
  /**
   * Carry out a request, or answer as it was answered before. What `execute` throws is thrown and forgotten: the key is free again.
   * A process that dies while it executes leaves the key taken until its lease ends; then a repetition executes anew.
   * @param execute `store: false`: the answer is not kept, and the key is free again
   */
  run(
    request: IdempotentRequest,
    execute: () => Promise<IdempotentAnswer & { readonly store: boolean }>,
  ): Promise<IdempotentOutcome>;
}
