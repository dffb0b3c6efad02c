import { z } from "zod";
import type { Assistant, AssistantVersion } from "../core/assistant.js";
import type { GraphSchemas } from "../core/engine.js";
import type { JsonObject, JsonText } from "../core/json.js";
import { decode, invalid, present } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, isoText, quote, toJsonText } from "./json.js";
import type { Query } from "./query.js";
import {
  TRUE_WORDS,
  anyJson,
  config,
  jsonObject,
  limit,
  offset,
  queryBoolean,
  queryInteger,
  select,
  sortOrder,
  text,
  uuid,
} from "./schema.js";

const FIELDS = [
  "assistant_id",
  "version",
  "config",
  "context",
  "created_at",
  "updated_at",
  "graph_id",
  "metadata",
  "name",
  "description",
] as const;
export type AssistantField = (typeof FIELDS)[number];
type VersionField = Exclude<AssistantField, "updated_at">;

const VERSION_ENCODERS: FieldEncoders<AssistantVersion, VersionField> = {
  assistant_id: (assistant) => quote(assistant.assistantId),
  version: (assistant) => String(assistant.version),
  config: (assistant) => toJsonText(assistant.config),
  context: (assistant) => toJsonText(assistant.context),
  created_at: (assistant) => isoText(assistant.createdAt),
  graph_id: (assistant) => quote(assistant.graphId),
  metadata: (assistant) => toJsonText(assistant.metadata),
  name: (assistant) => quote(assistant.name),
  description: (assistant) => toJsonText(assistant.description),
};
const ENCODERS: FieldEncoders<Assistant, AssistantField> = {
  ...VERSION_ENCODERS,
  updated_at: (assistant) => isoText(assistant.updatedAt),
};

/** An assistant as clients know it (docs/wire/langgraph-api.md §2.2). */
export function encodeAssistant(assistant: Assistant, fields: readonly AssistantField[] = FIELDS): JsonText {
  return encodeFields(ENCODERS, assistant, fields);
}

export function encodeAssistantVersion(version: AssistantVersion): JsonText {
  return encodeFields(VERSION_ENCODERS, version);
}

export const assistantCreateBody = z
  .object({
    graph_id: text,
    assistant_id: uuid.nullish(),
    config: config.nullish(),
    context: anyJson.optional(),
    metadata: jsonObject.nullish(),
    if_exists: z.enum(["raise", "do_nothing"]).nullish(),
    name: z.string().nullish(),
    description: z.string().nullish(),
  })
  .meta({ id: "AssistantCreate" });

export function decodeAssistantCreate(body: unknown) {
  const sent = decode(assistantCreateBody, body);
  return {
    graphId: sent.graph_id,
    ifExists: sent.if_exists ?? ("raise" as const),
    ...present({
      assistantId: sent.assistant_id?.toLowerCase(),
      config: sent.config,
      context: sent.context,
      metadata: sent.metadata,
      name: sent.name,
      description: sent.description,
    }),
  };
}

export const assistantPatchBody = z
  .object({
    graph_id: text.nullish(),
    config: config.nullish(),
    context: anyJson.optional(),
    metadata: jsonObject.nullish(),
    name: z.string().nullish(),
    description: z.string().nullish(),
  })
  .meta({ id: "AssistantPatch" });

/** Fields are replaced when they are not null (§2.3.5). */
export function decodeAssistantPatch(body: unknown) {
  const sent = decode(assistantPatchBody, body);
  return present({
    graphId: sent.graph_id,
    config: sent.config,
    context: sent.context,
    metadata: sent.metadata,
    name: sent.name,
    description: sent.description,
  });
}

export const assistantCountBody = z
  .object({ metadata: jsonObject.nullish(), graph_id: z.string().nullish(), name: z.string().nullish() })
  .meta({ id: "AssistantCount" });

export const assistantSearchBody = assistantCountBody
  .extend({
    limit: limit.nullish(),
    offset: offset.nullish(),
    sort_by: z.enum(["assistant_id", "graph_id", "created_at", "updated_at", "name"]).nullish(),
    sort_order: sortOrder.nullish(),
    select: select(FIELDS).nullish(),
  })
  .meta({ id: "AssistantSearch" });

