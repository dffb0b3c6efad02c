import type { StoreClock } from "../../core/clock.js";
import type { EpochMs, JsonText } from "../../core/json.js";
import type { Run } from "../../core/run.js";
import {
  type ClaimedDelivery,
  type Delivery,
  type DeliveryAttempt,
  type DeliveryContent,
  deliveryIdOf,
  type DeliveryLease,
  type DeliveryStatus,
  type DeliveryStore,
  type QueuedMessage,
  withAttempt,
} from "../../core/webhook.js";
import { webhookHostOf } from "../../core/kwargs-text.js";
import { compareBy } from "./indexed-rows.js";
import { type RunRow, runOf } from "./rows.js";
import { SortedRows } from "./sorted-rows.js";

interface DeliveryRow {
  readonly deliveryId: string;
  readonly host: string;
  readonly createdAt: EpochMs;
  readonly runId: string | null;
  readonly threadId: string | null;
  readonly assistantId: string | null;
  readonly content: StoredContent;
  updatedAt: EpochMs;
  status: DeliveryStatus;
  pendingSince: EpochMs;
  /** 0 unless it is pending. */
  nextAttemptAt: EpochMs;
  leaseToken: number;
  attempts: number;
  failures: number;
  log: readonly DeliveryAttempt[];
}

type StoredContent =
  | {
      readonly kind: "run";
      /** JSON text of the run, as it ended. */
      readonly run: string;
      readonly values: JsonText | null;
      readonly startedAt: EpochMs | null;
    }
  | { readonly kind: "message"; readonly message: JsonText };

/** The outbox of a memory store. */
export interface MemoryDeliveries extends DeliveryStore {
  /** A run has ended and its thread is settled: part of the same synchronous step. */
  ended(run: RunRow, startedAt: EpochMs | null): void;
}

export function createMemoryDeliveries(clock: StoreClock): MemoryDeliveries {
  const rows = new Map<string, DeliveryRow>();
  const pending = new SortedRows<DeliveryRow>(
    compareBy(
      (row) => row.nextAttemptAt,
      (row) => row.deliveryId,
    ),
  );

  /** Change a row, and its place among those that wait. */
  const change = (row: DeliveryRow, fields: Partial<DeliveryRow>): void => {
    if (row.status === "pending") pending.remove(row);
    Object.assign(row, fields, { updatedAt: clock.now() });
    if (row.status === "pending") pending.insert(row);
  };

  const held = ({ deliveryId, leaseToken }: DeliveryLease): DeliveryRow | null => {
    const row = rows.get(deliveryId);
    return row !== undefined && row.status === "pending" && row.leaseToken === leaseToken ? row : null;
  };

  const remove = (row: DeliveryRow): void => {
    if (row.status === "pending") pending.remove(row);
    rows.delete(row.deliveryId);
  };

  const add = (row: DeliveryRow): boolean => {
    if (rows.has(row.deliveryId)) return false;
    rows.set(row.deliveryId, row);
    pending.insert(row);
    return true;
  };

  return {
    ended(run, startedAt) {
      const host = webhookHostOf(run.kwargs);
      if (host !== null) add(rowOfRun(run, { host, startedAt, now: clock.now() }));
    },

    enqueue: async (message) => ({ enqueued: add(rowOfMessage(message, clock.now())) }),

    due: async ({ limit, hosts }) => dueAmong(pending, { limit, hosts, now: clock.now() }),

    async claim({ deliveryIds, leaseMs }) {
      const now = clock.now();
      return deliveryIds.flatMap((deliveryId) => {
        const row = rows.get(deliveryId);
        if (row === undefined || row.status !== "pending" || row.nextAttemptAt > now) return [];
        change(row, { nextAttemptAt: now + leaseMs, leaseToken: row.leaseToken + 1 });
        return [claimedOf(row, now)];
      });
    },

    async record({ lease, attempt, next }) {
      const row = held(lease);
      if (row === null) return { accepted: false };
      const isRetry = next.kind === "retry";
      change(row, {
        status: next.kind === "retry" ? "pending" : next.kind,
        nextAttemptAt: isRetry ? clock.now() + next.delayMs : 0,
        attempts: row.attempts + 1,
        failures: next.kind === "delivered" ? row.failures : row.failures + 1,
        log: withAttempt(row.log, attempt),
        leaseToken: row.leaseToken + 1,
      });
      return { accepted: true };
    },

    async release({ leases, delayMs = 0 }) {
      for (const lease of leases) {
        const row = held(lease);
        if (row !== null) change(row, { nextAttemptAt: clock.now() + delayMs, leaseToken: row.leaseToken + 1 });
      }
    },

    async get({ deliveryId }) {
      const row = rows.get(deliveryId);
      return row === undefined ? null : deliveryOf(row);
    },

    list: async (query) => listed(rows.values(), query),

    async redeliver({ deliveryId }) {
      const row = rows.get(deliveryId);
      if (row === undefined) return null;
      const now = clock.now();
      const again = { status: "pending", pendingSince: now, nextAttemptAt: now, failures: 0 } as const;
      change(row, { ...again, leaseToken: row.leaseToken + 1 });
      return deliveryOf(row);
    },

    async sweep({ idleMs, limit }) {
      const before = clock.now() - idleMs;
      const old: DeliveryRow[] = [];
      for (const row of rows.values()) {
        if (old.length >= limit) break;
        if (row.status !== "pending" && row.updatedAt <= before) old.push(row);
      }
      for (const row of old) remove(row);
      return old.length;
    },

    async deleteThread({ threadId }) {
      const found = [...rows.values()].filter((row) => row.threadId === threadId);
      for (const row of found) remove(row);
      return found.length;
    },
  };
}

