import type { Clock } from "../core/clock.js";
import type { Logger } from "../core/logger.js";
import type { ClaimedDelivery, DeliveryAnswer, DeliveryStore } from "../core/webhook.js";
import { deliveryOutcome, type RetryRules } from "./delivery-outcome.js";

export interface DelivererParts {
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
  { send, clock, logger }: DelivererParts,
  deliveries: Pick<DeliveryStore, "record" | "release">,
  rules: RetryRules,
): Deliver {
  return async (claimed, stopping) => {
    const { delivery, leaseToken, failures, pendingMs } = claimed;
    const { deliveryId, runId, threadId, host } = delivery;
    const lease = { deliveryId, leaseToken };
    const at = clock.now();
    let isAlive: boolean | null = null;
    try {
      const answer = await send(claimed, stopping).catch((error: unknown): DeliveryAnswer => {
        logger.error({ err: error, deliveryId, runId }, "a webhook could not be sent");
        return { kind: "failed", error: "the request could not be made" };
      });
      if (stopping.aborted && answer.kind === "failed") {
        await deliveries.release({ leases: [lease] });
        return null;
      }
      isAlive = answer.kind === "answered";
      const now = clock.now();
      const { next, error } = deliveryOutcome({ answer, failures, pendingMs, now, random: Math.random() }, rules);
      const statusCode = answer.kind === "answered" ? answer.statusCode : null;
      const attempt = { at, durationMs: Math.max(0, now - at), statusCode, error };
      await deliveries.record({ lease, attempt, next });
      const fields = { deliveryId, runId, threadId, host, error };
      if (next.kind === "failed") logger.warn(fields, "a webhook is given up");
      else if (next.kind === "retry") logger.debug({ ...fields, delayMs: next.delayMs }, "a webhook is tried again");
    } catch (error) {
      // The lease ends, and it is sent again.
      logger.error({ err: error, deliveryId, runId }, "what became of a webhook could not be written down");
    }
    return isAlive;
  };
}
