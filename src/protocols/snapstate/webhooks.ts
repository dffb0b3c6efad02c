import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import type { Caller } from "../../core/auth.js";
import type { Clock } from "../../core/clock.js";
import { HeddleError } from "../../core/errors.js";
import { isItemVisible } from "../../core/item-filter.js";
import type { EpochMs, JsonObject, JsonText } from "../../core/json.js";
import { parseJsonText, toJsonText } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordStore, RecordWrite, StoredRecord } from "../../core/record.js";
import type { Authorize } from "../../services/authorization.js";
import type { Outbox } from "../../services/outbox.js";
import { decode } from "../../wire/decode.js";
import { addWithin } from "./bounded-set.js";
import { MAX_WEBHOOKS } from "./limits.js";
import { checkpointId, SPACES } from "./places.js";
import { Turns } from "./turns.js";

export const EVENTS = ["checkpoint.saved", "workflow.resumed", "workflow.expired"] as const;
export type EventName = (typeof EVENTS)[number];

const isUri = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

export const webhookBody = z
  .strictObject({
    url: z.string().max(2048).refine(isUri, "expected an absolute http or https URL").meta({ format: "uri" }),
    events: z.array(z.enum(EVENTS)).min(1),
    secret: z.string().max(256).nullish(),
  })
  .meta({ id: "SnapStateWebhook" });

/** A subscription as it is kept. The secret is sealed with the record, and leaves it only to sign. */
interface Subscription {
  readonly url: string;
  readonly events: readonly EventName[];
  readonly secret: string | null;
}

/** What has happened, and to whose webhooks it is told. */
export interface WorkflowEvent {
  readonly event: EventName;
  readonly owner: string;
  /** {@link scopeOf} whoever caused it. */
  readonly scope: string;
  readonly workflowId: string;
  readonly step: number;
  /** Tells one happening from all others of this workflow: told twice, it is sent once. */
  readonly mark: string;
  /** Goes unsent with this thread; `null`: it is sent whatever becomes of it. */
  readonly threadId: string | null;
}

const NAMESPACE = ["snapstate", "webhooks"];
/** Each of them is one that another process did not have. */
const ATTEMPTS = 100;

/** The API key that asks; callers without one are told apart by their account only. */
export function scopeOf({ credential }: Pick<Caller, "credential">): string {
  return credential === undefined ? "" : `key:${credential}`;
}

export interface WebhooksDeps {
  readonly records: RecordStore;
  readonly authorize: Authorize;
  readonly itemPrefix: (caller: Caller) => readonly string[];
  readonly outbox: Outbox;
  readonly clock: Clock;
}

/** Who is told of what becomes of workflows (docs/wire/snapstate.md §1.1, webhooks). */
export class Webhooks {
  readonly #deps: WebhooksDeps;
  /** Of a key's webhooks, within this process. */
  readonly #turns = new Turns();

  constructor(deps: WebhooksDeps) {
    this.#deps = deps;
  }

  /** @returns the answer. @throws HeddleError `INVALID_REQUEST`, also for a URL that must not be called */
  async create(caller: Caller, body: unknown): Promise<JsonText> {
    const { url, events, secret } = decode(webhookBody, body);
    const { authorize, itemPrefix, outbox } = this.#deps;
    const judged = outbox.judge(url);
    if (judged.kind === "refused") {
      throw new HeddleError("INVALID_REQUEST", { message: `url: ${judged.reason}` });
    }
    const webhookId = `wh_${randomBytes(12).toString("hex")}`;
    const value = { url, events: [...new Set(events)] };
    const namespace = [...itemPrefix(caller), ...NAMESPACE];
    await authorize(caller, "store", "put", { namespace, key: webhookId, value });
    const place = { space: SPACES.webhooks, owner: ownerOf(caller), collection: scopeOf(caller) };
    const write = {
      ...place,
      key: webhookId,
      expected: 0,
      disposable: true,
      value: toJsonText({ ...value, secret: secret || null }),
    };
    const added = await this.#turns.run(`${place.owner}\0${place.collection}`, () => this.#add(write));
    const createdAt = iso(added.createdAt);
    return toJsonText({ webhook_id: webhookId, url, events: value.events, created_at: createdAt });
  }

