import { z } from "zod";
import type { ProtocolRoute } from "../protocol.js";
import { decodeBody } from "./decode.js";
import type { EdgeDeps } from "./edge-routes.js";
import { idempotent } from "./idempotent.js";
import { webhookBody } from "./webhooks.js";

const registered = z
  .object({
    subscriptionId: z.string(),
    webhookId: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    secret: z.string(),
    secretFingerprint: z.string(),
  })
  .meta({ id: "OpenwopRegisteredWebhook" });

/** Webhooks (docs/wire/openwop.md §3.2 Webhooks). */
export function webhookRoutes({ context, webhooks }: EdgeDeps): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/v1/webhooks",
      summary: "Subscribe a URL to events of runs",
      body: webhookBody,
      answer: { status: 201, description: "The subscription, and this once its secret" },
      answers: registered,
      errors: [409],
      async handle(exchange) {
        const body = decodeBody(webhookBody, await exchange.body());
        return idempotent(exchange, context, "webhooks.create", { ...body }, async (attempt) => {
          const { subscriptionId, createdAt: _, ...told } = await webhooks.register(exchange.caller, body, attempt);
          return { status: 201, body: { subscriptionId, webhookId: subscriptionId, ...told } };
        });
      },
    },
    {
      method: "delete",
      path: "/v1/webhooks/{subscription_id}",
      summary: "End a subscription",
      query: z.object({ tenantId: z.string().optional() }),
      answer: { status: 204, description: "It is gone", content: "none" },
      errors: [404],
      async handle(exchange) {
        const { tenantId = null } = decodeBody(z.object({ tenantId: z.string().optional() }), exchange.query);
        await webhooks.unregister(exchange.caller, exchange.param("subscription_id"), tenantId);
        return exchange.empty(204);
      },
    },
  ];
}
