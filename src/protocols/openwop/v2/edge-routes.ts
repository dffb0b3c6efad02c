import { controlRoutes } from "../control-routes.js";
import { decodeBody } from "../decode.js";
import { describingRoutes } from "../discovery-routes.js";
import { idempotent } from "../idempotent.js";
import { interruptRoutes } from "../interrupt-routes.js";
import type { Major } from "../major.js";
import type { ProtocolRoute } from "../../protocol.js";
import { OpenwopRefusal } from "../seams.js";
import { tenantOf } from "../tenant.js";
import { pathId } from "./paths.js";
import type { RoutesDeps2 } from "./routes.js";
import * as schemas from "./schemas.js";
import { bound, partsOf } from "./wire-id.js";

/** What is not about a run and its events, as the second major has it. */
export function edgeRoutes2(deps: RoutesDeps2, major: Major): readonly ProtocolRoute[] {
  return [
    ...controlRoutes(deps, major),
    ...describingRoutes(deps, major),
    ...interruptRoutes(deps, major),
    ...webhookRoutes(deps),
  ];
}

function webhookRoutes({ context, webhooks }: RoutesDeps2): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/webhooks",
      summary: "Subscribe a URL to events of runs",
      body: schemas.webhookBody,
      answer: { status: 201, description: "The subscription, and this once its secret" },
      answers: schemas.registered,
      errors: [409],
      async handle(exchange) {
        const { caller } = exchange;
        const body = decodeBody(schemas.webhookBody, await exchange.body());
        return idempotent(exchange, context, "v2 webhooks.create", { ...body }, async (attempt) => {
          const { subscriptionId, url, secret, events, createdAt } = await webhooks.register(caller, body, attempt);
          const head = {
            subscriptionId: bound(tenantOf(caller), subscriptionId),
            url,
            secret,
            eventTypes: [...events],
          };
          return { status: 201, body: { ...head, createdAt: new Date(createdAt).toISOString() } };
        });
      },
    },
    {
      method: "delete",
      path: "/webhooks/{subscription_id}",
      summary: "End a subscription",
      answer: { status: 204, description: "It is gone", content: "none" },
      errors: [404],
      async handle(exchange) {
        const id = pathId(exchange, "subscription_id");
        const parts = partsOf(id);
        if (parts === null || parts.tenant !== tenantOf(exchange.caller)) {
          const message = `Webhook "${id}" not found: ids are <tenant>/<id>`;
          throw new OpenwopRefusal({ status: 404, code: "subscription_not_found", message });
        }
        await webhooks.unregister(exchange.caller, parts.own, null);
        return exchange.empty(204);
      },
    },
  ];
}