  /** @throws HeddleError `INVALID_REQUEST` when there are as many as there may be */
  async #add(write: RecordWrite): Promise<StoredRecord> {
    const { records } = this.#deps;
    const { owner, collection } = write;
    const set = { space: SPACES.webhookSets, owner, collection, key: "webhooks" };
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const outcome = await addWithin(records, { set, max: MAX_WEBHOOKS, write });
      if (outcome.kind === "added") return outcome.record;
      if (outcome.kind === "full") {
        throw new HeddleError("INVALID_REQUEST", {
          message: `There are ${MAX_WEBHOOKS} webhooks of this API key already: delete one that is no longer needed.`,
        });
      }
    }
    throw new HeddleError("STORAGE_UNAVAILABLE", { message: "Webhooks are made by too many requests at once." });
  }

  /** @returns false for one that is not there, or of another key */
  async delete(caller: Caller, webhookId: string): Promise<boolean> {
    const { records, authorize, itemPrefix } = this.#deps;
    const namespace = [...itemPrefix(caller), ...NAMESPACE];
    const { access } = await authorize(caller, "store", "delete", { namespace, key: webhookId });
    const at = { space: SPACES.webhooks, owner: ownerOf(caller), collection: scopeOf(caller), key: webhookId };
    const found = webhookId.isWellFormed() && /^wh_[0-9a-f]{24}$/.test(webhookId) ? await records.get(at) : null;
    if (found === null) return false;
    const { secret: _, ...value } = subscriptionOf(found);
    const item = { namespace, key: webhookId, value: { ...value, events: [...value.events] } };
    if (!isItemVisible(access, item)) return false;
    return (await records.remove(at)).kind === "removed";
  }

  /** Put what has happened into the outbox of each webhook that wants to know. It is sent once, or not at all. */
  async tell(event: WorkflowEvent): Promise<void> {
    const { records, outbox, clock } = this.#deps;
    const place = { space: SPACES.webhooks, owner: event.owner, collection: event.scope };
    const page = { order: "created", direction: "asc", limit: 2 * MAX_WEBHOOKS, offset: 0 } as const;
    const told = (await records.list({ ...place, ...page })).filter((one) =>
      subscriptionOf(one).events.includes(event.event),
    );
    for (const record of told) {
      const { url, secret } = subscriptionOf(record);
      const judged = outbox.judge(url);
      // The rules may have changed since.
      if (judged.kind === "refused") continue;
      await outbox.enqueue({
        ...judged.webhook,
        deliveryId: deliveryIdOf(record.key, event),
        threadId: event.threadId,
        body: bodyOf(record.key, event, clock.now()),
        headers: {},
        signing: { scheme: "snapstate", secret },
        maxAttempts: 1,
        timeoutMs: 5_000,
        subscription: { ...place, key: record.key },
      });
    }
  }
}

function subscriptionOf({ value }: StoredRecord): Subscription {
  return parseJsonText(value) as unknown as Subscription & JsonObject;
}

function bodyOf(webhookId: string, { event, workflowId, step }: WorkflowEvent, now: EpochMs): JsonText {
  const data = { workflow_id: workflowId, checkpoint_id: checkpointId(workflowId, step), step };
  return toJsonText({ event, webhook_id: webhookId, timestamp: iso(now), data });
}

function deliveryIdOf(webhookId: string, { event, owner, workflowId, mark }: WorkflowEvent): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([event, owner, workflowId, mark]))
    .digest("base64url");
  return `snapstate_${webhookId}_${digest}`;
}

function iso(at: EpochMs): string {
  return new Date(at).toISOString();
}
