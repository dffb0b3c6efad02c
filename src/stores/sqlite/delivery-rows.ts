import type { EpochMs } from "../../core/json.js";
import type { MultitaskStrategy, RunStatus } from "../../core/run.js";
import {
  type Delivery,
  type DeliveryAttempt,
  type DeliveryContent,
  deliveryIdOf,
  type DeliveryStatus,
} from "../../core/webhook.js";
import { WEBHOOK_HEAD_CHARS, webhookHostOf } from "../../core/kwargs-text.js";
import { jsonText, parseKwargs, parseObject, type RunColumns } from "./rows.js";
import type { Session } from "./session.js";

export interface DeliveryColumns {
  readonly id: number;
  readonly delivery_id: string;
  readonly run_id: string;
  readonly thread_id: string;
  readonly assistant_id: string;
  readonly host: string;
  readonly status: DeliveryStatus;
  readonly created_at: number;
  readonly updated_at: number;
  readonly pending_since: number;
  readonly next_attempt_at: number | null;
  readonly lease_token: number;
  readonly attempts: number;
  readonly failures: number;
  readonly log: string;
}

export interface ContentColumns {
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
}

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

export function deliveryOf(row: DeliveryColumns): Delivery {
  return {
    deliveryId: row.delivery_id,
    runId: row.run_id,
    threadId: row.thread_id,
    assistantId: row.assistant_id,
    host: row.host,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    nextAttemptAt: row.next_attempt_at,
    attempts: row.attempts,
    log: JSON.parse(row.log) as readonly DeliveryAttempt[],
  };
}

export function contentOf(row: DeliveryColumns & ContentColumns): DeliveryContent {
  return {
    run: {
      runId: row.run_id,
      threadId: row.thread_id,
      assistantId: row.assistant_id,
      graphId: row.graph_id,
      createdAt: row.run_created_at,
      updatedAt: row.run_updated_at,
      dueAt: row.run_due_at,
      status: row.run_status,
      metadata: parseObject(row.metadata),
      kwargs: parseKwargs(row.kwargs),
      multitaskStrategy: row.multitask_strategy,
      attempt: row.run_attempt,
      error: jsonText(row.error),
    },
    values: jsonText(row.state_values),
    startedAt: row.started_at,
  };
}