export function decodeAssistantCount(body: unknown) {
  const sent = decode(assistantCountBody, body);
  return present({ metadata: sent.metadata, graphId: sent.graph_id, name: sent.name });
}

export function decodeAssistantSearch(body: unknown) {
  const sent = decode(assistantSearchBody, body);
  return {
    query: {
      ...present({ metadata: sent.metadata, graphId: sent.graph_id, name: sent.name }),
      limit: sent.limit ?? 10,
      offset: sent.offset ?? 0,
      sortBy: sent.sort_by ?? ("created_at" as const),
      sortOrder: sent.sort_order ?? ("desc" as const),
    },
    fields: sent.select ?? FIELDS,
  };
}

export const assistantVersionsBody = z
  .object({ limit: limit.nullish(), offset: offset.nullish(), metadata: jsonObject.nullish() })
  .meta({ id: "AssistantVersionsSearch" });

export function decodeAssistantVersions(body: unknown) {
  const sent = decode(assistantVersionsBody, body);
  return { limit: sent.limit ?? 10, offset: sent.offset ?? 0, ...present({ metadata: sent.metadata }) };
}

export const assistantLatestBody = z.object({ version: z.int().min(1).nullish() }).meta({ id: "AssistantLatest" });
export const assistantLatestQuery = z.object({ version: queryInteger({ min: 1 }) }).partial();

/** The version is in the body (both SDKs) or in the query (the Platform's OpenAPI, §2.3.11). */
export function decodeAssistantLatest(query: Query, body: unknown): number {
  const version = decode(assistantLatestBody, body).version ?? decode(assistantLatestQuery, query).version;
  return version ?? invalid("version", "is required (expected number)");
}

export const assistantDeleteQuery = z.object({ delete_threads: queryBoolean }).partial();

export function decodeAssistantDelete(query: Query) {
  return { deleteThreads: decode(assistantDeleteQuery, query).delete_threads ?? false };
}

export const graphQuery = z.object({ xray: z.string().meta({ type: ["boolean", "integer"] }) }).partial();

/** `xray`: a boolean, or how many levels of subgraphs to expand (§2.3.7). */
export function decodeXray(query: Query): boolean | number {
  const { xray } = decode(graphQuery, query);
  if (xray === undefined) return false;
  if (!/^\d+$/.test(xray)) return TRUE_WORDS.has(xray);
  const depth = Number(xray);
  return depth === 0 ? false : depth;
}

export const subgraphsQuery = z.object({ recurse: queryBoolean, namespace: z.string() }).partial();

export function decodeSubgraphs(query: Query, namespace: string | undefined) {
  const { recurse, namespace: asked } = decode(subgraphsQuery, query);
  return { recurse: recurse ?? false, ...present({ namespace: namespace ?? asked }) };
}

/** Schemas of a graph (§2.3.8); `note` says that they are stand-ins. */
export function encodeSchemas(schemas: GraphSchemas): JsonText {
  return toJsonText({ graph_id: schemas.graphId, ...schemaSet(schemas), note: schemas.note });
}

/** Schemas of subgraphs with the key sets of both servers (§2.3.9, Appendix A18). */
export function encodeSubgraphs(subgraphs: Readonly<Record<string, GraphSchemas>>): JsonText {
  const encoded = Object.entries(subgraphs).map(([namespace, schemas]) => [
    namespace,
    {
      graph_id: schemas.graphId,
      ...schemaSet(schemas),
      state: schemas.stateSchema,
      input: schemas.inputSchema,
      output: schemas.outputSchema,
      config: schemas.configSchema,
      note: schemas.note,
    },
  ]);
  return toJsonText(Object.fromEntries(encoded) as JsonObject);
}

function schemaSet(schemas: GraphSchemas) {
  return {
    input_schema: schemas.inputSchema,
    output_schema: schemas.outputSchema,
    state_schema: schemas.stateSchema,
    config_schema: schemas.configSchema,
    context_schema: schemas.contextSchema,
  };
}
