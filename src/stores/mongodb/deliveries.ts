import type { Filter } from "mongodb";
import {
  type ClaimedDelivery,
  type Delivery,
  type DeliveryAttempt,
  type DeliveryLease,
  type DeliveryStore,
  withAttempt,
} from "../../core/webhook.js";
import { pendingDelivery, readContent, removeContents, writeMessage } from "./delivery-contents.js";
import type { DeliveryDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

/** The outbox of webhooks in a MongoDB database. Documents of runs come into it from their threads' (./outbox.ts). */
export function createMongoDeliveries(session: Session): DeliveryStore {
  const { deliveries } = session;

  const held = ({ deliveryId, leaseToken }: DeliveryLease): Filter<DeliveryDocument> => ({
    _id: deliveryId,
    leaseToken,
    status: "pending",
  });

  return {
    async enqueue({ deliveryId, host, threadId, message }) {
      const known = await session.retrying(() => deliveries.findOne({ _id: deliveryId }, { projection: { _id: 1 } }));
      if (known !== null) return { enqueued: false };
      const contentId = await writeMessage(session, { deliveryId, message });
      const ids = { _id: deliveryId, runId: null, threadId, assistantId: null, host, contentId };
      const enqueued = await session.retrying(() => insertOnce(deliveries, pendingDelivery(ids, session.now())));
      if (enqueued) return { enqueued };
      // Somebody else was faster; or this was, and the answer was lost.
      const row = await session.retrying(() =>
        deliveries.findOne({ _id: deliveryId }, { projection: { contentId: 1 } }),
      );
      if (row?.contentId !== contentId) await removeContents(session, [contentId]);
      return { enqueued: row?.contentId === contentId };
    },

    async due({ limit, hosts }) {
      const filter: Filter<DeliveryDocument> = {
        status: "pending",
        nextAttemptAt: { $lte: session.now() },
        host: hosts.kind === "only" ? { $in: [...hosts.hosts] } : { $nin: [...hosts.hosts] },
      };
      const found = await session.retrying(() =>
        deliveries
          .find(filter, { projection: { host: 1 } })
          .sort({ nextAttemptAt: 1, _id: 1 })
          .limit(Math.max(limit, 1))
          .toArray(),
      );
      return found.slice(0, Math.max(limit, 0)).map(({ _id: deliveryId, host }) => ({ deliveryId, host }));
    },

    async claim({ deliveryIds, leaseMs }) {
      return (await Promise.all(deliveryIds.map((deliveryId) => claimOne(session, deliveryId, leaseMs)))).flat();
    },

    async record({ lease, attempt, next }) {
      const row = await session.retrying(() => deliveries.findOne(held(lease)));
      if (row === null) return { accepted: false };
      const now = session.now();
      const log = withAttempt(JSON.parse(row.log) as readonly DeliveryAttempt[], attempt);
      const changed = await session.retrying(() =>
        deliveries.updateOne(held(lease), {
          $set: {
            status: next.kind === "retry" ? "pending" : next.kind,
            nextAttemptAt: next.kind === "retry" ? now + next.delayMs : null,
            updatedAt: now,
            log: JSON.stringify(log),
          },
          $inc: { leaseToken: 1, attempts: 1, failures: next.kind === "delivered" ? 0 : 1 },
        }),
      );
      return { accepted: changed.matchedCount > 0 };
    },

    async release({ leases, delayMs = 0 }) {
      for (const lease of leases) {
        await session.retrying(() =>
          deliveries.updateOne(held(lease), {
            $set: { nextAttemptAt: session.now() + delayMs },
            $inc: { leaseToken: 1 },
          }),
        );
      }
    },

    async get({ deliveryId }) {
      const row = await session.retrying(() => deliveries.findOne({ _id: deliveryId }));
      return row && deliveryOf(row);
    },

    list: (query) => listDeliveries(session, query),

    async redeliver({ deliveryId }) {
      const now = session.now();
      const again = { status: "pending", pendingSince: now, nextAttemptAt: now, updatedAt: now, failures: 0 } as const;
      const row = await session.retrying(() =>
        deliveries.findOneAndUpdate(
          { _id: deliveryId },
          { $set: again, $inc: { leaseToken: 1 } },
          { returnDocument: "after" },
        ),
      );
      return row && deliveryOf(row);
    },

    sweep: ({ idleMs, limit }) =>
      removeDeliveries(
        session,
        { status: { $in: ["delivered", "failed"] }, updatedAt: { $lte: session.now() - idleMs } },
        limit,
      ),

    deleteThread: ({ threadId }) => removeDeliveries(session, { threadId }),
  };
}

/** Contents only after their deliveries: what is left when this process dies is swept. */
async function removeDeliveries(session: Session, filter: Filter<DeliveryDocument>, limit = 0): Promise<number> {
  const { deliveries } = session;
  const found = await session.retrying(() =>
    deliveries
      .find(filter, { projection: { contentId: 1 } })
      .limit(limit)
      .toArray(),
  );
  if (found.length === 0) return 0;
  const ids = found.map(({ _id }) => _id);
  const { deletedCount } = await session.retrying(() =>
    deliveries.deleteMany({ $and: [filter, { _id: { $in: ids } }] }),
  );
  const left = await session.retrying(() => deliveries.find({ _id: { $in: ids } }).toArray());
  const kept = new Set(left.map(({ contentId }) => contentId));
  const gone = found.flatMap(({ contentId }) => (kept.has(contentId) ? [] : [contentId]));
  await removeContents(session, gone);
  return deletedCount;
}

async function listDeliveries(
  session: Session,
  { runId, threadId, status, limit, offset }: Parameters<DeliveryStore["list"]>[0],
): Promise<{ readonly rows: readonly Delivery[]; readonly total: number }> {
  const { deliveries } = session;
  const filter: Filter<DeliveryDocument> = {
    ...(runId !== undefined && { runId }),
    ...(threadId !== undefined && { threadId }),
    ...(status !== undefined && { status }),
  };
  const total = await session.retrying(() => deliveries.countDocuments(filter));
  const rows = await session.retrying(() =>
    deliveries.find(filter).sort({ createdAt: -1, _id: -1 }).skip(offset).limit(Math.max(limit, 1)).toArray(),
  );
  return { rows: rows.slice(0, Math.max(limit, 0)).map(deliveryOf), total };
}

function deliveryOf(row: DeliveryDocument): Delivery {
  const { _id: deliveryId, runId, threadId, assistantId, host, status, createdAt, updatedAt, nextAttemptAt } = row;
  const log = JSON.parse(row.log) as readonly DeliveryAttempt[];
  const { attempts } = row;
  return { deliveryId, runId, threadId, assistantId, host, status, createdAt, updatedAt, nextAttemptAt, attempts, log };
}

async function claimOne(session: Session, deliveryId: string, leaseMs: number): Promise<ClaimedDelivery[]> {
  const now = session.now();
  // Not repeated: who asks again after a lost answer finds nothing, and it becomes due when the lease ends.
  const row = await session.deliveries.findOneAndUpdate(
    { _id: deliveryId, status: "pending", nextAttemptAt: { $lte: now } },
    { $set: { nextAttemptAt: now + leaseMs, updatedAt: now }, $inc: { leaseToken: 1 } },
    { returnDocument: "after" },
  );
  const content = row === null ? null : await readContent(session, row.contentId);
  if (row === null || content === null) return [];
  const { leaseToken, failures } = row;
  return [{ delivery: deliveryOf(row), leaseToken, failures, pendingMs: now - row.pendingSince, ...content }];
}
