import type { Assistant } from "../../core/assistant.js";
import type { GraphSchemas } from "../../core/engine.js";
import { isUuid } from "../../core/ids.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { ProtocolContext } from "../protocol.js";
import { invalid } from "./errors.js";
import { schemaCheck } from "./json-schema.js";
import { RESERVED_OPTIONS } from "./reserved-options.js";
import { OpenwopRefusal, type Workflow, type Workflows } from "./seams.js";

/** What a node is where its graph does not say. */
const NODE_TYPE = "langgraph.node";
/** In a node's metadata: `addNode(name, fn, { metadata: { "openwop.typeId": "core.delay" } })`. */
const TYPE_KEY = "openwop.typeId";
/** The drawing's own nodes, which never run. */
const TERMINALS = new Set(["__start__", "__end__"]);
/**
 * How long a new run waits for its graph's schemas: they are there at once but for graphs whose types TypeScript has to read, the first
 * time. Such a run starts without the defaults and checks that the schemas would have said; the graph has its own.
 */
const SCHEMAS_WITHIN_MS = 1_000;

/** A description that waits for the schemas, however long they take. */
export interface WorkflowDescriptions extends Workflows {
  describeWhole: Workflows["describe"];
}

/**
 * Graphs and assistants as workflows (docs/wire/openwop.md §3.4): nodes and edges of the drawing, variables of the input's JSON Schema,
 * and the schema of their options, where there is one that can be checked.
 */
export function createWorkflows({
  services,
  engine,
  clock,
}: Pick<ProtocolContext, "services" | "engine" | "clock">): WorkflowDescriptions {
  const describeBy = async (
    assistant: Assistant,
    workflowId: string,
    schemasOf: (assistant: Assistant) => Promise<GraphSchemas | null>,
  ): Promise<Workflow> => {
    const { assistantId, graphId, name, version, config } = assistant;
    // First, as it loads the graph: only its schemas are not waited for.
    const drawing = await engine.drawGraph({ graphId, config, xray: false });
    const schemas = await schemasOf(assistant);
    const configurableSchema = optionsSchema(schemas);
    return {
      id: workflowId,
      assistantId,
      graphId,
      name,
      version: String(version),
      ...drawnGraph(drawing),
      triggers: [],
      variables: variablesOf(schemas?.inputSchema ?? null),
      ...(configurableSchema === null ? {} : { configurableSchema }),
    };
  };

  const find: (...params: Parameters<Workflows["describe"]>) => Promise<Assistant> = async (caller, workflowId) => {
    // Stores look for assistants by UUID.
    if (!engine.has(workflowId) && !isUuid(workflowId)) throw unknownWorkflow(workflowId);
    return services.runs.runnableAssistant(caller, workflowId);
  };
  const schemasOf = ({ graphId, config }: Assistant): Promise<GraphSchemas> => engine.schemas({ graphId, config });
  const schemasInTime = async (assistant: Assistant): Promise<GraphSchemas | null> => {
    const { promise: late, resolve } = Promise.withResolvers<null>();
    const timer = clock.setTimer(() => resolve(null), SCHEMAS_WITHIN_MS);
    try {
      return await Promise.race([schemasOf(assistant), late]);
    } finally {
      timer.cancel();
    }
  };

  return {
    async describe(caller, workflowId) {
      return describeBy(await find(caller, workflowId), workflowId, schemasInTime);
    },
    async describeWhole(caller, workflowId) {
      return describeBy(await find(caller, workflowId), workflowId, schemasOf);
    },
    checkConfigurable({ configurableSchema }, configurable) {
      if (configurableSchema === undefined) return;
      const declared = configurableSchema["properties"];
      // What the protocol reserves means the same in every workflow, and a schema need not repeat it.
      const own = Object.entries(configurable).filter(
        ([key]) => !RESERVED_OPTIONS.has(key) || (isJsonObject(declared) && Object.hasOwn(declared, key)),
      );
      const problem = schemaCheck(configurableSchema)?.(Object.fromEntries(own)) ?? null;
      if (problem !== null) throw invalid(`configurable does not fit the workflow's configurableSchema: ${problem}`);
    },
    checkInputs({ variables }, inputs) {
      const missing = variables
        .filter(({ required, defaultValue, name }) => required === true && (inputs[name] ?? defaultValue) === undefined)
        .map(({ name }) => name);
      if (missing.length > 0) throw invalid(`inputs lacks ${missing.join(", ")}`, { missing });
    },
  };
}

function unknownWorkflow(workflowId: string): OpenwopRefusal {
  const message = `Workflow "${workflowId}" not found: it is the id of a graph or an assistant`;
  return new OpenwopRefusal({ status: 404, code: "workflow_not_found", message });
}

/** `{nodes, edges}` of LangGraph's drawing, without where it begins and ends. */
function drawnGraph(drawing: JsonValue): Pick<Workflow, "nodes" | "edges"> {
  const { nodes, edges } = isJsonObject(drawing) ? drawing : {};
  return {
    nodes: objectsIn(nodes).flatMap(({ id, metadata }) => {
      if (!isNode(id)) return [];
      const typeId = isJsonObject(metadata) ? metadata[TYPE_KEY] : undefined;
      return [{ id, typeId: typeof typeId === "string" ? typeId : NODE_TYPE }];
    }),
    edges: objectsIn(edges).flatMap(({ source, target, conditional, data }) => {
      if (!isNode(source) || !isNode(target)) return [];
      const condition = typeof data === "string" ? { condition: data } : {};
      const isConditional = conditional === true ? { conditional } : {};
      return [{ id: `${source}->${target}`, source, target, ...isConditional, ...condition }];
    }),
  };
}

function isNode(id: JsonValue | undefined): id is string {
  return typeof id === "string" && !TERMINALS.has(id);
}

function objectsIn(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((one: JsonValue) => isJsonObject(one)) : [];
}

/** One variable for each property of the input. */
function variablesOf(inputSchema: JsonObject | null): Workflow["variables"] {
  const { properties, required } = inputSchema ?? {};
  if (!isJsonObject(properties)) return [];
  const isRequired = (name: string): boolean => Array.isArray(required) && required.includes(name);
  return Object.entries(properties).map(([name, schema]) => variableOf(name, schema, isRequired(name)));
}

function variableOf(name: string, schema: JsonValue | undefined, required: boolean): Workflow["variables"][number] {
  const { type, default: defaultValue, description } = isJsonObject(schema) ? schema : {};
  return {
    name,
    type: typeof type === "string" ? type : "any",
    required,
    ...(typeof description === "string" && { description }),
    ...(defaultValue !== undefined && { defaultValue }),
  };
}

/** What a workflow allows in `configurable`; `null` where its graph does not say, or nothing could hold it to that. */
function optionsSchema(schemas: GraphSchemas | null): JsonObject | null {
  const schema = schemas?.contextSchema ?? schemas?.configSchema ?? null;
  if (schema === null || !isJsonObject(schema["properties"]) || Object.keys(schema["properties"]).length === 0)
    return null;
  return schemaCheck(schema) === null ? null : schema;
}
