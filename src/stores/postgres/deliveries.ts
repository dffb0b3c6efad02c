import { type Delivery, type DeliveryAttempt, type DeliveryStore, withAttempt } from "../../core/webhook.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toText } from "../../databases/postgres/storable.js";
import type { DeliveryColumns } from "../delivery-columns.js";
import { type ClaimedColumns, CONTENT_COLUMNS, claimedOf, deliveryColumns, storedDelivery } from "./delivery-rows.js";
import type { Session } from "./session.js";

const idempotent = true;

/** Hosts are a list of JSON, not of SQL: a statement's text stays the same. */
const due = (not: "" | "NOT"): Statement => ({
  name: `heddle_due_deliveries${not}`,
  idempotent,
  text: `SELECT delivery_id, host FROM heddle_deliveries
    WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= (SELECT heddle_now($1))
      AND ${not} host = ANY (ARRAY(SELECT json_array_elements_text($2::json)))
    ORDER BY next_attempt_at, delivery_id LIMIT $3`,
});
const DUE = { only: due(""), except: due("NOT") };
/** Not idempotent: who asks again after a lost answer finds nothing, and they become due when the lease ends. */
const CLAIM: Statement = {
  name: "heddle_claim_deliveries",
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now), taken AS (
      UPDATE heddle_deliveries d SET next_attempt_at = (SELECT now FROM clock) + $2::bigint, lease_token = lease_token + 1,
        updated_at = (SELECT now FROM clock)
      WHERE d.delivery_id IN (
        SELECT o.delivery_id FROM heddle_deliveries o WHERE o.delivery_id = ANY ($3::text[])
          AND o.next_attempt_at <= (SELECT now FROM clock) ORDER BY o.delivery_id FOR UPDATE SKIP LOCKED
      ) RETURNING d.*
    ) SELECT ${deliveryColumns("d.")}, d.lease_token, d.failures, (SELECT now FROM clock) - d.pending_since AS pending_ms,
      ${CONTENT_COLUMNS} FROM taken d LEFT JOIN heddle_delivery_contents c ON c.delivery_id = d.delivery_id
      LEFT JOIN heddle_delivery_messages m ON m.delivery_id = d.delivery_id
      WHERE c.delivery_id IS NOT NULL OR m.delivery_id IS NOT NULL`,
};
const ENQUEUE: Statement = {
  name: "heddle_enqueue_delivery",
  // Who asks again after a lost answer is told that it is there.
  idempotent,
  text: "SELECT heddle_enqueue_message(heddle_now($1), $2, $3, $4, $5) AS enqueued",
};
const LOG: Statement = {
  name: "heddle_delivery_log",
  idempotent,
  text: "SELECT log FROM heddle_deliveries WHERE delivery_id = $1 AND lease_token = $2 AND next_attempt_at IS NOT NULL",
};
const RECORD: Statement = {
  name: "heddle_record_delivery",
  idempotent,
  text: `UPDATE heddle_deliveries d SET status = $4, next_attempt_at = n.now + $5::bigint, updated_at = n.now,
      lease_token = lease_token + 1, attempts = attempts + 1, failures = failures + $6, log = $7
    FROM (SELECT heddle_now($1) AS now) n
    WHERE d.delivery_id = $2 AND d.lease_token = $3 AND d.next_attempt_at IS NOT NULL RETURNING 1 AS done`,
};
const RELEASE: Statement = {
  name: "heddle_release_deliveries",
  idempotent,
  text: `UPDATE heddle_deliveries d SET next_attempt_at = heddle_now($1) + $3::bigint, lease_token = d.lease_token + 1
    FROM json_to_recordset($2::json) AS l ("deliveryId" text, "leaseToken" bigint)
    WHERE d.delivery_id = l."deliveryId" AND d.lease_token = l."leaseToken" AND d.next_attempt_at IS NOT NULL`,
};
const GET: Statement = {
  name: "heddle_get_delivery",
  idempotent,
  text: `SELECT ${deliveryColumns()} FROM heddle_deliveries WHERE delivery_id = $1`,
};
const REDELIVER: Statement = {
  name: "heddle_redeliver",
  idempotent,
  text: `UPDATE heddle_deliveries SET status = 'pending', pending_since = n.now, next_attempt_at = n.now, updated_at = n.now,
      failures = 0, lease_token = lease_token + 1 FROM (SELECT heddle_now($1) AS now) n
    WHERE delivery_id = $2 RETURNING ${deliveryColumns()}`,
};
const SWEEP: Statement = {
  name: "heddle_sweep_deliveries",
  idempotent,
  text: `WITH gone AS (DELETE FROM heddle_deliveries WHERE delivery_id IN (
      SELECT delivery_id FROM heddle_deliveries
      WHERE next_attempt_at IS NULL AND updated_at <= (SELECT heddle_now($1)) - $2::bigint
      ORDER BY updated_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ) RETURNING 1) SELECT count(*) AS gone FROM gone`,
};
const DELETE_THREAD: Statement = {
  name: "heddle_delete_thread_deliveries",
  idempotent,
  text: "WITH gone AS (DELETE FROM heddle_deliveries WHERE thread_id = $1 RETURNING 1) SELECT count(*) AS gone FROM gone",
};

/** The outbox of webhooks in a Postgres database. */
export function createPostgresDeliveries(session: Session): DeliveryStore {
  const one = async (statement: Statement, values: readonly unknown[]): Promise<Delivery | null> => {
    const [row] = await session.query<DeliveryColumns>(statement, values);
    return row === undefined ? null : storedDelivery(row);
  };

  return {
    async enqueue({ deliveryId, host, threadId, message }) {
      const values = [session.now(), toText(deliveryId), toText(threadId ?? ""), host, message];
      const [row] = await session.query<{ readonly enqueued: boolean }>(ENQUEUE, values);
      return { enqueued: row?.enqueued ?? false };
    },

    async due({ limit, hosts }) {
      const values = [session.now(), JSON.stringify(hosts.hosts), limit];
      const rows = await session.query<Pick<DeliveryColumns, "delivery_id" | "host">>(DUE[hosts.kind], values);
      return rows.map(({ delivery_id: deliveryId, host }) => ({ deliveryId, host }));
    },

    async claim({ deliveryIds, leaseMs }) {
      if (deliveryIds.length === 0) return [];
      const rows = await session.query<ClaimedColumns>(CLAIM, [session.now(), leaseMs, deliveryIds.map(toText)]);
      return rows.map(claimedOf);
    },

    async record({ lease: { deliveryId, leaseToken }, attempt, next }) {
      // Nobody else writes under this token: what is read is what is added to.
      const [before] = await session.query<{ readonly log: string }>(LOG, [toText(deliveryId), leaseToken]);
      if (before === undefined) return { accepted: false };
      const log = withAttempt(JSON.parse(before.log) as readonly DeliveryAttempt[], attempt);
      const rows = await session.query(RECORD, [
        session.now(),
        toText(deliveryId),
        leaseToken,
        next.kind === "retry" ? "pending" : next.kind,
        next.kind === "retry" ? next.delayMs : null,
        next.kind === "delivered" ? 0 : 1,
        JSON.stringify(log),
      ]);
      return { accepted: rows.length > 0 };
    },

    async release({ leases, delayMs = 0 }) {
      if (leases.length > 0) await session.query(RELEASE, [session.now(), JSON.stringify(leases), delayMs]);
    },

    get: ({ deliveryId }) => one(GET, [toText(deliveryId)]),

    async list({ runId, threadId, status, limit, offset }) {
      const parameters: unknown[] = [];
      const conditions = Object.entries({ run_id: runId, thread_id: threadId, status }).flatMap(([column, value]) =>
        value === undefined ? [] : [`${column} = $${parameters.push(toText(value))}`],
      );
      const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
      const count = { name: "", idempotent, text: `SELECT count(*) AS total FROM heddle_deliveries ${where}` };
      const [counted] = await session.query<{ readonly total: number }>(count, [...parameters]);
      const page = `LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}`;
      const text = `SELECT ${deliveryColumns()} FROM heddle_deliveries ${where} ORDER BY created_at DESC, delivery_id DESC ${page}`;
      const rows = await session.query<DeliveryColumns>({ name: "", idempotent, text }, parameters);
      return { rows: rows.map(storedDelivery), total: counted?.total ?? 0 };
    },

    redeliver: ({ deliveryId }) => one(REDELIVER, [session.now(), toText(deliveryId)]),

    async sweep({ idleMs, limit }) {
      const [row] = await session.query<{ readonly gone: number }>(SWEEP, [session.now(), idleMs, limit]);
      return row?.gone ?? 0;
    },

    async deleteThread({ threadId }) {
      const [row] = await session.query<{ readonly gone: number }>(DELETE_THREAD, [toText(threadId)]);
      return row?.gone ?? 0;
    },
  };
}
