import { toJsonText } from "../../../core/json.js";
import { invalid } from "../errors.js";
import type { ProtocolRoute } from "../../protocol.js";
import { controlRoutes2 } from "./control-routes.js";
import { decodeBody } from "../decode.js";
import { documentOf } from "../discovery-routes.js";
import { idempotent } from "../idempotent.js";
import { answerBody, answerByNode, inspectLink, resolveLink } from "../interrupt-routes.js";
import { OpenwopRefusal } from "../seams.js";
import { tenantOf } from "../tenant.js";
import { pathId, runOf } from "./paths.js";
import type { RoutesDeps2 } from "./routes.js";
import * as schemas from "./schemas.js";
import { boundRunId } from "./views.js";
import { bound, partsOf } from "./wire-id.js";

/** What is not about a run and its events, as the second major has it. */
export function edgeRoutes2(deps: RoutesDeps2): readonly ProtocolRoute[] {
  return [...controlRoutes2(deps), ...describingRoutes(deps), ...interruptRoutes(deps), ...webhookRoutes(deps)];
}

function describingRoutes({ access, routes, workflows }: RoutesDeps2): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/openapi.json",
      summary: "This document",
      answer: { status: 200, description: "OpenAPI 3.1" },
      errors: [406],
      isPublic: true,
      handle: (exchange, { info, authDocument = null }) =>
        exchange.json(
          toJsonText(documentOf(routes(), info.version, { isAuthenticated: authDocument !== null, major: 2 })),
        ),
    },
    {
      method: "get",
      path: "/workflows/{workflow_id}",
      summary: "A graph or an assistant as a workflow",
      answer: { status: 200, description: "The workflow" },
      errors: [404, 406],
      async handle(exchange) {
        const workflow = await workflows.describeWhole(exchange.caller, exchange.param("workflow_id"));
        const { assistantId: _, graphId: __, ...shown } = workflow;
        return exchange.json(toJsonText(shown));
      },
    },
    {
      method: "get",
      path: "/runs/{run_id}/artifacts/{artifact_id}",
      summary: "An artifact of a run: there are none",
      answer: { status: 200, description: "Never" },
      errors: [404, 406],
      async handle(exchange) {
        await runOf(access, exchange.caller, pathId(exchange, "run_id"));
        const message = `The run has no artifact "${exchange.param("artifact_id")}"`;
        throw new OpenwopRefusal({ status: 404, code: "not_found", message });
      },
    },
  ];
}

function interruptRoutes(deps: RoutesDeps2): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/runs/{run_id}/interrupts/{node_id}",
      summary: "Answer an interrupt of a run",
      body: answerBody,
      answer: { status: 200, description: "Taken" },
      errors: [404, 406, 409, 410],
      createsRun: true,
      async handle(exchange) {
        const body = decodeBody(answerBody, await exchange.body());
        const record = await runOf(deps.access, exchange.caller, pathId(exchange, "run_id"), "update");
        const at = { runId: record.runId, nodeId: exchange.param("node_id") };
        return idempotent(
          exchange,
          deps.context,
          `v2 runs.${at.runId}.interrupts.${at.nodeId}`,
          { ...body },
          async () => {
            const answered = await answerByNode(deps, exchange.caller, at, body);
            return { status: 200, body: { ...answered, runId: boundRunId(record) } };
          },
        );
      },
    },
    {
      method: "get",
      path: "/interrupts/{token}",
      summary: "What a signed link to an interrupt asks for",
      answer: { status: 200, description: "The interrupt" },
      errors: [404, 406, 409, 410],
      isPublic: true,
      hidesParams: true,
      async handle(exchange) {
        const shown = await inspectLink(deps, exchange.param("token"));
        return exchange.json(toJsonText(shown), { "cache-control": "no-store" });
      },
    },
    {
      method: "post",
      path: "/interrupts/{token}",
      summary: "Answer the interrupt of a signed link",
      body: answerBody,
      answer: { status: 200, description: "Taken" },
      errors: [403, 404, 406, 409, 410],
      isPublic: true,
      hidesParams: true,
      createsRun: true,
      handle: (exchange) => resolveLink(deps, exchange, "v2 interrupts", boundRunId),
    },
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
      errors: [406, 409],
      async handle(exchange) {
        const { caller } = exchange;
        const body = decodeBody(schemas.webhookBody, await exchange.body());
        return idempotent(exchange, context, "v2 webhooks.create", { ...body }, async () => {
          const { subscriptionId, url, secret, events, createdAt } = await webhooks.register(caller, body);
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
      errors: [404, 406],
      async handle(exchange) {
        const id = pathId(exchange, "subscription_id");
        const parts = partsOf(id);
        if (parts === null || parts.tenant !== tenantOf(exchange.caller)) {
          throw invalid(`"${id}" is no id of a subscription of yours: it is <tenant>/<id>`);
        }
        await webhooks.unregister(exchange.caller, parts.own, null);
        return exchange.empty(204);
      },
    },
  ];
}
