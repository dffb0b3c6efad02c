import { asJsonText, type EpochMs } from "../../core/json.js";
import { type DeliveryContent, deliveryIdOf, type QueuedMessage } from "../../core/webhook.js";
import { WEBHOOK_HEAD_CHARS, webhookHostOf } from "../../core/kwargs-text.js";
import {
  type ContentColumns,
  type DeliveryColumns,
  endedRunColumns,
  type MessageColumns,
} from "../delivery-columns.js";
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
  const { run_id: runId, thread_id: threadId, assistant_id: assistantId } = run;
  const delivery = insertPending(session, { deliveryId: deliveryIdOf(runId), runId, threadId, assistantId, host });
  if (delivery === null) return;
  session
    .sql(
      `INSERT INTO delivery_contents (delivery, graph_id, run_created_at, run_updated_at, run_due_at, run_status, run_attempt,
         multitask_strategy, metadata, kwargs, error, started_at, state_values)
       SELECT ?, r.graph_id, r.created_at, r.updated_at, r.due_at, r.status, r.attempt, r.multitask_strategy, r.metadata,
         k.kwargs, r.error, ?, s.state_values
       FROM runs r JOIN run_kwargs k ON k.run = r.id LEFT JOIN thread_states s ON s.thread = r.thread WHERE r.id = ?`,
    )
    .run(delivery, startedAt, run.id);
}

/** Part of a transaction. @returns false when there is one of this id */
export function insertMessage(session: Session, { deliveryId, host, threadId, message }: QueuedMessage): boolean {
  const ids = { deliveryId, runId: "", threadId: threadId ?? "", assistantId: "", host };
  const delivery = insertPending(session, ids);
  if (delivery === null) return false;
  session.sql("INSERT INTO delivery_messages (delivery, message) VALUES (?, ?)").run(delivery, message);
  return true;
}

/** @returns its row; `null` when there is one of this id */
function insertPending(
  session: Session,
  ids: Readonly<Record<"deliveryId" | "runId" | "threadId" | "assistantId" | "host", string>>,
): number | bigint | null {
  const inserted = session
    .sql(
      `INSERT INTO deliveries (delivery_id, run_id, thread_id, assistant_id, host, status, created_at, updated_at, pending_since,
         next_attempt_at, lease_token, attempts, failures, log)
       VALUES (:deliveryId, :runId, :threadId, :assistantId, :host, 'pending', :now, :now, :now, :now, 0, 0, 0, '[]')
       ON CONFLICT (delivery_id) DO NOTHING`,
    )
    .run({ ...ids, now: session.clock.now() });
  return inserted.changes === 0 ? null : inserted.lastInsertRowid;
}

/** @returns `undefined` when it is gone */
export function readContent(session: Session, row: StoredDeliveryColumns): DeliveryContent | undefined {
  const content = session.sql<ContentColumns>("SELECT * FROM delivery_contents WHERE delivery = ?").get(row.id);
  if (content !== undefined) return contentOf({ ...content, ...row });
  const said = session.sql<MessageColumns>("SELECT message FROM delivery_messages WHERE delivery = ?").get(row.id);
  return said && { kind: "message", message: asJsonText(said.message) };
}

function contentOf(row: StoredDeliveryColumns & ContentColumns): DeliveryContent {
  return {
    kind: "run",
    run: runOf(endedRunColumns(row), parseKwargs(row.kwargs)),
    values: jsonText(row.state_values),
    startedAt: row.started_at,
  };
}
