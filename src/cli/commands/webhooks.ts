import pc from "picocolors";
import { HeddleError } from "../../core/errors.js";
import type { Delivery, DeliveryStatus, DeliveryStore } from "../../core/webhook.js";
import { type TablesFlags, withTables } from "../with-tables.js";

export interface ListWebhooksFlags extends TablesFlags {
  readonly status?: DeliveryStatus;
  readonly run?: string;
  readonly thread?: string;
  readonly limit?: number;
}

const DEFAULT_LIMIT = 20;

/** `heddle webhooks list`: deliveries of a storage, newest first. @returns the exit code */
export function listWebhooks(flags: ListWebhooksFlags): Promise<number> {
  return withDeliveries(flags, async (deliveries, place) => {
    const { status, run, thread, limit = DEFAULT_LIMIT } = flags;
    const page = await deliveries.list({
      ...(status !== undefined && { status }),
      ...(run !== undefined && { runId: run }),
      ...(thread !== undefined && { threadId: thread }),
      limit,
      offset: 0,
    });
    if (flags.json === true) return [json(page.rows.map(deliveryDocument))];
    if (page.total === 0) return [`no webhooks in ${place}`];
    const lines = page.rows.map(
      ({ deliveryId, status: now, attempts, host, createdAt }) =>
        `${isoTime(createdAt)}  ${now.padEnd(9)}  ${attempts} attempts  ${host}  ${deliveryId}`,
    );
    return page.total > page.rows.length ? [...lines, pc.dim(`  of ${page.total}: see --limit`)] : lines;
  });
}

/** `heddle webhooks show`: one delivery with its attempts. @returns the exit code: 1 when there is none */
export function showWebhook(deliveryId: string, flags: TablesFlags): Promise<number> {
  return withDeliveries(flags, async (deliveries, place) => {
    const delivery = found(await deliveries.get({ deliveryId }), deliveryId, place);
    return flags.json === true ? [json(deliveryDocument(delivery))] : deliveryLines(delivery);
  });
}

/** `heddle webhooks redeliver`: send one again, by the servers that are running. @returns as {@link showWebhook} */
export function redeliverWebhook(deliveryId: string, flags: TablesFlags): Promise<number> {
  return withDeliveries(flags, async (deliveries, place) => {
    const delivery = found(await deliveries.redeliver({ deliveryId }), deliveryId, place);
    if (flags.json === true) return [json(deliveryDocument(delivery))];
    return [
      `${delivery.deliveryId} goes to ${delivery.host} again`,
      pc.dim("  within a second, if a server is running"),
    ];
  });
}

function withDeliveries(
  flags: TablesFlags,
  work: (deliveries: DeliveryStore, place: string) => Promise<readonly string[]>,
): Promise<number> {
  return withTables(flags, {
    instead: "ask it for GET /webhooks/deliveries",
    work: ({ deliveries }, place) => work(deliveries, place),
  });
}

function found(delivery: Delivery | null, deliveryId: string, place: string): Delivery {
  if (delivery !== null) return delivery;
  throw new HeddleError("NOT_FOUND", {
    message: `There is no delivery ${deliveryId} in ${place}. See \`heddle webhooks list\`.`,
  });
}

function deliveryLines(delivery: Delivery): readonly string[] {
  const { nextAttemptAt, log } = delivery;
  const rows: readonly (readonly [string, string])[] = [
    ["delivery", delivery.deliveryId],
    ["run", delivery.runId ?? "none: a message of a protocol"],
    ...(delivery.threadId === null ? [] : [["thread", delivery.threadId] as const]),
    ["host", delivery.host],
    ["status", delivery.status],
    ["created", isoTime(delivery.createdAt)],
    ...(nextAttemptAt === null ? [] : [["next", isoTime(nextAttemptAt)] as const]),
    ["attempts", String(delivery.attempts)],
  ];
  return [
    ...rows.map(([name, value]) => `  ${pc.dim(name.padEnd(9))} ${value}`),
    ...log.map(
      ({ at, durationMs, statusCode, error }) => `  ${isoTime(at)}  ${durationMs} ms  ${error ?? `HTTP ${statusCode}`}`,
    ),
  ];
}

/** For scripts: names as on the wire. */
function deliveryDocument(delivery: Delivery): object {
  return {
    delivery_id: delivery.deliveryId,
    run_id: delivery.runId,
    thread_id: delivery.threadId,
    assistant_id: delivery.assistantId,
    host: delivery.host,
    status: delivery.status,
    created_at: isoTime(delivery.createdAt),
    updated_at: isoTime(delivery.updatedAt),
    next_attempt_at: delivery.nextAttemptAt === null ? null : isoTime(delivery.nextAttemptAt),
    attempts: delivery.attempts,
    log: delivery.log.map(({ at, durationMs, statusCode, error }) => {
      return { at: isoTime(at), duration_ms: durationMs, status_code: statusCode, error };
    }),
  };
}

function json(value: object): string {
  return JSON.stringify(value, null, 2);
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