function rowOfRun(
  run: RunRow,
  { host, startedAt, now }: { readonly host: string; readonly startedAt: EpochMs | null; readonly now: EpochMs },
): DeliveryRow {
  const { runId, assistantId, thread } = run;
  return {
    ...PENDING,
    deliveryId: deliveryIdOf(runId),
    host,
    runId,
    threadId: thread.threadId,
    assistantId,
    content: { kind: "run", run: JSON.stringify(runOf(run)), values: thread.values, startedAt },
    ...since(now),
  };
}

function rowOfMessage({ deliveryId, host, threadId, message }: QueuedMessage, now: EpochMs): DeliveryRow {
  const content = { kind: "message", message } as const;
  return { ...PENDING, deliveryId, host, runId: null, threadId, assistantId: null, content, ...since(now) };
}

const PENDING = { status: "pending", leaseToken: 0, attempts: 0, failures: 0, log: [] } as const;

function since(now: EpochMs) {
  return { createdAt: now, updatedAt: now, pendingSince: now, nextAttemptAt: now };
}

function dueAmong(
  pending: Iterable<DeliveryRow>,
  { limit, hosts, now }: Parameters<DeliveryStore["due"]>[0] & { readonly now: EpochMs },
): readonly Pick<DeliveryRow, "deliveryId" | "host">[] {
  const named = new Set(hosts.hosts);
  const found: Pick<DeliveryRow, "deliveryId" | "host">[] = [];
  for (const { deliveryId, host, nextAttemptAt } of pending) {
    if (nextAttemptAt > now || found.length >= limit) break;
    if (named.has(host) === (hosts.kind === "only")) found.push({ deliveryId, host });
  }
  return found;
}

function claimedOf(row: DeliveryRow, now: EpochMs): ClaimedDelivery {
  const { leaseToken, failures, pendingSince } = row;
  const pendingMs = now - pendingSince;
  return { delivery: deliveryOf(row), leaseToken, failures, pendingMs, ...contentOf(row.content) };
}

function contentOf(content: StoredContent): DeliveryContent {
  return content.kind === "run" ? { ...content, run: JSON.parse(content.run) as Run } : content;
}

function listed(
  rows: Iterable<DeliveryRow>,
  { runId, threadId, status, limit, offset }: Parameters<DeliveryStore["list"]>[0],
): { readonly rows: readonly Delivery[]; readonly total: number } {
  const found = [...rows]
    .filter((row) => runId === undefined || row.runId === runId)
    .filter((row) => threadId === undefined || row.threadId === threadId)
    .filter((row) => status === undefined || row.status === status)
    .sort(newestFirst);
  return { rows: found.slice(offset, offset + limit).map(deliveryOf), total: found.length };
}

function deliveryOf(row: DeliveryRow): Delivery {
  const { deliveryId, runId, threadId, assistantId, host, status, createdAt, updatedAt, attempts, log } = row;
  const nextAttemptAt = status === "pending" ? row.nextAttemptAt : null;
  return { deliveryId, runId, threadId, assistantId, host, status, createdAt, updatedAt, nextAttemptAt, attempts, log };
}

function newestFirst(a: DeliveryRow, b: DeliveryRow): number {
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  return a.deliveryId < b.deliveryId ? 1 : -1;
}
