import { asJsonText, type JsonText } from "./json.js";
import type { RecordKey } from "./record.js";
import type { QueuedMessage, RunWebhook } from "./webhook.js";

/** How a receiver recognises who sends: each kind has its own headers (src/webhooks/schemes). */
export type MessageSigning =
  /** docs/wire/snapstate.md §1.1, webhooks. */
  | {
      readonly scheme: "snapstate";
      /** `null`: unsigned. */
      readonly secret: string | null;
    }
  /** docs/wire/openwop.md §3.2, webhooks. */
  | {
      readonly scheme: "openwop";
      readonly secret: string;
      /** Of the subscription. */
      readonly webhookId: string;
      readonly eventType: string;
    };

/** Messages that rest together once their receiver has failed: `failures` in a row, of any of them, for `openMs`. */
export interface MessageCircuit {
  /** Unique among all circuits of a storage: a protocol's name and a subscription's id. */
  readonly name: string;
  readonly failures: number;
  readonly openMs: number;
}

/** A webhook of a protocol's own, that tells of no run's end. Nothing of it is kept in clear but its id, host and thread. */
export interface WebhookMessage extends RunWebhook {
  /** Up to 255 characters: who enqueues it again changes nothing. */
  readonly deliveryId: string;
  /** Goes with this thread when that is deleted. */
  readonly threadId: string | null;
  /** Sent byte for byte. */
  readonly body: JsonText;
  /** Beside those of {@link WebhookMessage.signing}, and in place of `content-type: application/json`. Lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** At sending time: a timestamp is each attempt's own. `null`: no headers but those above. */
  readonly signing: MessageSigning | null;
  /** At least 1; the server's own limit of time (`webhooks.retryForMs`) holds as well. */
  readonly maxAttempts: number;
  /** Of one attempt; the server's own (`webhooks.timeoutMs`), if that is less. Default: that. */
  readonly timeoutMs?: number;
  /** Default: none, each message is tried for itself. */
  readonly circuit?: MessageCircuit;
  /** The record of whoever wants to be told: once that is gone, nothing is sent any more. Default: it is sent anyway. */
  readonly subscription?: RecordKey;
}

/** What of a message its sender needs. */
export type MessageText = Omit<WebhookMessage, "deliveryId" | "host" | "threadId">;

/** As a storage takes it. */
export function queuedMessage({ deliveryId, host, threadId, ...said }: WebhookMessage): QueuedMessage {
  return { deliveryId, host, threadId, message: asJsonText(JSON.stringify(said satisfies MessageText)) };
}

/** @param message as {@link queuedMessage} wrote it */
export function messageTextOf(message: JsonText): MessageText {
  return JSON.parse(message) as MessageText;
}
