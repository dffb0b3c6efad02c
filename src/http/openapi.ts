import { z } from "zod";
import type { JsonObject, JsonText, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import { toJsonText } from "../wire/json.js";
import { ANSWER_SCHEMAS } from "./answer-schemas.js";
import type { Mount } from "./mounts/serve-mount.js";
import type { Route } from "./route.js";

const JSON_CONTENT = "application/json";
const ERROR_REF: JsonObject = { $ref: "#/components/responses/Error" };
const UUIDS = new Set(["thread_id", "run_id"]);

/** What `auth.openapi` adds (docs/wire/langgraph-api.md §5.1); empty where callers are asked who they are and nothing is said. */
export interface AuthDocument {
  readonly securitySchemes?: JsonObject | undefined;
  readonly security?: readonly JsonObject[] | undefined;
  /** Members of operations, by path and method. */
  readonly paths?: JsonObject | undefined;
}

/**
 * OpenAPI 3.1 document of some routes. Schemas are the decoders' own, through `z.toJSONSchema`: OpenAPI 3.1 speaks the
 * same JSON Schema, so no generator package is needed (@hono/zod-openapi 1.6.3 costs 22 ms at import).
 */
export function openApiDocument(
  routes: readonly Route[],
  version: string,
  auth: AuthDocument | null = null,
  mounts: readonly Mount[] = [],
): JsonText {
  const schemas: Record<string, JsonValue | undefined> = {};
  const paths: Record<string, Record<string, JsonValue>> = {};
  const described = [...routes.map(ownRoute), ...mounts.flatMap((mount) => routesOf(mount, schemas))];
  for (const one of described) {
    const operations = (paths[one.path] ??= {});
    operations[one.route.method] = operationOf(one, schemas, auth);
  }
  for (const [path, members] of Object.entries(auth?.paths ?? {})) {
    for (const [method, member] of Object.entries(isJsonObject(members) ? members : {})) {
      const operations = (paths[path] ??= {});
      const operation = operations[method] ?? {};
      operations[method] = isJsonObject(operation) && isJsonObject(member) ? { ...operation, ...member } : operation;
    }
  }
  return toJsonText({
    openapi: "3.1.0",
    info: { title: "Heddle", version, description: "LangGraph graphs over HTTP." },
    // Relative to this document, so that it holds under any mount path.
    servers: [{ url: "." }],
    tags: [...new Set(described.map(({ tag }) => tag))].map((name) => ({ name })),
    ...(auth?.security === undefined ? {} : { security: auth.security }),
    paths,
    components: {
      ...(auth?.securitySchemes === undefined ? {} : { securitySchemes: auth.securitySchemes }),
      schemas: {
        ...schemas,
        Error: { type: "object", properties: { detail: { type: "string" } }, required: ["detail"] },
      },
      responses: {
        Error: {
          description: "What went wrong",
          content: { [JSON_CONTENT]: { schema: { $ref: "#/components/schemas/Error" } } },
        },
      },
    },
  });
}

/** A route as the document tells it, of whichever API. */
interface DescribedRoute {
  readonly route: Omit<Route, "group">;
  /** With its mount. */
  readonly path: string;
  readonly tag: string;
  readonly answers: z.ZodType | undefined;
  readonly headers: z.ZodObject | undefined;
  /** Path parameters that are UUIDs. */
  readonly uuids: ReadonlySet<string>;
  /** Every error that it may answer: reference and schema. */
  readonly error: { readonly response: JsonObject; readonly schema: JsonObject };
  /** Statuses that each of the API's routes may answer. */
  readonly errors: readonly number[];
}

function ownRoute(route: Route): DescribedRoute {
  const { path, group } = route;
  const error = { response: ERROR_REF, schema: { $ref: "#/components/schemas/Error" } };
  return {
    route,
    path,
    tag: group,
    answers: ANSWER_SCHEMAS[`${route.method} ${path}`],
    headers: undefined,
    uuids: UUIDS,
    error,
    errors: [422],
  };
}

function routesOf({ name, path, face }: Mount, schemas: Record<string, JsonValue | undefined>): DescribedRoute[] {
  const schema = schemaOf(face.errorSchema, schemas, "output");
  const response = { description: "What went wrong", content: { [JSON_CONTENT]: { schema } } };
  return face.routes.map((route) => ({
    route,
    path: path + route.path,
    tag: name,
    answers: route.answers,
    headers: route.headers,
    uuids: new Set<string>(),
    error: { response, schema },
    errors: face.errorStatuses ?? [400],
  }));
}

function operationOf(
  { route, path, tag, answers, headers, uuids, error, errors }: DescribedRoute,
  schemas: Record<string, JsonValue | undefined>,
  auth: AuthDocument | null,
): JsonObject {
  const responses: Record<string, JsonValue> = {
    [route.answer.status]: answerOf(route.answer, answers === undefined ? {} : schemaOf(answers, schemas, "output")),
  };
  const isAsked = auth !== null && route.isPublic !== true;
  const ofBody = route.body === undefined ? [] : [400, 413];
  const ofCaller = isAsked ? [401, 403] : [];
  const ofLimits = route.isPublic === true ? [414, 431] : [414, 429, 431];
  for (const status of [...ofBody, ...ofCaller, ...ofLimits, ...(route.errors ?? []), ...errors, 500])
    responses[status] = error.response;
  for (const { status, description, schema } of route.refusals ?? []) {
    const either = [error.schema, schemaOf(schema, schemas)];
    responses[status] = { description, content: { [JSON_CONTENT]: { schema: { anyOf: either } } } };
  }
  return {
    ...(route.isPublic === true && auth?.security !== undefined && { security: [] }),
    operationId: `${route.method}${path.replaceAll(/[/{}_.:~-]+/g, "_").replace(/_$/, "")}`,
    tags: [tag],
    summary: route.summary,
    parameters: [
      ...pathParameters(path, uuids),
      ...parametersIn("query", route.query, schemas),
      ...parametersIn("header", headers, schemas),
    ],
    ...(route.body === undefined ? {} : { requestBody: bodyOf(route.body, schemas) }),
    responses,
  };
}

const MEDIA_TYPES = {
  json: JSON_CONTENT,
  html: "text/html",
  file: "*/*",
  "event-stream": "text/event-stream",
} as const;

function answerOf({ description, content = "json" }: Route["answer"], json: JsonObject): JsonObject {
  if (content === "none") return { description };
  const type = MEDIA_TYPES[content];
  // Of an event stream schemathesis (4.32) holds each event, an object, against the schema; other readers want a text.
  const schema = content === "json" ? json : content === "event-stream" ? {} : { type: "string" };
  return { description, content: { [type]: { schema } } };
}

function pathParameters(path: string, uuids: ReadonlySet<string>): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", ...(uuids.has(name) ? { format: "uuid" } : {}) },
  }));
}

