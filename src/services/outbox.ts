import { queuedMessage, type WebhookMessage } from "../core/webhook-message.js";
import { type DeliveryStore, OWN_SERVER, type WebhookPolicy } from "../core/webhook.js";

/** Webhooks of protocols, which tell of no run's end. Asks nobody's permission: protocols do. */
export interface Outbox {
  /** Whether a subscriber may name this URL. A path of this server is refused: its routes know no caller here. */
  judge(url: string): ReturnType<WebhookPolicy["judge"]>;
  /**
   * Write a message, and see that it is sent soon; it survives the process.
   * @returns false when there is one of this id already, or webhooks are switched off: then nothing changes
   */
  enqueue(message: WebhookMessage): Promise<{ readonly enqueued: boolean }>;
}

/** Of a protocol: its context has what is needed. */
export function createOutbox(deps: {
  readonly store: { readonly deliveries: Pick<DeliveryStore, "enqueue"> };
  /** `null`: `http.disable_webhooks`. */
  readonly webhooks: WebhookPolicy | null;
  /** There may be something to send. */
  readonly wakeSender?: () => void;
}): Outbox {
  const refused = (reason: string) => ({ kind: "refused", reason }) as const;
  return {
    judge(url) {
      if (deps.webhooks === null) return refused("webhooks are switched off (http.disable_webhooks)");
      const judged = deps.webhooks.judge(url);
      const isOwn = judged.kind === "allowed" && judged.webhook.host === OWN_SERVER;
      return isOwn ? refused("expected an absolute URL") : judged;
    },
    async enqueue(message) {
      // Nobody would send it, ever.
      if (deps.webhooks === null) return { enqueued: false };
      const outcome = await deps.store.deliveries.enqueue(queuedMessage(message));
      if (outcome.enqueued) deps.wakeSender?.();
      return outcome;
    },
  };
}
