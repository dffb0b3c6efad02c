import type { MultitaskStrategy, RunStatus } from "../core/run.js";
import type { Delivery, DeliveryAttempt, DeliveryStatus } from "../core/webhook.js";

/** A row of the deliveries' table, in SQL storages: the log is JSON text. Ids that there are none of are empty. */
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

/** What a delivery says, in a table of its own: the run as it ended, and its thread's values. */
export type ContentColumns = {
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

/** What a message says, in a table of its own. */
export type MessageColumns = { readonly message: string };

/** @param fromText an id as the storage gives it back. Default: as it was written */
export function deliveryOf(row: DeliveryColumns, fromText: (column: string) => string = (column) => column): Delivery {
  const idOf = (column: string): string | null => (column === "" ? null : fromText(column));
  return {
    deliveryId: fromText(row.delivery_id),
    runId: idOf(row.run_id),
    threadId: idOf(row.thread_id),
    assistantId: idOf(row.assistant_id),
    host: row.host,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    nextAttemptAt: row.next_attempt_at,
    attempts: row.attempts,
    log: JSON.parse(row.log) as readonly DeliveryAttempt[],
  };
}

/** The run that a delivery tells of, under the names of the runs' table. */
export function endedRunColumns(row: DeliveryColumns & ContentColumns) {
  return {
    ...row,
    created_at: row.run_created_at,
    updated_at: row.run_updated_at,
    due_at: row.run_due_at,
    status: row.run_status,
    attempt: row.run_attempt,
  };
}