function parametersIn(
  place: "query" | "header",
  named: z.ZodObject | undefined,
  schemas: Record<string, JsonValue | undefined>,
): JsonObject[] {
  if (named === undefined) return [];
  const { properties, required } = schemaOf(named, schemas);
  if (!isJsonObject(properties)) return [];
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: place,
    required: Array.isArray(required) && required.includes(name),
    schema,
  }));
}

function bodyOf(body: z.ZodType, schemas: Record<string, JsonValue | undefined>): JsonObject {
  const isRequired = !body.safeParse({}).success;
  return { required: isRequired, content: { [JSON_CONTENT]: { schema: schemaOf(body, schemas) } } };
}

/** JSON Schema of what a client sends, or gets; named parts go to `components`. */
function schemaOf(
  schema: z.ZodType,
  schemas: Record<string, JsonValue | undefined>,
  io: "input" | "output" = "input",
): JsonObject {
  // One that has a name itself is told by it, too, where it is an answer: many routes have the same.
  const named = io === "output" && schema.meta()?.id !== undefined ? z.array(schema) : schema;
  const text = JSON.stringify(z.toJSONSchema(named, { io, unrepresentable: "any" }));
  const { $schema: _, $defs, ...rest } = JSON.parse(text.replaceAll("#/$defs/", "#/components/schemas/")) as JsonObject;
  if (isJsonObject($defs)) {
    for (const [name, definition] of Object.entries($defs)) schemas[name] = withoutId(definition);
  }
  return (named === schema ? withoutId(rest) : rest["items"]) as JsonObject;
}

function withoutId(schema: JsonValue | undefined): JsonValue | undefined {
  if (!isJsonObject(schema)) return schema;
  const { id: _, ...rest } = schema;
  return rest;
}
