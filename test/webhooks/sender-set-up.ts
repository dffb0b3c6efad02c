import { afterEach } from "vitest";
import { resolveConfig } from "../../src/config/resolve.js";
import { asJsonText } from "../../src/core/json.js";
import type { RunKwargs } from "../../src/core/run.js";
import type { WebhookMessage } from "../../src/core/webhook-message.js";
import { deliveryIdOf } from "../../src/core/webhook.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import { openWebhooks } from "../../src/open-webhooks.js";
import {
  createWebhookSender,
  type WebhookSender,
  type WebhookSenderOptions,
} from "../../src/runtime/webhook-sender.js";
import { createOutbox } from "../../src/services/outbox.js";
import { createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { type FakeClock, fakeClock } from "../../src/testing/fake-clock.js";
import { KWARGS, Rows } from "../../src/testing/stores/suite.js";
import { openReceiver, type Receiver } from "./receiver.js";

export const DAY_MS = 24 * 3_600_000;
export const RULES = { firstRetryMs: 5_000, maxRetryMs: 4 * 3_600_000, retryForMs: DAY_MS };
export const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

export async function receiver(): Promise<Receiver> {
  const opened = await openReceiver();
  closers.push(() => opened.close().catch(() => undefined));
  return opened;
}

/** A storage, what ends in it and is put into it, and senders that empty it. */
export async function setUp(
  options: Partial<WebhookSenderOptions> = {},
  {
    clock = fakeClock(),
    store = createMemoryMetadataStore(clock),
    url = { requireHttps: false, disableLoopback: false },
  }: { readonly clock?: FakeClock; readonly store?: MetadataStore; readonly url?: Record<string, boolean> } = {},
) {
  const rows = new Rows(store);
  const config = await resolveConfig({
    options: {
      env: {},
      graphs: { a: {} },
      storage: "memory:",
      webhooks: { url },
    },
  });
  const { send, policy } = openWebhooks(config, { clock, serveOwn: () => new Response() });
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const defaults = {
    ...RULES,
    workerId: "w",
    concurrency: 16,
    perHost: 2,
    pollMs: 1_000,
    timeoutMs: 2_000,
    keepMs: DAY_MS,
  };
  const open = (): WebhookSender => {
    const sender = createWebhookSender({ store, send, clock, logger }, { ...defaults, ...options });
    closers.push(async () => {
      const stopped = sender.stop();
      // The clock stands still: a stop that waits is told that its time is over.
      for (let n = 0; n < 50; n += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        clock.advance(1_000);
      }
      await stopped;
    });
    return sender;
  };
  /** A run that ended and has a webhook. */
  const end = async (to: string): Promise<string> => {
    const kwargs: RunKwargs = { ...KWARGS, webhook: { host: new URL(to).host, url: to } };
    const { run, lease } = await rows.leased(await rows.thread(), { kwargs });
    await rows.finish(lease);
    return deliveryIdOf(run.runId);
  };
  const get = async (deliveryId: string) => {
    const delivery = await store.deliveries.get({ deliveryId });
    if (delivery === null) throw new Error("the delivery is gone");
    return delivery;
  };
  /** A message in the outbox. */
  const enqueue = async (message: Partial<WebhookMessage> & Pick<WebhookMessage, "deliveryId" | "url">) => {
    const { host } = new URL(message.url);
    const plain = { host, threadId: null, body: asJsonText("{}"), headers: {}, signing: null, maxAttempts: 1 };
    await createOutbox({ store, webhooks: policy }).enqueue({ ...plain, ...message });
    return message.deliveryId;
  };
  return { clock, store, policy, open, end, enqueue, get };
}
