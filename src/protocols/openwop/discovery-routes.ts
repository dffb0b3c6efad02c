import { z } from "zod";
import type { JsonObject } from "../../core/json.js";
import { isJsonObject, parseJsonText, toJsonText } from "../../core/json.js";
import { openApiDocument } from "../../http/openapi.js";
import type { ProtocolRoute } from "../protocol.js";
import { cacheable, capabilities, isKnown } from "./discovery.js";
import type { EdgeDeps } from "./edge-routes.js";
import { ERROR_STATUSES, errorSchema, refuse } from "./errors.js";
import type { Major } from "./major.js";
import { OpenwopRefusal } from "./seams.js";
import { capabilities2 } from "./v2/discovery.js";
import { requireVersion, VERSION_HEADER } from "./v2/version.js";

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

/** What a server can do, of whichever major is asked. */
export function discoveryRoutes({ context, servesSecond }: EdgeDeps): readonly ProtocolRoute[] {
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
        // Who says a version wants the document of that major.
        const isOfSecond = servesSecond && exchange.header(VERSION_HEADER) !== undefined;
        if (isOfSecond) requireVersion(exchange);
        const { text, etag, cacheControl } = cacheable(isOfSecond ? capabilities2(served) : capabilities(served));
        const vary = servesSecond ? { vary: VERSION_HEADER } : {};
        const headers = { etag, "cache-control": cacheControl, ...vary };
        if (!isKnown(etag, exchange.header("if-none-match"))) return exchange.json(text, headers);
        return new Response(null, { status: 304, headers: { ...exchange.headers, ...headers } });
      },
    },
  ];
}

/** The document of a major, its workflows; and what runs might have and have not: artifacts. */
export function describingRoutes({ workflows, routes }: EdgeDeps, major: Major): readonly ProtocolRoute[] {
  const { root, number } = major;
  return [
    {
      method: "get",
      path: `${root}/openapi.json`,
      summary: "This document",
      answer: { status: 200, description: "OpenAPI 3.1" },
      isPublic: true,
      handle: (exchange, { info, authDocument = null }) =>
        exchange.json(
          toJsonText(documentOf(routes(), info.version, { isAuthenticated: authDocument !== null, major: number })),
        ),
    },
    {
      method: "get",
      path: `${root}/workflows/{workflow_id}`,
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
      path: `${root}/runs/{run_id}/artifacts/{artifact_id}`,
      summary: "An artifact of a run: there are none",
      answer: { status: 200, description: "Never" },
      errors: [404],
      async handle(exchange) {
        const run = major.nameOf(await major.run(exchange));
        const message = `Run "${run}" has no artifact "${exchange.param("artifact_id")}"`;
        throw new OpenwopRefusal({ status: 404, code: "not_found", message });
      },
    },
  ];
}

/** OpenAPI 3.1 of one major of this protocol alone, with its own envelope. */
function documentOf(
  routes: readonly ProtocolRoute[],
  version: string,
  { isAuthenticated, major }: { readonly isAuthenticated: boolean; readonly major: 1 | 2 },
): JsonObject {
  const served = routes.filter(
    ({ path }) => path.startsWith("/.well-known/") || path.startsWith("/v1/") === (major === 1),
  );
  const face = { routes: served, refuse, errorSchema, errorStatuses: ERROR_STATUSES, exposedHeaders: [] };
  const mount = { name: "openwop", path: "", face };
  const document = parseJsonText(openApiDocument([], version, isAuthenticated ? {} : null, [mount]));
  const { components, ...rest } = isJsonObject(document) ? document : {};
  const parts = isJsonObject(components) ? components : {};
  const { Error: _, ...schemas } = isJsonObject(parts["schemas"]) ? parts["schemas"] : {};
  return {
    ...rest,
    info: { title: "OpenWOP on Heddle", version: `${major}.0` },
    // Relative to this document.
    servers: [{ url: major === 1 ? ".." : "." }],
    components: { schemas },
  };
}
