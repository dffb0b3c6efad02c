import { toJsonSchema } from "@langchain/core/utils/json_schema";
import {
  getConfigTypeSchema,
  getInputTypeSchema,
  getOutputTypeSchema,
  getUpdateTypeSchema,
} from "@langchain/langgraph/zod/schema";
import { z } from "zod";
import type { GraphSchemas } from "../../core/engine.js";
import { isJsonObject, type JsonObject } from "../../core/json.js";
import type { PregelLike } from "../graph-source.js";

/** The part of a `StateGraph` that schemas are read from; every field may be absent in another version. */
interface Builder {
  readonly _schemaRuntimeDefinition?: unknown;
  readonly _inputRuntimeDefinition?: unknown;
  readonly _outputRuntimeDefinition?: unknown;
  readonly _configRuntimeSchema?: unknown;
  readonly _schemaDefinition?: unknown;
  readonly _inputDefinition?: unknown;
  readonly _outputDefinition?: unknown;
  readonly _configSchema?: unknown;
}

interface StateSchemaLike {
  getJsonSchema(): unknown;
  getInputJsonSchema(): unknown;
}

const PARTIAL_STATE = Symbol.for("langgraph.state.partial");

/**
 * Schemas that a graph carries at run time: `StateSchema`, then the zod registry of the graph's own LangGraph, then its
 * zod objects converted plainly (docs/wire/langgraph-api.md part 6, 1 to 3).
 * @returns `null` when it carries none, as `Annotation` graphs and functional-API entrypoints
 */
export function runtimeSchemas(graphId: string, graph: PregelLike): GraphSchemas | null {
  const builder = builderOf(graph);
  if (builder === null) return null;
  return stateSchemas(graphId, graph, builder) ?? zodRegistrySchemas(graphId, graph) ?? zodSchemas(graphId, builder);
}

/**
 * What can be told of any graph: the names of its channels, and which of them hold messages; anything is allowed in them.
 */
export function permissiveSchemas(graphId: string, graph: PregelLike): GraphSchemas {
  const builder = builderOf(graph);
  if (builder === null) {
    const anything: JsonObject = {};
    return named(graphId, anything, anything, anything, { type: "object" });
  }
  const state = channelsSchema(builder._schemaDefinition);
  const input = channelsSchema(builder._inputDefinition ?? builder._schemaDefinition);
  const output = channelsSchema(builder._outputDefinition ?? builder._schemaDefinition);
  return named(graphId, state, input, output, channelsSchema(builder._configSchema));
}

function stateSchemas(graphId: string, graph: PregelLike, builder: Builder): GraphSchemas | null {
  const state = builder._schemaRuntimeDefinition;
  const input = builder._inputRuntimeDefinition === PARTIAL_STATE ? state : builder._inputRuntimeDefinition;
  const output = builder._outputRuntimeDefinition;
  if (![state, input, output].some(isStateSchema)) return null;
  return named(
    graphId,
    isStateSchema(state) ? attempt(() => state.getJsonSchema()) : plainZod(state),
    isStateSchema(input) ? attempt(() => input.getInputJsonSchema()) : plainZod(input),
    isStateSchema(output) ? attempt(() => output.getJsonSchema()) : plainZod(output),
    // The reference leaves the config schema out here; there is nothing to lose by giving it.
    attempt(() => getConfigTypeSchema(graph, registryOf(graph))) ?? plainZod(builder._configRuntimeSchema),
  );
}

function zodRegistrySchemas(graphId: string, graph: PregelLike): GraphSchemas | null {
  const registry = registryOf(graph);
  try {
    const state = object(getUpdateTypeSchema(graph, registry));
    const input = object(getInputTypeSchema(graph, registry));
    const output = object(getOutputTypeSchema(graph, registry));
    const config = object(getConfigTypeSchema(graph, registry));
    return [state, input, output].some((schema) => schema !== null)
      ? named(graphId, state, input, output, config)
      : null;
  } catch {
    // A type that JSON Schema has no word for (`z.date()`, `z.custom()`) throws for the whole object.
    return null;
  }
}

function zodSchemas(graphId: string, builder: Builder): GraphSchemas | null {
  const state = plainZod(builder._schemaRuntimeDefinition);
  const ownInput = plainZod(builder._inputRuntimeDefinition);
  const output = plainZod(builder._outputRuntimeDefinition);
  if (state === null && ownInput === null && output === null) return null;
  const { required: _, ...partial } = state ?? {};
  const input = ownInput ?? (state === null ? null : partial);
  return named(graphId, state, input, output, plainZod(builder._configRuntimeSchema));
}

/** A zod 3 or 4 schema converted, with `{}` for what JSON Schema cannot say; `null` for anything else. */
function plainZod(schema: unknown): JsonObject | null {
  if (typeof schema !== "object" || schema === null || isStateSchema(schema)) return null;
  if ("_zod" in schema) {
    return attempt(() => z.toJSONSchema(schema as z.ZodType, { unrepresentable: "any", io: "input" }));
  }
  return "_def" in schema ? attempt(() => toJsonSchema(schema as Parameters<typeof toJsonSchema>[0])) : null;
}

function channelsSchema(definition: unknown): JsonObject {
  if (typeof definition !== "object" || definition === null) return { type: "object" };
  const properties: Record<string, JsonObject> = {};
  for (const [name, channel] of Object.entries(definition)) {
    properties[name] = holdsMessages(channel)
      ? { type: "array", items: { type: "object" }, langgraph_type: "messages" }
      : {};
  }
  return { type: "object", properties };
}

/** `MessagesAnnotation`, or a channel whose reducer is LangGraph's `messagesStateReducer` (also known as `addMessages`). */
function holdsMessages(given: unknown): boolean {
  const channel: unknown = typeof given === "function" ? attemptAny(() => (given as () => unknown)()) : given;
  const { operator } = (channel ?? {}) as { readonly operator?: { readonly name?: unknown } };
  return operator?.name === "messagesStateReducer";
}

function named(
  graphId: string,
  stateSchema: JsonObject | null,
  inputSchema: JsonObject | null,
  outputSchema: JsonObject | null,
  configSchema: JsonObject | null,
): GraphSchemas {
  return { graphId, stateSchema, inputSchema, outputSchema, configSchema, contextSchema: configSchema };
}

function builderOf(graph: PregelLike): Builder | null {
  const { builder } = graph as { readonly builder?: unknown };
  return typeof builder === "object" && builder !== null ? builder : null;
}

/** The registry of the LangGraph that made the graph: ours knows nothing of another copy's `withLangGraph`. */
function registryOf(graph: PregelLike): Parameters<typeof getUpdateTypeSchema>[1] {
  return (graph as { readonly _metaRegistry?: Parameters<typeof getUpdateTypeSchema>[1] })._metaRegistry;
}

function isStateSchema(value: unknown): value is StateSchemaLike {
  if (typeof value !== "object" || value === null) return false;
  const { getJsonSchema, getInputJsonSchema } = value as Partial<StateSchemaLike>;
  return typeof getJsonSchema === "function" && typeof getInputJsonSchema === "function";
}

function object(schema: unknown): JsonObject | null {
  return isJsonObject(schema) ? schema : null;
}

function attempt(make: () => unknown): JsonObject | null {
  return object(attemptAny(make));
}

function attemptAny(make: () => unknown): unknown {
  try {
    return make();
  } catch {
    return null;
  }
}
