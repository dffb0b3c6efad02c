import type { EpochMs } from "../core/json.js";
import type { DeliveryAnswer, DeliveryStore } from "../core/webhook.js";

/** When a delivery is tried again. */
export interface RetryRules {
  /** Pause after the first failure; each further one takes four times as long. */
  readonly firstRetryMs: number;
  /** No pause is longer, but for one that the receiver asks for. */
  readonly maxRetryMs: number;
  /** A delivery that is older than this is given up, whatever else there is to say. */
  readonly retryForMs: number;
}

/** What becomes of a delivery, and what its log says. */
export interface DeliveryOutcome {
  readonly next: Parameters<DeliveryStore["record"]>[0]["next"];
  readonly error: string | null;
}

/** Part of a pause that varies, so that what failed together does not come together again. */
const JITTER = 0.3;
/** No receiver makes it wait longer. */
const MAX_RETRY_AFTER_MS = 6 * 3_600_000;

/**
 * 2xx: delivered. 410: the receiver wants no more of it. Everything else is tried again, after a growing pause, or the one that
 * `Retry-After` of a 429 or 503 asks for, until the delivery is too old.
 * @param params.failures before this attempt
 * @param params.pendingMs how old it is
 * @param params.maxAttempts how many there may be, with this one; `null`: as many as there is time for
 * @param params.random 0 ≤ random < 1
 */
export function deliveryOutcome(
  params: {
    readonly answer: DeliveryAnswer;
    readonly failures: number;
    readonly pendingMs: number;
    readonly maxAttempts: number | null;
    readonly now: EpochMs;
    readonly random: number;
  },
  rules: RetryRules,
): DeliveryOutcome {
  const { answer, failures, pendingMs, maxAttempts, now, random } = params;
  const error = errorOf(answer);
  if (error === null) return { next: { kind: "delivered" }, error };
  if (answer.kind === "answered" && answer.statusCode === 410) return { next: { kind: "failed" }, error };
  const pauseMs = Math.min(rules.firstRetryMs * 4 ** Math.min(failures, 20), rules.maxRetryMs);
  const jitteredMs = pauseMs * (1 + JITTER * (random - 0.5));
  const delayMs = Math.round(Math.max(jitteredMs, askedMs(answer, now)));
  const isLate = pendingMs + delayMs > rules.retryForMs;
  const isLast = maxAttempts !== null && failures + 1 >= maxAttempts;
  return { next: isLate || isLast ? { kind: "failed" } : { kind: "retry", delayMs }, error };
}

function errorOf(answer: DeliveryAnswer): string | null {
  if (answer.kind === "failed") return answer.error;
  const { statusCode } = answer;
  if (statusCode >= 200 && statusCode < 300) return null;
  if (statusCode >= 300 && statusCode < 400) return `HTTP ${statusCode}: redirects are not followed`;
  return statusCode === 410 ? "HTTP 410: the receiver is gone" : `HTTP ${statusCode}`;
}

function askedMs(answer: DeliveryAnswer, now: EpochMs): number {
  if (answer.kind === "failed" || answer.retryAfter === null) return 0;
  if (answer.statusCode !== 429 && answer.statusCode !== 503) return 0;
  const text = answer.retryAfter.trim();
  const askedFor = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isFinite(askedFor) ? Math.min(Math.max(askedFor, 0), MAX_RETRY_AFTER_MS) : 0;
}
