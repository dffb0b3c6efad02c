import { z } from "zod";
import { asJsonText, type EpochMs, type JsonText } from "../core/json.js";
import { DELIVERY_STATUSES, type Delivery, type RunEndContent } from "../core/webhook.js";
import { decode, present } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, isoText, quote } from "./json.js";
import type { Query } from "./query.js";
import { encodeRun } from "./runs.js";
import { queryInteger, uuid } from "./schema.js";

/**
 * Body of a webhook (docs/wire/langgraph-api.md §2.9.5): the run as it ended, its thread's values as clients get them, `{error,
 * message}` of one that failed, when it started and ended, and when this was sent.
 */
export function encodeWebhookBody({ run, values, startedAt }: RunEndContent, sentAt: EpochMs): JsonText {
  const members = [
    `"run_started_at":${time(startedAt)}`,
    `"run_ended_at":${isoText(run.updatedAt)}`,
    `"webhook_sent_at":${isoText(sentAt)}`,
    ...(values === null ? [] : [`"values":${values}`]),
    ...(run.error === null ? [] : [`"error":${run.error}`]),
  ];
  return asJsonText(`${encodeRun(run).slice(0, -1)},${members.join(",")}}`);
}

const ENCODERS = {
  delivery_id: ({ deliveryId }) => quote(deliveryId),
  /** `null` for messages, which are of no run; their thread may be, too. */
  run_id: ({ runId }) => orNull(runId),
  thread_id: ({ threadId }) => orNull(threadId),
  assistant_id: ({ assistantId }) => orNull(assistantId),
  /** Of the receiver; the URL may hold secrets. */
  host: ({ host }) => quote(host),
  status: ({ status }) => quote(status),
  created_at: ({ createdAt }) => isoText(createdAt),
  updated_at: ({ updatedAt }) => isoText(updatedAt),
  next_attempt_at: ({ nextAttemptAt }) => time(nextAttemptAt),
  attempts: ({ attempts }) => String(attempts),
  log: ({ log }) =>
    `[${log
      .map(
        ({ at, durationMs, statusCode, error }) =>
          `{"at":${isoText(at)},"duration_ms":${durationMs},"status_code":${statusCode},"error":${error === null ? "null" : quote(error)}}`,
      )
      .join(",")}]`,
} satisfies FieldEncoders<Delivery, string>;

/** A delivery (ours: no other server has it). */
export function encodeDelivery(delivery: Delivery): JsonText {
  return encodeFields<Delivery, keyof typeof ENCODERS>(ENCODERS, delivery);
}

export const deliveryListQuery = z
  .object({
    limit: queryInteger({ min: 1, max: 1000 }),
    offset: queryInteger({ min: 0 }),
    status: z.enum(DELIVERY_STATUSES),
    run_id: uuid,
    thread_id: uuid,
  })
  .partial();

/** Query of `GET /webhooks/deliveries`. */
export function decodeDeliveryList(query: Query) {
  const { limit, offset, status, run_id: runId, thread_id: threadId } = decode(deliveryListQuery, query);
  return {
    limit: limit ?? 10,
    offset: offset ?? 0,
    ...present({ status, runId: runId?.toLowerCase(), threadId: threadId?.toLowerCase() }),
  };
}

function orNull(id: string | null): string {
  return id === null ? "null" : quote(id);
}

function time(ms: EpochMs | null): string {
  return ms === null ? "null" : isoText(ms);
}
