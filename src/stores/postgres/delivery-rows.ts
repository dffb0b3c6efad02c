import type { JsonObject } from "../../core/json.js";
import type { MultitaskStrategy, RunKwargs, RunStatus } from "../../core/run.js";
import type {
  ClaimedDelivery,
  Delivery,
  DeliveryAttempt,
  DeliveryContent,
  DeliveryStatus,
} from "../../core/webhook.js";
import { fromJsonb, fromText } from "../../databases/postgres/storable.js";
import { jsonText } from "./rows.js";

export type DeliveryColumns = {
  readonly delivery_id: string;
  readonly run_id: string;
  readonly thread_id: string;
  readonly assistant_id: string;
  readonly host: string;
  readonly status: DeliveryStatus;
  readonly created_at: number;
  readonly updated_at: number;
  readonly next_attempt_at: number | null;
  readonly attempts: number;
  readonly log: string;
};

export type ClaimedColumns = DeliveryColumns & {
  readonly lease_token: number;
  readonly failures: number;
  readonly pending_ms: number;
  readonly graph_id: string;
  readonly run_created_at: number;
  readonly run_updated_at: number;
  readonly run_due_at: number;
  readonly run_status: RunStatus;
  readonly run_attempt: number;
  readonly multitask_strategy: MultitaskStrategy;
  readonly metadata: string;
  readonly kwargs: string;
  readonly error: string | null;
  readonly started_at: number | null;
  readonly state_values: string | null;
};

/** @param source of the columns, with its dot */
export function deliveryColumns(source = ""): string {
  return "delivery_id run_id thread_id assistant_id host status created_at updated_at next_attempt_at attempts log"
    .split(" ")
    .map((name) => source + name)
    .join(", ");
}

export const CONTENT_COLUMNS =
  "c.graph_id, c.run_created_at, c.run_updated_at, c.run_due_at, c.run_status, c.run_attempt, c.multitask_strategy, " +
  "c.metadata::text AS metadata, c.kwargs, c.error, c.started_at, c.state_values";

export function deliveryOf(row: DeliveryColumns): Delivery {
  return {
    deliveryId: fromText(row.delivery_id),
    runId: fromText(row.run_id),
    threadId: fromText(row.thread_id),
    assistantId: fromText(row.assistant_id),
    host: row.host,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    nextAttemptAt: row.next_attempt_at,
    attempts: row.attempts,
    log: JSON.parse(row.log) as readonly DeliveryAttempt[],
  };
}

export function claimedOf(row: ClaimedColumns): ClaimedDelivery {
  const { lease_token: leaseToken, failures, pending_ms: pendingMs } = row;
  return { delivery: deliveryOf(row), leaseToken, failures, pendingMs, ...contentOf(row) };
}

function contentOf(row: ClaimedColumns): DeliveryContent {
  return {
    run: {
      runId: fromText(row.run_id),
      threadId: fromText(row.thread_id),
      assistantId: fromText(row.assistant_id),
      graphId: fromText(row.graph_id),
      createdAt: row.run_created_at,
      updatedAt: row.run_updated_at,
      dueAt: row.run_due_at,
      status: row.run_status,
      metadata: fromJsonb(row.metadata) as JsonObject,
      kwargs: JSON.parse(row.kwargs) as RunKwargs,
      multitaskStrategy: row.multitask_strategy,
      attempt: row.run_attempt,
      error: jsonText(row.error),
    },
    values: jsonText(row.state_values),
    startedAt: row.started_at,
  };
}
