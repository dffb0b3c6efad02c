import type { ResolvedConfig } from "./config/resolved-config.js";
import type { Clock } from "./core/clock.js";
import { signingKey } from "./core/webhook-secret.js";
import type { Run } from "./core/run.js";
import { messageTextOf } from "./core/webhook-message.js";
import {
  type ClaimedDelivery,
  type DeliveryAnswer,
  type MessageContent,
  OWN_SERVER,
  type WebhookPolicy,
} from "./core/webhook.js";
import type { AddressPermissions } from "./webhooks/address-rules.js";
import { messageHeaders } from "./webhooks/message-headers.js";
import { type Resolve, sendRequest } from "./webhooks/send-request.js";
import { signatureHeaders } from "./webhooks/signature.js";
import { createUrlPolicy } from "./webhooks/url-policy.js";
import { encodeWebhookBody } from "./wire/deliveries.js";

/** What a server does with webhooks, by its configuration. */
export interface OpenWebhooks {
  /** `null`: `http.disable_webhooks`. */
  readonly policy: WebhookPolicy | null;
  /** One attempt; never rejects. */
  send(delivery: ClaimedDelivery, signal: AbortSignal): Promise<DeliveryAnswer>;
}

/** How the server's own routes are asked: as the caller of the run. */
export type ServeOwn = (request: Request, run: Run) => Response | Promise<Response>;

/** @param options.resolve in place of the system's resolver */
export function openWebhooks(
  { webhooks, http }: Pick<ResolvedConfig, "webhooks" | "http">,
  options: { readonly clock: Pick<Clock, "now">; readonly serveOwn: ServeOwn; readonly resolve?: Resolve },
): OpenWebhooks {
  const { url: rules, secrets, timeoutMs } = webhooks;
  const addresses: AddressPermissions = {
    loopback: !rules.disableLoopback,
    privateNetworks: rules.allowPrivateNetworks,
  };
  const keys = secrets.map(signingKey).filter((key) => key !== null);
  const policy = createUrlPolicy({ ...rules, addresses });
  const { resolve } = options;
  const sending = { addresses, ...(resolve !== undefined && { resolve }) };
  return {
    policy: http.disabled.webhooks ? null : policy,
    send: (claimed, signal) => (claimed.kind === "message" ? sendMessage(claimed, signal) : sendRun(claimed, signal)),
  };

  async function sendRun(
    claimed: Extract<ClaimedDelivery, { readonly kind: "run" }>,
    signal: AbortSignal,
  ): Promise<DeliveryAnswer> {
    const { delivery, run } = claimed;
    const { webhook } = run.kwargs;
    // What was allowed when the run was created may not be any more.
    const judged = webhook === undefined ? null : policy.judge(webhook.url);
    if (judged?.kind !== "allowed") {
      return { kind: "failed", error: judged === null ? "the run has no webhook" : `not allowed: ${judged.reason}` };
    }
    const sentAt = options.clock.now();
    const body = encodeWebhookBody(claimed, sentAt);
    const message = { id: delivery.deliveryId, timestampS: Math.floor(sentAt / 1_000), body };
    const headers = {
      ...webhooks.headers,
      "content-type": "application/json",
      ...signatureHeaders(message, keys),
    };
    const request = { url: judged.webhook.url, headers, body };
    if (judged.webhook.host === OWN_SERVER) {
      return sendOwn(request, (own) => options.serveOwn(own, run), signal);
    }
    return sendRequest(request, { ...sending, timeoutMs, signal });
  }

  async function sendMessage(claimed: MessageContent, signal: AbortSignal): Promise<DeliveryAnswer> {
    const message = messageTextOf(claimed.message);
    const judged = policy.judge(message.url);
    if (judged.kind === "refused") return { kind: "failed", error: `not allowed: ${judged.reason}` };
    const { host, url } = judged.webhook;
    if (host === OWN_SERVER) return { kind: "failed", error: "not allowed: a message goes to an absolute URL" };
    // Without `webhooks.headers`: those are for receivers of runs' ends, and a protocol says what its own get.
    const headers = messageHeaders(message, Math.floor(options.clock.now() / 1_000));
    const limitMs = Math.min(message.timeoutMs ?? timeoutMs, timeoutMs);
    return sendRequest({ url, headers, body: message.body }, { ...sending, timeoutMs: limitMs, signal });
  }

  async function sendOwn(
    {
      url: path,
      headers,
      body,
    }: { readonly url: string; readonly headers: Record<string, string>; readonly body: string },
    serve: (request: Request) => Response | Promise<Response>,
    stopping: AbortSignal,
  ): Promise<DeliveryAnswer> {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([timeout, stopping]);
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error("no answer in time")), { once: true });
    });
    const target = new URL(`${http.basePath}${path}`, "http://localhost");
    const answered = async (): Promise<DeliveryAnswer> => {
      const answer = await serve(new Request(target, { method: "POST", headers, body, signal }));
      // Of a custom app's answer nobody knows whether its body ever lets go.
      void answer.body?.cancel().catch(() => {});
      return { kind: "answered", statusCode: answer.status, retryAfter: answer.headers.get("retry-after") };
    };
    try {
      return await Promise.race([answered(), late]);
    } catch {
      const error = timeout.aborted ? `no answer within ${timeoutMs} ms` : "the server's own route failed";
      return { kind: "failed", error };
    }
  }
}
