import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Caller } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import type { IdempotentAttempt } from "../../core/idempotency.js";
import { isItemVisible } from "../../core/item-filter.js";
import type { JsonObject } from "../../core/json.js";
import { parseJsonText, toJsonText } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordStore, StoredRecord } from "../../core/record.js";
import { secretDigest } from "../../core/secret-digest.js";
import type { RunWebhook } from "../../core/webhook.js";
import type { Authorize } from "../../services/authorization.js";
import type { Outbox } from "../../services/outbox.js";
import type { Listener } from "./announcements.js";
import { isTerminalType, type LoggedEvent } from "./event.js";
import type { RunRecord } from "./run-record.js";
import { OpenwopRefusal } from "./seams.js";
import { mayBeTenant, tenantOf } from "./tenant.js";
import { workspaceOf } from "./webhook-message.js";

const SPACE = "openwop-webhooks";
const SUBSCRIPTION_ID = /^wh_[0-9a-f]{32}$/;
/** Each append looks at all of them. */
const MAX_SUBSCRIPTIONS = 100;
const MAX_EVENTS = 100;

/** POST /v1/webhooks (docs/wire/openwop.md §3.2 Webhooks). */
export const webhookBody = z
  .strictObject({
    url: z.string().min(1).max(2_048),
    events: z
      .array(z.string().regex(/^[a-z][\w.-]{0,127}$/i, "must be the type of an event, as run.completed"))
      .min(1)
      .max(MAX_EVENTS),
    tenantId: z.string().min(1).max(256).optional(),
    tags: z.array(z.string().max(256)).max(100).optional(),
    secret: z.string().min(16).max(256).optional(),
  })
  .meta({ id: "OpenwopWebhook" });

/** A subscription, as it is kept. */
const Subscription = z.object({
  webhook: z.object({ host: z.string(), url: z.string() }),
  events: z.array(z.string()),
  /** Runs with any of these; empty: with whichever. */
  tags: z.array(z.string()),
  secret: z.string(),
  tenantId: z.string().nullable(),
});
type SubscriptionValue = z.infer<typeof Subscription>;

export interface NewSubscription {
  readonly subscriptionId: string;
  readonly url: string;
  readonly events: readonly string[];
  /** Told this once. */
  readonly secret: string;
  /** The first 8 hex digits of its SHA-256. */
  readonly secretFingerprint: string;
  readonly createdAt: number;
}

export type Webhooks = ReturnType<typeof createWebhooks>;

