import type { Clock } from "../core/clock.js";
import type { Logger } from "../core/logger.js";
import { type MessageText, messageTextOf } from "../core/webhook-message.js";
import type { RecordStore } from "../core/record.js";
import type { ClaimedDelivery, DeliveryAnswer, DeliveryStore } from "../core/webhook.js";
import { deliveryOutcome, type RetryRules } from "./delivery-outcome.js";
import type { WebhookCircuits } from "./webhook-circuits.js";

export interface SenderParts {
  readonly send: (delivery: ClaimedDelivery, signal: AbortSignal) => Promise<DeliveryAnswer>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One attempt at one delivery, and what came of it written down.
 * @returns whether the receiver answered, whatever it said; `null`: nobody knows. Never rejects
 */
export type Deliver = (claimed: ClaimedDelivery, stopping: AbortSignal) => Promise<boolean | null>;

export function createDeliverer(
  parts: SenderParts & {
    readonly deliveries: Pick<DeliveryStore, "record" | "release">;
    readonly records: Pick<RecordStore, "get">;
    readonly circuits: WebhookCircuits;
  },
  rules: RetryRules,
): Deliver {
  const { clock, logger, deliveries, records, circuits } = parts;

  const answerOf = (claimed: ClaimedDelivery, stopping: AbortSignal): Promise<DeliveryAnswer> => {
    const { deliveryId, runId } = claimed.delivery;
    return parts.send(claimed, stopping).catch((error: unknown): DeliveryAnswer => {
      logger.error({ err: error, deliveryId, runId }, "a webhook could not be sent");
      return { kind: "failed", error: "the request could not be made" };
    });
  };

  /** Not tried, and never again. */
  const giveUp = async ({ delivery, leaseToken }: ClaimedDelivery, why: string): Promise<void> => {
    const { deliveryId, host } = delivery;
    const attempt = { at: clock.now(), durationMs: 0, statusCode: null, error: `not tried: ${why}` };
    await deliveries.record({ lease: { deliveryId, leaseToken }, attempt, next: { kind: "failed" } });
    logger.warn({ deliveryId, host, error: attempt.error }, "a webhook is given up");
  };

  /** Not tried: the receiver is left in peace. */
  const postpone = async (claimed: ClaimedDelivery, restMs: number): Promise<void> => {
    const { delivery, leaseToken, pendingMs } = claimed;
    if (pendingMs + restMs > rules.retryForMs) return giveUp(claimed, "the receiver kept failing");
    await deliveries.release({ leases: [{ deliveryId: delivery.deliveryId, leaseToken }], delayMs: restMs });
  };

  const attempt = async (claimed: ClaimedDelivery, stopping: AbortSignal): Promise<boolean | null> => {
    const { delivery, leaseToken, failures, pendingMs } = claimed;
    const { deliveryId, runId, threadId, host } = delivery;
    const lease = { deliveryId, leaseToken };
    const message: Partial<MessageText> = claimed.kind === "message" ? messageTextOf(claimed.message) : {};
    const { circuit, subscription, maxAttempts = null } = message;
    if (subscription !== undefined && (await records.get(subscription)) === null) {
      await giveUp(claimed, "its webhook has been deleted");
      return null;
    }
    const restMs = circuit === undefined ? 0 : await circuits.restMs(circuit);
    if (restMs > 0) {
      await postpone(claimed, restMs);
      return null;
    }
    const at = clock.now();
    const answer = await answerOf(claimed, stopping);
    if (stopping.aborted && answer.kind === "failed") {
      await deliveries.release({ leases: [lease] });
      return null;
    }
    const now = clock.now();
    const random = Math.random();
    const { next, error } = deliveryOutcome({ answer, failures, pendingMs, maxAttempts, now, random }, rules);
    // Before the delivery: who sees that it has failed may ask how its circuit is.
    if (circuit !== undefined) await circuits.record(circuit, error === null);
    const statusCode = answer.kind === "answered" ? answer.statusCode : null;
    await deliveries.record({ lease, attempt: { at, durationMs: Math.max(0, now - at), statusCode, error }, next });
    const fields = { deliveryId, runId, threadId, host, error };
    if (next.kind === "failed") logger.warn(fields, "a webhook is given up");
    else if (next.kind === "retry") logger.debug({ ...fields, delayMs: next.delayMs }, "a webhook is tried again");
    return answer.kind === "answered";
  };

  return async (claimed, stopping) => {
    try {
      return await attempt(claimed, stopping);
    } catch (error) {
      const { deliveryId, runId } = claimed.delivery;
      // The lease ends, and it is sent again.
      logger.error({ err: error, deliveryId, runId }, "what became of a webhook could not be written down");
      return null;
    }
  };
}
