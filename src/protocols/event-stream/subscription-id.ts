import { randomUUID } from "node:crypto";
import type { ThreadEventFilter } from "../../core/thread-event.js";
import { isJsonObject } from "../../core/json.js";
import { decodeFilter } from "./wire.js";

/**
 * A subscription's id holds its filter, so that `subscription.reconnect` can restore it on another connection, in another
 * process and after a restart, without anything being kept.
 */
export function newSubscriptionId(filter: ThreadEventFilter): string {
  const text = JSON.stringify(filter);
  return `${Buffer.from(text).toString("base64url")}.${randomUUID().slice(0, 8)}`;
}

/** @returns `null` for an id that this protocol has not made */
export function filterOfSubscription(id: string): ThreadEventFilter | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(id.split(".", 1)[0] ?? "", "base64url").toString());
    return isJsonObject(value) ? decodeFilter(value) : null;
  } catch {
    return null;
  }
}