/** Subscriptions to events of an owner's runs. */
export function createWebhooks(deps: {
  readonly records: RecordStore;
  readonly authorize: Authorize;
  readonly itemPrefix: (caller: Caller) => readonly string[];
  readonly outbox: Outbox;
}) {
  const { records, authorize, outbox } = deps;
  const namespaceOf = (caller: Caller): readonly string[] => [...deps.itemPrefix(caller), ...NAMESPACE];

  const subscriptionsOf = async (owner: string) => {
    const place = { space: SPACE, owner, collection: "" };
    const rows = await records.list({
      ...place,
      order: "created",
      direction: "asc",
      limit: MAX_SUBSCRIPTIONS,
      offset: 0,
    });
    return rows.map(({ key, value }) => ({ id: key, said: Subscription.parse(parseJsonText(value)) }));
  };

  /** Who wants to hear of a run: those who subscribed, and the URL that it was created with. */
  const listenersOf = async (record: RunRecord): Promise<readonly Listener[]> => {
    const { owner, callbackUrl, runId } = record;
    const judged = callbackUrl === null ? null : outbox.judge(callbackUrl);
    const subscribed = (await subscriptionsOf(owner)).filter(({ said }) => listensTo(said, record));
    const listeners = subscribed.map(({ id, said }) => listenerOf(owner, id, said));
    if (judged?.kind !== "allowed") return listeners;
    const { webhook } = judged;
    return [
      ...listeners,
      { id: `callback-${runId}`, webhook, secret: null, wants: ({ type }: LoggedEvent) => isTerminalType(type) },
    ];
  };

  return {
    listenersOf,

    /**
     * What a subscriber or a run may name as its URL.
     * @throws OpenwopRefusal `webhook_url_rejected`
     */
    judgeUrl(url: string): RunWebhook {
      const judged = outbox.judge(url);
      if (judged.kind === "allowed") return judged.webhook;
      throw new OpenwopRefusal({ status: 400, code: "webhook_url_rejected", message: `url ${judged.reason}` });
    },

    /**
     * @param attempt a subscription is called by it: the same one again when the request is sent again after a crash
     * @throws OpenwopRefusal `webhook_url_rejected`, `forbidden`; HeddleError `LIMIT_REACHED`
     */
    async register(
      caller: Caller,
      body: z.infer<typeof webhookBody>,
      attempt: IdempotentAttempt,
    ): Promise<NewSubscription> {
      const { events, tags = [], secret = randomBytes(32).toString("hex"), tenantId = tenantOf(caller) } = body;
      if (!mayBeTenant(caller, tenantId)) throw foreignTenant(tenantId);
      const webhook = this.judgeUrl(body.url);
      const key = `wh_${attempt.id.replaceAll("-", "")}`;
      const told: JsonObject = { url: body.url, events, tags };
      await authorize(caller, "store", "put", { namespace: namespaceOf(caller), key, value: told });
      const place = { space: SPACE, owner: ownerOf(caller), collection: "" };
      const known = attempt.isRepeated ? await records.get({ ...place, key }) : null;
      if (known !== null) return newSubscription(known, body.url);
      if ((await records.count(place)) >= MAX_SUBSCRIPTIONS) {
        const message = `There are ${MAX_SUBSCRIPTIONS} webhooks already: remove one`;
        throw new HeddleError("LIMIT_REACHED", { message, details: { scope: "webhooks" } });
      }
      const said: SubscriptionValue = { webhook, events, tags, secret, tenantId: body.tenantId ?? null };
      const outcome = await records.write({ ...place, key, value: toJsonText(said), expected: 0 });
      if (outcome.kind === "conflict") throw new HeddleError("INTERNAL");
      return newSubscription(outcome.record, body.url);
    },

    /** @throws OpenwopRefusal `subscription_not_found`, `forbidden` for a tenant that is not the caller's */
    async unregister(caller: Caller, subscriptionId: string, tenantId: string | null): Promise<void> {
      if (tenantId !== null && !mayBeTenant(caller, tenantId)) throw foreignTenant(tenantId);
      const namespace = namespaceOf(caller);
      const { access } = await authorize(caller, "store", "delete", { namespace, key: subscriptionId });
      const key = { space: SPACE, owner: ownerOf(caller), collection: "", key: subscriptionId };
      const found = SUBSCRIPTION_ID.test(subscriptionId) ? await records.get(key) : null;
      if (found !== null) {
        const { webhook, events, tags } = Subscription.parse(parseJsonText(found.value));
        const isVisible = isItemVisible(access, {
          namespace,
          key: subscriptionId,
          value: { url: webhook.url, events, tags },
        });
        if (isVisible && (await records.remove(key)).kind === "removed") return;
      }
      const message = `Webhook "${subscriptionId}" not found`;
      throw new OpenwopRefusal({ status: 404, code: "subscription_not_found", message });
    },
  };
}

/** Where handlers of `store:*` see subscriptions. Owners keep them apart, not the namespace. */
const NAMESPACE = ["openwop", "webhooks"];

function newSubscription({ key, value, createdAt }: StoredRecord, url: string): NewSubscription {
  const { events, secret } = Subscription.parse(parseJsonText(value));
  return { subscriptionId: key, url, events, secret, secretFingerprint: secretDigest(secret).slice(0, 8), createdAt };
}

function listenerOf(owner: string, id: string, { webhook, secret, events }: SubscriptionValue): Listener {
  const subscription = { space: SPACE, owner, collection: "", key: id };
  return { id, webhook, secret, subscription, wants: ({ type }) => events.includes(type) };
}

function listensTo({ tags, tenantId }: SubscriptionValue, record: RunRecord): boolean {
  if (tenantId !== null && tenantId !== workspaceOf(record)) return false;
  return tags.length === 0 || tags.some((tag) => record.tags.includes(tag));
}

function foreignTenant(tenantId: string): OpenwopRefusal {
  const message = `You are not a member of the tenant "${tenantId}"`;
  return new OpenwopRefusal({ status: 403, code: "forbidden", message });
}
