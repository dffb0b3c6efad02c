import type { ClaimedDelivery, Delivery } from "../../core/webhook.js";
import { fromText } from "../../databases/postgres/storable.js";
import { type ContentColumns, deliveryOf, type DeliveryColumns, endedRunColumns } from "../delivery-columns.js";
import { jsonText, runOf } from "./rows.js";

export type ClaimedColumns = DeliveryColumns &
  ContentColumns & {
    readonly lease_token: number;
    readonly failures: number;
    readonly pending_ms: number;
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

export const storedDelivery = (row: DeliveryColumns): Delivery => deliveryOf(row, fromText);

export function claimedOf(row: ClaimedColumns): ClaimedDelivery {
  const { lease_token: leaseToken, failures, pending_ms: pendingMs } = row;
  return {
    delivery: storedDelivery(row),
    leaseToken,
    failures,
    pendingMs,
    run: runOf(endedRunColumns(row)),
    values: jsonText(row.state_values),
    startedAt: row.started_at,
  };
}
