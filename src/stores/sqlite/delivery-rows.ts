import type { EpochMs } from "../../core/json.js";
import { type DeliveryContent, deliveryIdOf } from "../../core/webhook.js";
import { WEBHOOK_HEAD_CHARS, webhookHostOf } from "../../core/kwargs-text.js";
import { type ContentColumns, type DeliveryColumns, endedRunColumns } from "../delivery-columns.js";
import { jsonText, parseKwargs, type RunColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

export type StoredDeliveryColumns = DeliveryColumns & {
  readonly id: number;
  readonly pending_since: number;
  readonly lease_token: number;
  readonly failures: number;
};

/**
 * A run has ended and its thread is settled: part of that transaction. Nothing for a run without a webhook.
 * @param run as it ended
 * @param startedAt of the attempt that ended
 */
export function insertDelivery(session: Session, run: RunColumns, startedAt: EpochMs | null): void {
  const head = `SELECT substr(kwargs, 1, ${WEBHOOK_HEAD_CHARS}) AS head FROM run_kwargs WHERE run = ?`;
  const host = webhookHostOf(session.sql<{ head: string }>(head).get(run.id)?.head ?? "");
  if (host === null) return;
  const { run_id, thread_id, assistant_id } = run;
  const now = session.clock.now();
  const inserted = session
    .sql(
      `INSERT INTO deliveries (delivery_id, run_id, thread_id, assistant_id, host, status, created_at, updated_at, pending_since,
         next_attempt_at, lease_token, attempts, failures, log)
       VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, 0, 0, 0, '[]') ON CONFLICT (delivery_id) DO NOTHING`,
    )
    .run(deliveryIdOf(run_id), run_id, thread_id, assistant_id, host, now, now, now, now);
  if (inserted.changes === 0) return;
  session
    .sql(
      `INSERT INTO delivery_contents (delivery, graph_id, run_created_at, run_updated_at, run_due_at, run_status, run_attempt,
         multitask_strategy, metadata, kwargs, error, started_at, state_values)
       SELECT ?, r.graph_id, r.created_at, r.updated_at, r.due_at, r.status, r.attempt, r.multitask_strategy, r.metadata,
         k.kwargs, r.error, ?, s.state_values
       FROM runs r JOIN run_kwargs k ON k.run = r.id LEFT JOIN thread_states s ON s.thread = r.thread WHERE r.id = ?`,
    )
    .run(inserted.lastInsertRowid, startedAt, run.id);
}

export function contentOf(row: DeliveryColumns & ContentColumns): DeliveryContent {
  return {
    run: runOf(endedRunColumns(row), parseKwargs(row.kwargs)),
    values: jsonText(row.state_values),
    startedAt: row.started_at,
  };
}
