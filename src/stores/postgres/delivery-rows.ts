import type { ClaimedDelivery, Delivery, DeliveryContent } from "../../core/webhook.js";
import { asJsonText } from "../../core/json.js";
import { fromText } from "../../databases/postgres/storable.js";
import {
  type ContentColumns,
  deliveryOf,
  type DeliveryColumns,
  endedRunColumns,
  type MessageColumns,
} from "../delivery-columns.js";
import { jsonText, runOf } from "./rows.js";

export type ClaimedColumns = DeliveryColumns & {
  readonly lease_token: number;
  readonly failures: number;
  readonly pending_ms: number;
} & (RunColumns | MessageRow);

type RunColumns = ContentColumns & { readonly message: null };
type MessageRow = MessageColumns;

/** @param source of the columns, with its dot */
export function deliveryColumns(source = ""): string {
  return "delivery_id run_id thread_id assistant_id host status created_at updated_at next_attempt_at attempts log"
    .split(" ")
    .map((name) => source + name)
    .join(", ");
}

/** Of runs, or of messages: the others are null. */
export const CONTENT_COLUMNS =
  "c.graph_id, c.run_created_at, c.run_updated_at, c.run_due_at, c.run_status, c.run_attempt, c.multitask_strategy, " +
  "c.metadata::text AS metadata, c.kwargs, c.error, c.started_at, c.state_values, m.message";

export const storedDelivery = (row: DeliveryColumns): Delivery => deliveryOf(row, fromText);

export function claimedOf(row: ClaimedColumns): ClaimedDelivery {
  const { lease_token: leaseToken, failures, pending_ms: pendingMs } = row;
  return {
    delivery: storedDelivery(row),
    leaseToken,
    failures,
    pendingMs,
    ...contentOf(row),
  };
}

function contentOf(row: ClaimedColumns): DeliveryContent {
  if (row.message !== null) return { kind: "message", message: asJsonText(row.message) };
  return {
    kind: "run",
    run: runOf(endedRunColumns(row)),
    values: jsonText(row.state_values),
    startedAt: row.started_at,
  };
}
