import { toJsonText } from "../../core/json.js";
import type { RecordKey } from "../../core/record.js";
import type { WebhookMessage } from "../../core/webhook-message.js";
import type { RunWebhook } from "../../core/webhook.js";
import { type LoggedEvent, shownEvent } from "./event.js";
import type { RunRecord } from "./run-record.js";
import { tenantOf } from "./tenant.js";

const TIMEOUT_MS = 5_000;
/** Of one message: the server tries again, further and further apart ([D]: README.md). */
const MAX_ATTEMPTS = 4;
const BREAKER = { failures: 4, openMs: 3_600_000 };

/**
 * Told again after a crash it is the same message.
 * @param to.secret `null`: unsigned
 * @param to.subscription the record of whoever asked for it; once that is gone, nothing is sent any more
 */
export function messageOf(
  record: RunRecord,
  event: LoggedEvent,
  to: {
    readonly id: string;
    readonly webhook: RunWebhook;
    readonly secret: string | null;
    readonly subscription?: RecordKey;
  },
): WebhookMessage {
  const { id, webhook, secret, subscription } = to;
  return {
    ...webhook,
    deliveryId: `owp_${id}_${event.eventId}`,
    threadId: record.runId,
    body: toJsonText({ runId: record.runId, workspaceId: workspaceOf(record), event: { ...shownEvent(event) } }),
    headers: { "user-agent": "openwop-webhook-dispatcher/1.0" },
    signing: secret === null ? null : { scheme: "openwop", secret, webhookId: id, eventType: event.type },
    maxAttempts: MAX_ATTEMPTS,
    timeoutMs: TIMEOUT_MS,
    circuit: { name: `openwop:${id}`, ...BREAKER },
    ...(subscription !== undefined && { subscription }),
  };
}

/** What messages and subscriptions call a run's workspace. */
export function workspaceOf({ tenantId, caller }: RunRecord): string {
  return tenantId ?? tenantOf(caller);
}
