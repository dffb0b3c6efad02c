import { z } from "zod";
import type { JsonObject } from "../../core/json.js";
import { isJsonObject, parseJsonText, toJsonText } from "../../core/json.js";
import { openApiDocument } from "../../http/openapi.js";
import type { ProtocolRoute } from "../protocol.js";
import { cacheable, capabilities, isKnown, PROTOCOL_VERSION } from "./discovery.js";
import type { EdgeDeps } from "./edge-routes.js";
import { errorSchema, runNotFound } from "./errors.js";
import { OpenwopRefusal } from "./seams.js";
import { ownerOf } from "../../core/owner.js";

const capabilitiesSchema = z
  .object({
    protocolVersion: z.string(),
    supportedEnvelopes: z.array(z.string()),
    schemaVersions: z.record(z.string(), z.int()),
    limits: z.object({ clarificationRounds: z.int(), schemaRounds: z.int(), envelopesPerTurn: z.int() }).loose(),
  })
  .loose()
  .meta({ id: "OpenwopCapabilities" });
const workflowSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    nodes: z.array(z.object({ id: z.string(), typeId: z.string() }).loose()),
    edges: z.array(z.object({ source: z.string(), target: z.string() }).loose()),
    triggers: z.array(z.json()),
    variables: z.array(z.object({ name: z.string() }).loose()),
    configurableSchema: z.record(z.string(), z.json()).optional(),
  })
  .meta({ id: "OpenwopWorkflow" });

/** What a server can do, its document, its workflows; and what runs might have and have not: artifacts, debug bundles. */
export function discoveryRoutes({ context, runs, workflows, routes }: EdgeDeps): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/.well-known/openwop",
      summary: "What this server can do",
      answer: { status: 200, description: "Capabilities" },
      answers: capabilitiesSchema,
      isPublic: true,
      handle(exchange, { info }) {
        const graphIds = context.engine.graphs().map(({ graphId }) => graphId);
        const served = { graphIds, webhooks: context.webhooks !== null, version: info.version };
        const { text, etag, cacheControl } = cacheable(capabilities(served));
        const headers = { etag, "cache-control": cacheControl };
        if (!isKnown(etag, exchange.header("if-none-match"))) return exchange.json(text, headers);
        return new Response(null, { status: 304, headers: { ...exchange.headers, ...headers } });
      },
    },
    {
      method: "get",
      path: "/v1/openapi.json",
      summary: "This document",
      answer: { status: 200, description: "OpenAPI 3.1" },
      isPublic: true,
      handle: (exchange, { info, authDocument = null }) =>
        exchange.json(toJsonText(documentOf(routes(), info.version, authDocument !== null))),
    },
    {
      method: "get",
      path: "/v1/workflows/{workflow_id}",
      summary: "A graph or an assistant as a workflow",
      answer: { status: 200, description: "The workflow" },
      answers: workflowSchema,
      errors: [404],
      async handle(exchange) {
        const workflow = await workflows.describeWhole(exchange.caller, exchange.param("workflow_id"));
        const { assistantId: _, graphId: __, ...shown } = workflow;
        return exchange.json(toJsonText(shown));
      },
    },
    {
      method: "get",
      path: "/v1/runs/{run_id}/artifacts/{artifact_id}",
      summary: "An artifact of a run: there are none",
      answer: { status: 200, description: "Never" },
      errors: [404],
      async handle(exchange) {
        const runId = exchange.param("run_id");
        if ((await runs.find(ownerOf(exchange.caller), runId)) === null) throw runNotFound(runId);
        throw new OpenwopRefusal({
          status: 404,
          code: "not_found",
          message: `Run "${runId}" has no artifact "${exchange.param("artifact_id")}"`,
        });
      },
    },
  ];
}

/** OpenAPI 3.1 of this protocol alone, with its own envelope. */
function documentOf(routes: readonly ProtocolRoute[], version: string, isAuthenticated: boolean): JsonObject {
  const served = routes.map((route) => ({ ...route, group: "meta" as const }));
  const document = parseJsonText(openApiDocument(served, version, isAuthenticated ? {} : null));
  const { components, ...rest } = isJsonObject(document) ? document : {};
  const { $schema: _, ...error } = z.toJSONSchema(errorSchema);
  const { schemas } = isJsonObject(components) ? components : {};
  return {
    ...rest,
    info: { title: "OpenWOP on Heddle", version: PROTOCOL_VERSION },
    // The document lies below the mount.
    servers: [{ url: ".." }],
    components: {
      ...(isJsonObject(components) ? components : {}),
      schemas: { ...(isJsonObject(schemas) ? schemas : {}), Error: error as JsonObject },
    },
  };
}
