import type { EpochMs, JsonText } from "./json.js";
import type { Run } from "./run.js";

/** Where the end of a run is told; part of its kwargs, so that whoever creates the run hands it on. A type, and so plain JSON. */
export type RunWebhook = {
  /**
   * `host:port` of the receiver, lower case, or {@link OWN_SERVER}. Never a secret: storages keep it clear, so that one receiver's
   * deliveries can be told from another's.
   */
  readonly host: string;
  /** Absolute, or a path on the server itself. May hold secrets of its receiver. */
  readonly url: string;
};

/** The host of webhooks that begin with `/`. */
export const OWN_SERVER = "self";

/** What may be called. */
export interface WebhookPolicy {
  /** @returns the webhook, or why it is refused, for whoever sent it */
  judge(
    url: string,
  ): { readonly kind: "allowed"; readonly webhook: RunWebhook } | { readonly kind: "refused"; readonly reason: string };
}

export const DELIVERY_STATUSES = ["pending", "delivered", "failed"] as const;
/** `pending`: not sent yet, or to be tried again. `failed`: given up. */
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** One attempt to deliver. */
export interface DeliveryAttempt {
  readonly at: EpochMs;
  readonly durationMs: number;
  /** Of the receiver's answer; `null` without one. */
  readonly statusCode: number | null;
  /** In a few words, without the URL; `null` when it was delivered. */
  readonly error: string | null;
}

/** What a receiver said, or why it said nothing. */
export type DeliveryAnswer =
  | {
      readonly kind: "answered";
      readonly statusCode: number;
      /** The header, as it is. */
      readonly retryAfter: string | null;
    }
  /** In a few words, without the URL. */
  | { readonly kind: "failed"; readonly error: string };

/** How many attempts the log of a delivery keeps, the newest ones. */
export const KEPT_ATTEMPTS = 20;

/** A webhook that is sent, or was: without what it says. It tells of a run's end, or is a message (core/webhook-message.ts). */
export interface Delivery {
  /**
   * `msg_` and the run's id: the `webhook-id` of all attempts, so that receivers recognise repetitions. Of a message: as its sender
   * named it.
   */
  readonly deliveryId: string;
  /** `null` for a message. */
  readonly runId: string | null;
  /** `null` for a message that is of no thread. */
  readonly threadId: string | null;
  /** `null` for a message. */
  readonly assistantId: string | null;
  readonly host: string;
  readonly status: DeliveryStatus;
  /** The run's end, or when the message was written. */
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
  /** `null` unless it is pending. While it is being sent: when somebody else tries again. */
  readonly nextAttemptAt: EpochMs | null;
  /** All that were made, also those that the log has forgotten. */
  readonly attempts: number;
  /** Oldest first, at most {@link KEPT_ATTEMPTS}. */
  readonly log: readonly DeliveryAttempt[];
}

/** What a delivery of a run says. */
export interface RunEndContent {
  readonly kind: "run";
  /** As it ended. */
  readonly run: Run;
  /** Of its thread when it ended; `null` where there were none. */
  readonly values: JsonText | null;
  /** Of the attempt that ended; `null` for a run that never started. */
  readonly startedAt: EpochMs | null;
}

/** What a message says. */
export interface MessageContent {
  readonly kind: "message";
  /** See core/webhook-message.ts. */
  readonly message: JsonText;
}

export type DeliveryContent = RunEndContent | MessageContent;

/** A delivery that the caller may send now, and what it says. */
export type ClaimedDelivery = DeliveryContent & ClaimedHead;

/** What every claimed delivery has. */
export interface ClaimedHead {
  readonly delivery: Delivery;
  /** Grows with every claim and redelivery: fences what comes back. */
  readonly leaseToken: number;
  /** Failed attempts since it became pending. */
  readonly failures: number;
  /** Since it became pending: {@link Delivery.createdAt}, or the last redelivery. */
  readonly pendingMs: number;
}

export interface DeliveryLease {
  readonly deliveryId: string;
  readonly leaseToken: number;
}

/** A message as storages keep it: what they look at, and beside it what only its sender reads. */
export interface QueuedMessage {
  /** Up to 255 characters. */
  readonly deliveryId: string;
  /** {@link RunWebhook.host} */
  readonly host: string;
  readonly threadId: string | null;
  /** Body, URL, headers and secret. */
  readonly message: JsonText;
}

/** Hosts to look at: only these, or all but these. */
export type HostSelection =
  | { readonly kind: "only"; readonly hosts: readonly string[] }
  | { readonly kind: "except"; readonly hosts: readonly string[] };

export interface DeliveryQuery {
  readonly runId?: string;
  readonly threadId?: string;
  readonly status?: DeliveryStatus;
}

/**
 * The outbox of webhooks. A store writes a delivery in the very step in which a run ends whose kwargs name a webhook, whoever
 * ends it: `finish`, `reapExpired`, `requestCancel`, or a new run's multitask strategy. Runs that are deleted (rolled back, removed)
 * leave none, and a delivery that is there outlives its run and thread, until {@link DeliveryStore.deleteThread} or the sweep.
 * Messages that are of no run are put into it by {@link DeliveryStore.enqueue}.
 */
export interface DeliveryStore {
  /** Write a message, due at once. @returns false when a delivery of this id is there already: that one stays as it is */
  enqueue(message: QueuedMessage): Promise<{ readonly enqueued: boolean }>;
  /** Pending deliveries whose time has come, oldest time first; for looking at, {@link DeliveryStore.claim} decides. */
  due(params: {
    readonly limit: number;
    readonly hosts: HostSelection;
  }): Promise<readonly { readonly deliveryId: string; readonly host: string }[]>;
  /** Take those that are still due; when nothing is recorded within `leaseMs` they become due again. */
  claim(params: {
    readonly deliveryIds: readonly string[];
    readonly leaseMs: number;
  }): Promise<readonly ClaimedDelivery[]>;
  /** What came of an attempt. Refused when the delivery was claimed, redelivered or removed since. */
  record(params: {
    readonly lease: DeliveryLease;
    readonly attempt: DeliveryAttempt;
    readonly next:
      | { readonly kind: "delivered" }
      | { readonly kind: "failed" }
      | { readonly kind: "retry"; readonly delayMs: number };
  }): Promise<{ readonly accepted: boolean }>;
  /** Give claimed deliveries back untried: due in `delayMs`, default at once. */
  release(params: { readonly leases: readonly DeliveryLease[]; readonly delayMs?: number }): Promise<void>;
  get(params: { readonly deliveryId: string }): Promise<Delivery | null>;
  /** Newest first by (createdAt, deliveryId). */
  list(
    params: DeliveryQuery & { readonly limit: number; readonly offset: number },
  ): Promise<{ readonly rows: readonly Delivery[]; readonly total: number }>;
  /** Pending again and due at once, with a new time to give up; whoever is sending it is not listened to any more. */
  redeliver(params: { readonly deliveryId: string }): Promise<Delivery | null>;
  /** Remove deliveries that are done or given up and were last touched this long ago. @returns how many */
  sweep(params: { readonly idleMs: number; readonly limit: number }): Promise<number>;
  /** Remove everything of a thread, pending or not. @returns how many */
  deleteThread(params: { readonly threadId: string }): Promise<number>;
}

/** @see Delivery.deliveryId */
export function deliveryIdOf(runId: string): string {
  return `msg_${runId}`;
}

/** A log with one more attempt, bounded. */
export function withAttempt(log: readonly DeliveryAttempt[], attempt: DeliveryAttempt): readonly DeliveryAttempt[] {
  return [...log, attempt].slice(-KEPT_ATTEMPTS);
}
