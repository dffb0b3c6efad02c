import {
  type Delivery,
  type DeliveryAttempt,
  type DeliveryLease,
  type DeliveryStore,
  withAttempt,
} from "../../core/webhook.js";
import { deliveryOf } from "../delivery-columns.js";
import { insertMessage, readContent, type StoredDeliveryColumns } from "./delivery-rows.js";
import type { Session } from "./session.js";

const COLUMNS =
  "id, delivery_id, run_id, thread_id, assistant_id, host, status, created_at, updated_at, pending_since, " +
  "next_attempt_at, lease_token, attempts, failures, log";

/** The outbox of webhooks in a SQLite database. */
export function createSqliteDeliveries(session: Session): DeliveryStore {
  const { clock } = session;

  const find = (deliveryId: string): StoredDeliveryColumns | undefined =>
    session.sql<StoredDeliveryColumns>(`SELECT ${COLUMNS} FROM deliveries WHERE delivery_id = ?`).get(deliveryId);

  const held = ({ deliveryId, leaseToken }: DeliveryLease): StoredDeliveryColumns | null => {
    const row = find(deliveryId);
    return row?.status === "pending" && row.lease_token === leaseToken ? row : null;
  };

  return {
    enqueue: (message) => session.write(() => ({ enqueued: insertMessage(session, message) })),

    due: ({ limit, hosts }) =>
      session.read(() => {
        const not = hosts.kind === "only" ? "" : "NOT";
        const sql = `SELECT delivery_id AS deliveryId, host FROM deliveries
          WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= ? AND host ${not} IN (SELECT value FROM json_each(?))
          ORDER BY next_attempt_at, delivery_id LIMIT ?`;
        return session
          .sql<{ readonly deliveryId: string; readonly host: string }>(sql)
          .all(clock.now(), JSON.stringify(hosts.hosts), limit);
      }),

    claim: ({ deliveryIds, leaseMs }) =>
      session.write(() => {
        const now = clock.now();
        const take = session.sql<StoredDeliveryColumns>(
          `UPDATE deliveries SET next_attempt_at = ?, lease_token = lease_token + 1, updated_at = ?
           WHERE delivery_id = ? AND next_attempt_at <= ? RETURNING ${COLUMNS}`,
        );
        return deliveryIds.flatMap((deliveryId) => {
          const row = take.get(now + leaseMs, now, deliveryId, now);
          const content = row === undefined ? undefined : readContent(session, row);
          if (row === undefined || content === undefined) return [];
          const { lease_token: leaseToken, failures } = row;
          const pendingMs = now - row.pending_since;
          return [{ delivery: deliveryOf(row), leaseToken, failures, pendingMs, ...content }];
        });
      }),

    record: ({ lease, attempt, next }) =>
      session.write(() => {
        const row = held(lease);
        if (row === null) return { accepted: false };
        const now = clock.now();
        session
          .sql(
            `UPDATE deliveries SET status = ?, next_attempt_at = ?, updated_at = ?, lease_token = lease_token + 1,
               attempts = attempts + 1, failures = failures + ?, log = ? WHERE id = ?`,
          )
          .run(
            next.kind === "retry" ? "pending" : next.kind,
            next.kind === "retry" ? now + next.delayMs : null,
            now,
            next.kind === "delivered" ? 0 : 1,
            JSON.stringify(withAttempt(JSON.parse(row.log) as readonly DeliveryAttempt[], attempt)),
            row.id,
          );
        return { accepted: true };
      }),

    release: ({ leases, delayMs = 0 }) =>
      session.write(() => {
        const give = session.sql(
          `UPDATE deliveries SET next_attempt_at = ?, lease_token = lease_token + 1
           WHERE delivery_id = ? AND lease_token = ? AND status = 'pending'`,
        );
        for (const { deliveryId, leaseToken } of leases) give.run(clock.now() + delayMs, deliveryId, leaseToken);
      }),

    get: ({ deliveryId }) =>
      session.read(() => {
        const row = find(deliveryId);
        return row === undefined ? null : deliveryOf(row);
      }),

    list: (query) => session.read(() => listDeliveries(session, query)),

    redeliver: ({ deliveryId }) =>
      session.write(() => {
        const now = clock.now();
        const row = session
          .sql<StoredDeliveryColumns>(
            `UPDATE deliveries SET status = 'pending', pending_since = :now, next_attempt_at = :now, updated_at = :now,
               failures = 0, lease_token = lease_token + 1 WHERE delivery_id = :deliveryId RETURNING ${COLUMNS}`,
          )
          .get({ now, deliveryId });
        return row === undefined ? null : deliveryOf(row);
      }),

    sweep: ({ idleMs, limit }) =>
      session.write(() => {
        const sql = `DELETE FROM deliveries WHERE id IN (
          SELECT id FROM deliveries WHERE next_attempt_at IS NULL AND updated_at <= ? ORDER BY updated_at LIMIT ?)`;
        return session.sql(sql).run(clock.now() - idleMs, limit).changes;
      }),

    deleteThread: ({ threadId }) =>
      session.write(() => session.sql("DELETE FROM deliveries WHERE thread_id = ?").run(threadId).changes),
  };
}

function listDeliveries(
  session: Session,
  { runId, threadId, status, limit, offset }: Parameters<DeliveryStore["list"]>[0],
): { readonly rows: readonly Delivery[]; readonly total: number } {
  const wanted = Object.entries({ run_id: runId, thread_id: threadId, status }).flatMap(([column, value]) =>
    value === undefined ? [] : [{ condition: `${column} = ?`, value }],
  );
  const where = wanted.length === 0 ? "" : `WHERE ${wanted.map(({ condition }) => condition).join(" AND ")}`;
  const values = wanted.map(({ value }) => value);
  const count = `SELECT count(*) AS total FROM deliveries ${where}`;
  const page = `SELECT ${COLUMNS} FROM deliveries ${where} ORDER BY created_at DESC, delivery_id DESC LIMIT ? OFFSET ?`;
  const rows = session.sql<StoredDeliveryColumns>(page).all(...values, limit, offset);
  return {
    rows: rows.map((row) => deliveryOf(row)),
    total: session.sql<{ total: number }>(count).get(...values)?.total ?? 0,
  };
}
