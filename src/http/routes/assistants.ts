import {
  assistantCountBody,
  assistantCreateBody,
  assistantDeleteQuery,
  assistantLatestBody,
  assistantLatestQuery,
  assistantPatchBody,
  assistantSearchBody,
  assistantVersionsBody,
  decodeAssistantCount,
  decodeAssistantCreate,
  decodeAssistantDelete,
  decodeAssistantLatest,
  decodeAssistantPatch,
  decodeAssistantSearch,
  decodeAssistantVersions,
  decodeSubgraphs,
  decodeXray,
  encodeAssistant,
  encodeAssistantVersion,
  encodeSchemas,
  encodeSubgraphs,
  graphQuery,
  subgraphsQuery,
} from "../../wire/assistants.js";
import { asJsonText, encodeList, toJsonText } from "../../wire/json.js";
import type { Exchange } from "../exchange.js";
import { pageHeaders } from "../exchange.js";
import type { HttpDeps } from "../http-deps.js";
import type { Route } from "../route.js";
import { JSON_ANSWER } from "../route.js";

const group = "assistants";
/** A UUID, or the id of a graph, which stands for its system assistant. */
const ID = "/assistants/{assistant_id}";

/** docs/wire/langgraph-api.md §2.3 */
export const assistantRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/assistants",
    group,
    summary: "Create an assistant",
    body: assistantCreateBody,
    answer: JSON_ANSWER,
    errors: [404, 409],
    async handle(exchange, { services }) {
      const request = decodeAssistantCreate(await exchange.body());
      return exchange.json(encodeAssistant(await services.assistants.create(exchange.caller, request)));
    },
  },
  {
    method: "post",
    path: "/assistants/search",
    group,
    summary: "Search assistants",
    body: assistantSearchBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const { query, fields } = decodeAssistantSearch(await exchange.body());
      const page = await services.assistants.search(exchange.caller, query);
      const rows = page.rows.map((assistant) => encodeAssistant(assistant, fields));
      return exchange.json(encodeList(rows), pageHeaders({ ...query, total: page.total }));
    },
  },
  {
    method: "post",
    path: "/assistants/count",
    group,
    summary: "Count assistants",
    body: assistantCountBody,
    answer: JSON_ANSWER,
    async handle(exchange, { services }) {
      const query = decodeAssistantCount(await exchange.body());
      return exchange.json(asJsonText(String(await services.assistants.count(exchange.caller, query))));
    },
  },
  {
    method: "get",
    path: ID,
    group,
    summary: "Get an assistant",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const assistant = await services.assistants.get(exchange.caller, exchange.param("assistant_id"));
      return exchange.json(encodeAssistant(assistant));
    },
  },
  {
    method: "patch",
    path: ID,
    group,
    summary: "Change an assistant: a new version",
    body: assistantPatchBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const patch = decodeAssistantPatch(await exchange.body());
      const assistant = await services.assistants.update(exchange.caller, exchange.param("assistant_id"), patch);
      return exchange.json(encodeAssistant(assistant));
    },
  },
  {
    method: "delete",
    path: ID,
    group,
    summary: "Delete an assistant, and its threads if asked",
    query: assistantDeleteQuery,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const options = decodeAssistantDelete(exchange.query);
      await services.assistants.delete(exchange.caller, exchange.param("assistant_id"), options);
      return exchange.json(asJsonText("{}"));
    },
  },
  {
    method: "get",
    path: `${ID}/graph`,
    group,
    summary: "Draw the assistant's graph",
    query: graphQuery,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const xray = decodeXray(exchange.query);
      const drawing = await services.assistants.drawGraph(exchange.caller, exchange.param("assistant_id"), xray);
      return exchange.json(toJsonText(drawing));
    },
  },
  {
    method: "get",
    path: `${ID}/schemas`,
    group,
    summary: "JSON Schemas of the assistant's graph",
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const schemas = await services.assistants.schemas(exchange.caller, exchange.param("assistant_id"));
      return exchange.json(encodeSchemas(schemas));
    },
  },
  {
    method: "get",
    path: `${ID}/subgraphs`,
    group,
    summary: "JSON Schemas of the graph's subgraphs",
    query: subgraphsQuery,
    answer: JSON_ANSWER,
    errors: [404],
    handle: subgraphs,
  },
  {
    method: "get",
    path: `${ID}/subgraphs/{namespace}`,
    group,
    summary: "JSON Schemas of one subgraph",
    query: subgraphsQuery,
    answer: JSON_ANSWER,
    errors: [404],
    handle: subgraphs,
  },
  {
    method: "post",
    path: `${ID}/versions`,
    group,
    summary: "List an assistant's versions, newest first",
    body: assistantVersionsBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const query = decodeAssistantVersions(await exchange.body());
      const versions = await services.assistants.versions(exchange.caller, exchange.param("assistant_id"), query);
      return exchange.json(encodeList(versions.map(encodeAssistantVersion)));
    },
  },
  {
    method: "post",
    path: `${ID}/latest`,
    group,
    summary: "Make a version current",
    query: assistantLatestQuery,
    body: assistantLatestBody,
    answer: JSON_ANSWER,
    errors: [404],
    async handle(exchange, { services }) {
      const version = decodeAssistantLatest(exchange.query, await exchange.body());
      const assistant = await services.assistants.setLatest(exchange.caller, exchange.param("assistant_id"), version);
      return exchange.json(encodeAssistant(assistant));
    },
  },
];

async function subgraphs(exchange: Exchange, { services }: HttpDeps): Promise<Response> {
  const query = decodeSubgraphs(exchange.query, exchange.param("namespace") || undefined);
  const found = await services.assistants.subgraphs(exchange.caller, exchange.param("assistant_id"), query);
  return exchange.json(encodeSubgraphs(found));
}
